// MachinePlan: hosts, ranks, threads and binding of a job, from the machine, the options and the batch system.
//
// Hosts: --hostfile, --host; else those of the batch job; else a hostfile that Open MPI is told of (Kubernetes); else this
// one. Ranks: as given by the user; else the batch system's tasks, or the slots of the hosts; else the smallest of the
// physical cores in the affinity mask, the CPU quota and what memory allows. Threads: as given by the user; else the
// cores of a rank.
//
// Binding: only if nobody else is pinned to the same cores, because Open MPI counts cores from 0 in every job, whatever
// the affinity mask, and a container with a quota shares its cores with its neighbours. In a batch system this host
// stands for all: the job has it whole, or in a control group of its own. What else runs on the hosts of a hostfile nobody
// knows: ranks are bound there only if the user says so (--bind core).

import CTuttiLaunch
import TuttiGround

/// How a job is laid out.
package struct MachinePlan: Equatable, Sendable {
    /// The resources of this host.
    package var machine: Machine
    /// The batch job, if it is one.
    package var batch: BatchJob?
    /// The hosts and their slots; empty if it is this one alone, or the batch system does not list them.
    package var hosts: [Host]
    /// The file that lists them, if mpirun reads it as it is.
    package var hostfile: String?
    /// Whether mpirun must be told of the hosts.
    package var namesHosts: Bool
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
    package init(
        _ options: LaunchOptions, machine: Machine, batch: BatchJob?, environment: [String: String] = [:],
        hostName: String = Machine.hostName
    ) throws(TuttiError) {
        self.machine = machine
        self.batch = batch
        (hosts, hostfile, namesHosts) = ([], nil, true)
        if let file = options.hostfile {
            (hosts, hostfile) = (try HostList.hosts(hostfile: file), file)
        } else if let list = options.hosts {
            hosts = try HostList.hosts(list: list)
        } else if let batch {
            (hosts, namesHosts) = (batch.hosts, batch.system == .pbs && batch.nodes > 1)
        } else if let file = environment["OMPI_MCA_orte_default_hostfile"], !file.isEmpty {
            hosts = try HostList.hosts(hostfile: file)
        } else {
            namesHosts = false
        }
        let isBatch = batch != nil && options.hostfile == nil && options.hosts == nil
        isElsewhere = namesHosts || (isBatch && (batch?.nodes ?? 1) > 1)
        let usable = machine.usableCores
        if let asked = options.ranks {
            ranks = asked
        } else if isBatch, let batch {
            ranks = batch.tasks
        } else if namesHosts {
            ranks = hosts.reduce(0) { $0 + $1.slots }
        } else {
            ranks = max(1, min(usable, machine.freeMegabytes / options.megabytesPerRank))
        }
        isOversubscribed = !isElsewhere && ranks > usable
        let here = isElsewhere ? MachinePlan.slots(of: hostName, hosts, ranks: ranks) : ranks
        threads =
            options.threads ?? batch?.threads(cores: usable, ranks: here)
            ?? (isElsewhere ? 1 : max(1, usable / ranks))
        switch options.binding {
        case .core: isBound = true
        case .none?: isBound = false
        case nil:
            let isKnown = !isElsewhere || isBatch
            isBound = isKnown && !isOversubscribed && machine.isOwn && here * threads <= machine.cores
        }
    }

    /// The ranks of this host, or of the fullest one if it is not among them.
    private static func slots(of hostName: String, _ hosts: [Host], ranks: Int) -> Int {
        let short = hostName.prefix { $0 != "." }
        let own = hosts.first { $0.name == hostName || $0.name.prefix { $0 != "." } == short }
        return min(own?.slots ?? hosts.map(\.slots).max() ?? ranks, ranks)
    }

    /// The plan without hosts that are gone: no more ranks than the others have slots.
    package func without(_ gone: [String]) -> MachinePlan {
        guard !gone.isEmpty else { return self }
        var plan = self
        plan.hosts.removeAll { gone.contains($0.name) }
        (plan.hostfile, plan.namesHosts) = (nil, true)
        plan.ranks = min(ranks, plan.hosts.reduce(0) { $0 + $1.slots })
        return plan
    }

    /// Ranks and hosts, in a few words.
    package var place: String {
        hosts.isEmpty
            ? count(ranks, "rank") : "\(hosts.map(\.name).joined(separator: ", ")) (\(count(ranks, "rank")))"
    }

    /// Ranks, threads and binding, in one line.
    package func summary(hostName: String) -> String {
        var place = "on \(hostName)"
        if isElsewhere { place = hosts.isEmpty ? "over several hosts" : "over \(count(hosts.count, "host"))" }
        if let batch { place += " (\(batch.system.rawValue) job \(batch.id))" }
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
