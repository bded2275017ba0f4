// MachinePlan: ranks, threads and binding of a job, from the machine, the options and Slurm.
//
// Ranks: as given by the user; else Slurm's tasks, or the slots of the hosts; else the smallest of the physical cores in
// the affinity mask, the CPU quota and what memory allows. Threads: as given by the user; else the cores of a rank.
// Binding: only if nobody else is pinned to the same cores, because Open MPI counts cores from 0 whatever the
// affinity mask, and a container with a quota shares its cores with its neighbours.

import CTuttiLaunch
import TuttiGround

/// The tasks that Slurm allocated.
package struct SlurmJob: Equatable, Sendable {
    /// The job id.
    package var id: String
    /// Total tasks.
    package var tasks: Int
    /// Nodes of the job.
    package var nodes: Int
    /// CPUs per task.
    package var cpusPerTask: Int

    /// The job of this process, from its environment; nil outside Slurm.
    ///
    /// - Throws: code 64 if a variable is not a number.
    package init?(_ environment: [String: String]) throws(TuttiError) {
        guard let id = environment["SLURM_JOB_ID"], !id.isEmpty else { return nil }
        func number(_ names: String...) throws(TuttiError) -> Int {
            for name in names {
                guard let text = environment[name], !text.isEmpty else { continue }
                guard let number = Int(text), number > 0 else {
                    throw TuttiError(.usage, "read Slurm's variables", "\(name)=\(text)", "is not a positive number")
                }
                return number
            }
            return 1
        }
        self.id = id
        tasks = try number("SLURM_NTASKS", "SLURM_NPROCS")
        nodes = try number("SLURM_JOB_NUM_NODES")
        cpusPerTask = try number("SLURM_CPUS_PER_TASK")
    }
}

/// How a job is laid out.
package struct MachinePlan: Equatable, Sendable {
    /// The resources of this host.
    package var machine: Machine
    /// The Slurm job, if it is one.
    package var slurm: SlurmJob?
    /// Ranks of the job.
    package var ranks: Int
    /// Threads of each rank.
    package var threads: Int
    /// Whether ranks are pinned to cores.
    package var isBound: Bool
    /// Whether ranks may run on other hosts, whose cores are unknown to this one.
    package var isElsewhere: Bool
    /// Whether ranks share cores.
    package var isOversubscribed: Bool

    /// Plans a job.
    ///
    /// - Throws: code 64, 65 or 66 about the hosts.
    package init(_ options: LaunchOptions, machine: Machine, slurm: SlurmJob?) throws(TuttiError) {
        self.machine = machine
        self.slurm = slurm
        let namesHosts = options.hostfile != nil || options.hosts != nil
        var slots: Int?
        if let hosts = options.hosts { slots = try HostList.slots(hosts: hosts) }
        if let hostfile = options.hostfile { slots = try HostList.slots(hostfile: hostfile) }
        isElsewhere = namesHosts || (slurm?.nodes ?? 1) > 1
        let usable = machine.usableCores
        if let asked = options.ranks {
            ranks = asked
        } else if let slurm, !namesHosts {
            ranks = slurm.tasks
        } else if let slots {
            ranks = slots
        } else {
            ranks = max(1, min(usable, machine.freeMegabytes / options.megabytesPerRank))
        }
        isOversubscribed = !isElsewhere && ranks > usable
        threads = options.threads ?? slurm?.cpusPerTask ?? (isElsewhere ? 1 : max(1, usable / ranks))
        switch options.binding {
        case .core: isBound = true
        case .none?: isBound = false
        case nil:
            let isOurs =
                !isOversubscribed && machine.quota == nil && machine.cpus.count == machine.onlineCPUs
                && ranks * threads <= machine.cores
            isBound = isElsewhere || isOurs
        }
    }

    /// Ranks, threads and binding, in one line.
    package func summary(hostName: String) -> String {
        var place = isElsewhere ? "over several hosts" : "on \(hostName)"
        if let slurm { place += " (Slurm job \(slurm.id))" }
        return "\(count(ranks, "rank")) \(place), \(count(threads, "thread")) per rank, "
            + (isBound ? "bound to cores" : "not bound") + (isOversubscribed ? ", more ranks than cores" : "")
    }

    /// The resources of this host, in one line.
    package func host(singleCopy: Bool) -> String {
        let quota = machine.quota.map { "CPU quota \($0 / 100).\($0 % 100 < 10 ? "0" : "")\($0 % 100)" }
        return "this host: \(count(machine.cores, "physical core")) in the affinity mask "
            + "(\(count(machine.cpus.count, "CPU")) of \(machine.onlineCPUs)), \(quota ?? "no CPU quota"), "
            + "\(machine.freeMegabytes) MB of memory free, single-copy messages: \(singleCopy ? "yes" : "no")"
    }

    /// Whether ranks on this host may read each other's memory; tested with two processes.
    package static func probesSingleCopy() -> Bool { tutti_single_copy() == 1 }

    private func count(_ number: Int, _ noun: String) -> String { "\(number) \(noun)\(number == 1 ? "" : "s")" }
}
