// Ranks, threads, binding and the command line of mpirun for made-up machines, Slurm jobs and lists of hosts.

import Foundation
import TestSupport
import Testing
import TuttiGround
import TuttiLaunch

@Suite struct MachinePlanTests {
    private func machine(
        cpus: Int = 8, cores: Int? = nil, online: Int? = nil, quota: Int? = nil, megabytes: Int = 64_000,
        isConfined: Bool = false
    ) -> Machine {
        Machine(
            cpus: Array(0..<cpus), onlineCPUs: online ?? cpus, cores: cores ?? cpus, allCores: online ?? cores ?? cpus,
            quota: quota, freeMegabytes: megabytes, isConfined: isConfined)
    }

    private func plan(
        _ words: String, _ machine: Machine, batch: [String: String] = [:]
    ) throws -> MachinePlan {
        let options = try LaunchOptions(words.split(separator: " ").map(String.init) + ["train", "x.yaml"])
        return try MachinePlan(
            options, machine: machine, batch: try BatchJob(batch), environment: batch, hostName: "n1")
    }

    private func command(
        _ words: String, _ machine: Machine, batch: [String: String] = [:], singleCopy: Bool = true,
        environment: [String: String] = ["PATH": "/bin"]
    ) throws -> String {
        let options = try LaunchOptions(words.split(separator: " ").map(String.init) + ["train", "x.yaml"])
        let plan = try MachinePlan(
            options, machine: machine, batch: try BatchJob(batch), environment: batch, hostName: "n1")
        return Mpirun(
            "/usr/bin/mpirun", plan: plan, options: options, program: ["tutti", "train", "x.yaml"], isTutti: true,
            launcher: "tutti launch", singleCopy: singleCopy, isRoot: false, environment: environment,
            network: plan.isElsewhere ? Mpirun.Network(mark: "n1.7.a", directory: "/work") : nil
        ).shellLine
    }

    @Test func onePhysicalCoreARank() throws {
        let plan = try plan("", machine(cpus: 8, cores: 4))
        #expect(plan.ranks == 4 && plan.threads == 1 && plan.isBound && !plan.isOversubscribed && !plan.isElsewhere)
    }

    @Test func threadsShareTheCores() throws {
        let plan = try plan("-np 2", machine(cpus: 16, cores: 8))
        #expect(plan.threads == 4 && plan.isBound)
        #expect(try self.plan("-np 3", machine()).threads == 2)
        #expect(try self.plan("-np 2 --threads 3", machine()).threads == 3)
    }

    @Test func memoryLimitsTheRanks() throws {
        #expect(try plan("", machine(megabytes: 5000)).ranks == 2)
        #expect(try plan("", machine(megabytes: 100)).ranks == 1)
        #expect(try plan("--memory-per-rank 500", machine(megabytes: 2600)).ranks == 5)
        #expect(try plan("-np 6", machine(megabytes: 100)).ranks == 6, "who asks, gets")
    }

    @Test func aQuotaLimitsTheRanksAndUnbinds() throws {
        let plan = try plan("", machine(quota: 350))
        #expect(plan.ranks == 3 && plan.threads == 1 && !plan.isBound)
        #expect(try self.plan("", machine(quota: 50)).ranks == 1)
    }

    @Test func ranksArePinnedOnlyWhereNobodyElseIs() throws {
        #expect(try plan("", machine(cpus: 4, online: 8)).isBound == false, "Open MPI counts cores from 0")
        #expect(try plan("--bind core", machine(cpus: 4, online: 8)).isBound)
        #expect(try plan("--bind none", machine()).isBound == false)
        #expect(try plan("-np 2 --threads 8", machine()).isBound == false, "more threads than cores")
    }

    @Test func moreRanksThanCoresShareThem() throws {
        let plan = try plan("-np 9", machine())
        #expect(plan.isOversubscribed && plan.threads == 1 && !plan.isBound)
        let line = try command("-np 9", machine())
        #expect(line.contains("--oversubscribe --mca mpi_yield_when_idle 1"))
        #expect(line.contains("--bind-to none"))
    }

