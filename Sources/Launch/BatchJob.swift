// BatchJob: the job of a batch system that this process runs in: Slurm, or PBS (OpenPBS, PBS Professional, Torque).
//
// Slurm gives tasks, nodes and CPUs a task. PBS gives a file with one line for every rank (`mpiprocs`) and, from
// `ompthreads`, OMP_NUM_THREADS; without `ompthreads` PBS sets that to all CPUs of a chunk, whatever `mpiprocs` is, so no
// more threads are taken than this host has cores for its ranks.

import TuttiGround

/// What a batch system has allocated.
package struct BatchJob: Equatable, Sendable {
    /// The batch systems that are known.
    package enum System: String, Sendable {
        case slurm = "Slurm"
        case pbs = "PBS"
    }

    /// The batch system.
    package var system: System
    /// The job id.
    package var id: String
    /// Total ranks.
    package var tasks: Int
    /// Nodes of the job.
    package var nodes: Int
    /// CPUs per rank, if it says.
    package var cpusPerTask: Int?
    /// The nodes and their ranks; empty if it does not list them.
    package var hosts: [Host]

    /// The job of this process, from its environment; nil outside a batch system.
    ///
    /// - Throws: code 64 if a variable is not a number, 65 or 66 about the list of nodes of PBS.
    package init?(_ environment: [String: String]) throws(TuttiError) {
        func number(_ names: String...) throws(TuttiError) -> Int? {
            for name in names {
                guard let text = environment[name], !text.isEmpty else { continue }
                guard let number = Int(text), number > 0 else {
                    throw TuttiError(
                        .usage, "read the batch system's variables", "\(name)=\(text)", "is not a positive number")
                }
                return number
            }
            return nil
        }
        if let id = environment["SLURM_JOB_ID"], !id.isEmpty {
            system = .slurm
            self.id = id
            tasks = try number("SLURM_NTASKS", "SLURM_NPROCS") ?? 1
            nodes = try number("SLURM_JOB_NUM_NODES") ?? 1
            cpusPerTask = try number("SLURM_CPUS_PER_TASK") ?? 1
            hosts = HostList.hosts(
                slurmNodes: environment["SLURM_JOB_NODELIST"] ?? "", tasks: environment["SLURM_TASKS_PER_NODE"] ?? "")
            return
        }
        guard let id = environment["PBS_JOBID"], !id.isEmpty, let file = environment["PBS_NODEFILE"], !file.isEmpty
        else { return nil }
        system = .pbs
        self.id = id
        hosts = try HostList.hosts(hostfile: file)
        tasks = hosts.reduce(0) { $0 + $1.slots }
        nodes = hosts.count
        cpusPerTask = try number("OMP_NUM_THREADS", "NCPUS")
    }

    /// Threads per rank on a host with `cores` usable cores that takes `ranks` ranks.
    func threads(cores: Int, ranks: Int) -> Int? {
        guard system == .pbs else { return cpusPerTask }
        return cpusPerTask.map { max(1, min($0, cores / max(1, ranks))) }
    }
}
