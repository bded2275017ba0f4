// Ranks, threads, binding and the command line of mpirun for made-up machines, Slurm jobs and lists of hosts.

import Foundation
import TestSupport
import Testing
import TuttiGround
import TuttiLaunch

@Suite struct MachinePlanTests {
    private func machine(
        cpus: Int = 8, cores: Int? = nil, online: Int? = nil, quota: Int? = nil, megabytes: Int = 64_000
    ) -> Machine {
        Machine(
            cpus: Array(0..<cpus), onlineCPUs: online ?? cpus, cores: cores ?? cpus, allCores: online ?? cores ?? cpus,
            quota: quota, freeMegabytes: megabytes)
    }

    private func plan(
        _ words: String, _ machine: Machine, slurm: [String: String] = [:]
    ) throws -> MachinePlan {
        let options = try LaunchOptions(words.split(separator: " ").map(String.init) + ["train", "x.yaml"])
        return try MachinePlan(options, machine: machine, slurm: try SlurmJob(slurm))
    }

    private func command(
        _ words: String, _ machine: Machine, slurm: [String: String] = [:], singleCopy: Bool = true,
        environment: [String: String] = ["PATH": "/bin"]
    ) throws -> String {
        let options = try LaunchOptions(words.split(separator: " ").map(String.init) + ["train", "x.yaml"])
        let plan = try MachinePlan(options, machine: machine, slurm: try SlurmJob(slurm))
        return Mpirun(
            "/usr/bin/mpirun", plan: plan, options: options, program: ["tutti", "train", "x.yaml"], isTutti: true,
            launcher: "tutti launch", singleCopy: singleCopy, isRoot: false, environment: environment
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
        let plan = try plan("", machine(), slurm: job)
        #expect(plan.ranks == 6 && plan.threads == 2 && !plan.isElsewhere)
        #expect(plan.summary(hostName: "n1").hasPrefix("6 ranks on n1 (Slurm job 7), 2 threads per rank"))
        let line = try command("", machine(), slurm: job)
        #expect(!line.contains("plm") && line.contains("-x OPENBLAS_NUM_THREADS") && line.contains("-x PATH"))
        let nodes = try self.plan("", machine(cpus: 2), slurm: job.merging(["SLURM_JOB_NUM_NODES": "3"]) { $1 })
        #expect(nodes.ranks == 6 && nodes.isElsewhere && nodes.isBound && !nodes.isOversubscribed)
        #expect(try self.plan("-np 3", machine(), slurm: job).ranks == 3)
        #expect(try self.plan("", machine(), slurm: ["SLURM_JOB_ID": "7", "SLURM_NPROCS": "5"]).ranks == 5)
        #expect(try self.plan("", machine(), slurm: ["SLURM_NTASKS": "5"]).ranks == 8, "not inside a job")
        #expect(throws: TuttiError.self) {
            try self.plan("", machine(), slurm: ["SLURM_JOB_ID": "7", "SLURM_NTASKS": "many"])
        }
    }

    @Test func hostsSayRanks() throws {
        let folder = try TemporaryDirectory()
        let hostfile = folder.path + "/hosts"
        try "# two\nnode1 slots=4  # big\n\n  node2\nnode3 max_slots=9 slots=2\n".write(
            toFile: hostfile, atomically: true, encoding: .utf8)
        let plan = try plan("--hostfile \(hostfile)", machine(cpus: 2))
        #expect(plan.ranks == 7 && plan.threads == 1 && plan.isElsewhere && plan.isBound && !plan.isOversubscribed)
        #expect(try self.plan("--host a:3,b,c:2", machine()).ranks == 6)
        let line = try command("--hostfile \(hostfile) -x A=1 --mca btl tcp", machine())
        #expect(line.contains("--hostfile \(hostfile) ") && line.contains("-x TUTTI_LAUNCH"))
        #expect(line.hasSuffix("-x PATH -x A=1 --mca btl tcp tutti train x.yaml"))
        #expect(!line.contains("LD_LIBRARY_PATH"))
        let libraries = ["PATH": "/bin", "LD_LIBRARY_PATH": "/opt/lib"]
        #expect(try command("--host a:2", machine(), environment: libraries).contains("-x LD_LIBRARY_PATH"))
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
    }

    /// Ranks see a pipe where the user has a terminal.
    @Test func ranksLearnOfTheTerminal() throws {
        func value(_ columns: Int?, showsOutput: Bool = false) throws -> String? {
            let options = try LaunchOptions(["train", "x"])
            return Mpirun(
                "mpirun", plan: try MachinePlan(options, machine: machine(), slurm: nil), options: options,
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
            let plan = try MachinePlan(options, machine: machine(), slurm: nil)
            return Mpirun(
                "mpirun", plan: plan, options: options, program: ["x"], isTutti: true, launcher: "tutti launch",
                singleCopy: true, isRoot: true, environment: given
            ).environment["SWIFT_BACKTRACE"]
        }
        #expect(try value([:]) == "enable=no")
        #expect(try value(["SWIFT_BACKTRACE": "enable=yes"]) == "enable=yes")
    }
}