    @Test func oneHostNeedsNoNetwork() throws {
        #expect(
            try command("-np 2", machine(cpus: 2))
                == "/usr/bin/mpirun -np 2 --map-by slot:PE=1 --bind-to core --mca plm isolated --mca btl self,vader "
                + "tutti train x.yaml")
        #expect(try command("", machine(), singleCopy: false).contains("--mca btl_vader_single_copy_mechanism none"))
    }

    @Test func slurmSaysRanksAndThreads() throws {
        let job = ["SLURM_JOB_ID": "7", "SLURM_NTASKS": "6", "SLURM_CPUS_PER_TASK": "2", "SLURM_JOB_NUM_NODES": "1"]
        let plan = try plan("", machine(), batch: job)
        #expect(plan.ranks == 6 && plan.threads == 2 && !plan.isElsewhere)
        #expect(plan.summary(hostName: "n1").hasPrefix("6 ranks on n1 (Slurm job 7), 2 threads per rank"))
        let line = try command("", machine(), batch: job)
        #expect(!line.contains("plm") && line.contains("-x OPENBLAS_NUM_THREADS") && line.contains("-x PATH"))
        let nodes = try self.plan("", machine(cpus: 2), batch: job.merging(["SLURM_JOB_NUM_NODES": "3"]) { $1 })
        #expect(nodes.ranks == 6 && nodes.isElsewhere && !nodes.isOversubscribed)
        #expect(!nodes.isBound, "which nodes have how many tasks is not known: six with two cores each may be here")
        #expect(try self.plan("-np 3", machine(), batch: job).ranks == 3)
        #expect(try self.plan("", machine(), batch: ["SLURM_JOB_ID": "7", "SLURM_NPROCS": "5"]).ranks == 5)
        #expect(try self.plan("", machine(), batch: ["SLURM_NTASKS": "5"]).ranks == 8, "not inside a job")
        #expect(throws: TuttiError.self) {
            try self.plan("", machine(), batch: ["SLURM_JOB_ID": "7", "SLURM_NTASKS": "many"])
        }
    }

    @Test func hostsSayRanks() throws {
        let folder = try TemporaryDirectory()
        let hostfile = folder.path + "/hosts"
        try "# two\nnode1 slots=4  # big\n\n  node2\nnode3 max_slots=9 slots=2\n".write(
            toFile: hostfile, atomically: true, encoding: .utf8)
        let plan = try plan("--hostfile \(hostfile)", machine(cpus: 2))
        #expect(plan.ranks == 7 && plan.threads == 1 && plan.isElsewhere && !plan.isOversubscribed)
        #expect(!plan.isBound, "nobody knows what else runs there")
        #expect(try self.plan("--hostfile \(hostfile) --bind core", machine(cpus: 2)).isBound)
        #expect(try self.plan("--host a:3,b,c:2", machine()).ranks == 6)
        let line = try command("--hostfile \(hostfile) -x A=1 --mca btl tcp", machine())
        #expect(line.contains("--hostfile \(hostfile) ") && line.contains("-x TUTTI_LAUNCH"))
        #expect(line.hasSuffix(" -x A=1 --mca btl tcp tutti train x.yaml") && line.contains(" -x PATH "))
        #expect(line.contains(" --wdir /work ") && line.contains(" --mca tutti_job n1.7.a "))
        #expect(!line.contains("LD_LIBRARY_PATH"))
        let libraries = ["PATH": "/bin", "LD_LIBRARY_PATH": "/opt/lib"]
        #expect(try command("--host a:2", machine(), environment: libraries).contains("-x LD_LIBRARY_PATH"))
        #expect(try command("--host a:2,b,a", machine()).contains(" --host a:3,b:1 "), "a name twice adds its slots")
    }

    /// A link that is gone is noticed in seconds, and a link works in both directions at once; the user's word counts.
    @Test func parametersOfTheNetwork() throws {
        let line = try command("--host a:2", machine())
        for setting in [
            "oob_tcp_keepalive_time 5", "oob_tcp_keepalive_intvl 2", "oob_tcp_keepalive_probes 3",
            "btl_tcp_eager_limit 8388608", "btl_tcp_rndv_eager_limit 8388608", "btl_tcp_max_send_size 8388608",
        ] { #expect(line.contains(" --mca \(setting) "), "\(setting)") }
        let users = try command(
            "--host a:2 --mca btl_tcp_eager_limit 7", machine(),
            environment: ["PATH": "/bin", "OMPI_MCA_oob_tcp_keepalive_time": "60"])
        #expect(users.contains("btl_tcp_eager_limit 7") && !users.contains("btl_tcp_eager_limit 8388608"))
        #expect(!users.contains("keepalive_time") && users.contains("keepalive_intvl 2"))
        #expect(try !command("", machine()).contains("oob_tcp"))
    }

    /// Settings of the launcher reach ranks on other hosts; -x wins.
    @Test func variablesAreForwarded() throws {
        let given = [
            "PATH": "/bin", "HOME": "/h", "TUTTI_WAIT_ABORT": "10", "HF_HOME": "/hf", "OPENBLAS_CORETYPE": "Haswell",
            "OMP_PROC_BIND": "x", "TUTTI_MACHINE_ROOT": "/made-up", "TUTTI_EMPTY": "", "TUTTI_A-B": "no name",
            "EDITOR": "vi",
        ]
        let line = try command("--host a:2 -x HF_HOME=/other", machine(), environment: given)
        for name in [
            "PATH", "TUTTI_WAIT_ABORT", "OPENBLAS_CORETYPE", "OMP_PROC_BIND", "TUTTI_LAUNCH", "SWIFT_BACKTRACE",
        ] {
            #expect(line.components(separatedBy: " -x \(name) ").count == 2, "\(name): \(line)")
        }
        #expect(line.contains("-x HF_HOME=/other") && !line.contains("-x HF_HOME "))
        for name in ["TUTTI_MACHINE_ROOT", "TUTTI_EMPTY", "TUTTI_A-B", "EDITOR", "HOME "] {
            #expect(!line.contains(name), "\(name)")
        }
        #expect(
            try !command("", machine(), environment: given).contains(" -x "), "ranks of this host inherit everything")
        let options = try LaunchOptions(["--host", "a:2", "-x", "HF_HOME=/other", "train", "x"])
        let mpirun = Mpirun(
            "mpirun", plan: try MachinePlan(options, machine: machine(), batch: nil), options: options, program: ["x"],
            isTutti: true, launcher: "tutti launch", singleCopy: true, isRoot: false, environment: given)
        #expect(
            mpirun.forwarded == ["OMP_PROC_BIND", "OPENBLAS_CORETYPE", "PATH", "TUTTI_WAIT_ABORT"], "what is named")
    }

    @Test func aBatchJobThatHasItsNodesIsBound() throws {
        var job = [
            "SLURM_JOB_ID": "7", "SLURM_NTASKS": "5", "SLURM_CPUS_PER_TASK": "2", "SLURM_JOB_NUM_NODES": "3",
            "SLURM_JOB_NODELIST": "n[1-3]", "SLURM_TASKS_PER_NODE": "2(x2),1",
        ]
        let plan = try plan("", machine(cpus: 4), batch: job)
        #expect(plan.hosts == [Host("n1", slots: 2), Host("n2", slots: 2), Host("n3", slots: 1)])
        #expect(plan.isBound && plan.isElsewhere && !plan.namesHosts)
        #expect(try !command("", machine(cpus: 4), batch: job).contains("--host"), "mpirun asks Slurm itself")
        #expect(try !self.plan("", machine(cpus: 4, online: 16), batch: job).isBound, "others are on this node")
        #expect(try self.plan("", machine(cpus: 4, online: 16, isConfined: true), batch: job).isBound)
        #expect(try !self.plan("", machine(cpus: 2), batch: job).isBound, "fewer cores than threads")
        job["SLURM_TASKS_PER_NODE"] = "2"
        #expect(try self.plan("", machine(), batch: job).hosts.isEmpty, "it does not fit")
    }

    /// OpenPBS and Torque: one line a rank.
    @Test func pbsSaysHostsRanksAndThreads() throws {
        let folder = try TemporaryDirectory()
        func job(_ nodes: String, _ more: [String: String] = [:]) throws -> [String: String] {
            try nodes.write(toFile: folder.path + "/nodes", atomically: true, encoding: .utf8)
            return ["PBS_JOBID": "12.server", "PBS_NODEFILE": folder.path + "/nodes"].merging(more) { $1 }
        }
        let two = try job("n1\nn1\nn2\nn2\n", ["OMP_NUM_THREADS": "4", "NCPUS": "4"])
        let plan = try plan("", machine(), batch: two)
        #expect(plan.ranks == 4 && plan.threads == 4 && plan.isElsewhere && plan.isBound)
        #expect(plan.summary(hostName: "n1").hasPrefix("4 ranks over 2 hosts (PBS job 12.server), 4 threads per rank"))
        #expect(try command("", machine(), batch: two).contains(" --host n1:2,n2:2 "))
        let all = try job("n1\nn1\nn1\nn1\nn1\nn1\nn1\nn1\nn2\n", ["OMP_NUM_THREADS": "8"])
        #expect(try self.plan("", machine(), batch: all).threads == 1, "without ompthreads PBS gives all of a chunk")
        let one = try self.plan("", machine(), batch: try job("n1\nn1\n"))
        #expect(one.ranks == 2 && !one.isElsewhere && one.threads == 4)
        #expect(try self.plan("--host a:3", machine(), batch: two).ranks == 3, "who names hosts, means them")
        #expect(throws: TuttiError.self) { try self.plan("", machine(), batch: try job("")) }
    }

    /// Kubernetes: the operator tells Open MPI of a hostfile.
    @Test func theHostfileOfOpenMPIIsRead() throws {
        let folder = try TemporaryDirectory()
        try "worker-0.job slots=2\nworker-1.job slots=2\n".write(
            toFile: folder.path + "/hosts", atomically: true, encoding: .utf8)
        let plan = try plan("", machine(), batch: ["OMPI_MCA_orte_default_hostfile": folder.path + "/hosts"])
        #expect(plan.ranks == 4 && plan.isElsewhere && plan.hosts.map(\.name) == ["worker-0.job", "worker-1.job"])
    }

    @Test func nodesOfSlurmAreExpanded() {
        func names(_ nodes: String, _ tasks: String) -> [String] {
            HostList.hosts(slurmNodes: nodes, tasks: tasks).map { "\($0.name):\($0.slots)" }
        }
        #expect(names("node[01-03,07],gpu1", "2(x4),1") == ["node01:2", "node02:2", "node03:2", "node07:2", "gpu1:1"])
        #expect(names("r[1-2]n[9-10]", "1(x4)") == ["r1n9:1", "r1n10:1", "r2n9:1", "r2n10:1"])
        #expect(names("a", "3") == ["a:3"] && names("a,b", "3").isEmpty && names("", "").isEmpty)
    }

    @Test func hostsThatAreNoneAreRefused() throws {
        let folder = try TemporaryDirectory()
        func kind(_ words: String) -> TuttiError.Kind? {
            do { _ = try plan(words, machine()) } catch { return (error as? TuttiError)?.kind }
            return nil
        }
        try "# nobody\n".write(toFile: folder.path + "/empty", atomically: true, encoding: .utf8)
        try "a slots=two\n".write(toFile: folder.path + "/words", atomically: true, encoding: .utf8)
        #expect(kind("--hostfile \(folder.path)/none") == .missingFile)
        #expect(kind("--hostfile \(folder.path)/empty") == .data)
        #expect(kind("--hostfile \(folder.path)/words") == .data)
        #expect(kind("--host a:x") == .usage)
        for line in ["a:4", "a slots=0", "a slots=3 max_slots=2", "a cores=3", "slots=4"] {
            try "\(line)\n".write(toFile: folder.path + "/line", atomically: true, encoding: .utf8)
            #expect(kind("--hostfile \(folder.path)/line") == .data, "\(line)")
        }
        try "a slots = 2 max-slots=3 # two\nuser@b\n".write(
            toFile: folder.path + "/spaces", atomically: true, encoding: .utf8)
        #expect(try plan("--hostfile \(folder.path)/spaces", machine()).ranks == 3)
    }

    /// Ranks see a pipe where the user has a terminal.
    @Test func ranksLearnOfTheTerminal() throws {
        func value(_ columns: Int?, showsOutput: Bool = false) throws -> String? {
            let options = try LaunchOptions(["train", "x"])
            return Mpirun(
                "mpirun", plan: try MachinePlan(options, machine: machine(), batch: nil), options: options,
                program: ["x"], isTutti: true, launcher: "tutti launch", columns: columns,
                showsOutput: showsOutput, singleCopy: true, isRoot: false, environment: [:]
            ).environment["TUTTI_TERMINAL"]
        }
        #expect(try value(132) == "132")
        #expect(try value(132, showsOutput: true) == "132 output")
        #expect(try value(nil, showsOutput: true) == nil)
    }

    @Test func swiftDoesNotUnwindTheStackOfADeadRank() throws {
        func value(_ given: [String: String]) throws -> String? {
            let options = try LaunchOptions(["train", "x"])
            let plan = try MachinePlan(options, machine: machine(), batch: nil)
            return Mpirun(
                "mpirun", plan: plan, options: options, program: ["x"], isTutti: true, launcher: "tutti launch",
                singleCopy: true, isRoot: true, environment: given
            ).environment["SWIFT_BACKTRACE"]
        }
        #expect(try value([:]) == "enable=no")
        #expect(try value(["SWIFT_BACKTRACE": "enable=yes"]) == "enable=yes")
    }
}
