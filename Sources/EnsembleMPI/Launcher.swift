// Launcher: whether an MPI launcher started this process, judged by the variables that launchers set.
//
// MPI must not start otherwise: a plain `tutti train` needs no network, and a process that believes to be alone while
// seven others believe the same would overwrite their results.

import TuttiGround

/// How this process was started, from the environment.
enum Launcher: Equatable {
    /// Started by hand: one process.
    case none
    /// Started by a launcher; the number of ranks if its variables give it.
    case ranks(Int?)

    /// Reads the variables of Open MPI, PMIx and PMI launchers.
    ///
    /// - Throws: a usage error if Slurm or torchrun started several processes without MPI's variables.
    static func detect(_ environment: [String: String]) throws(TuttiError) -> Launcher {
        for name in ["OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "MV2_COMM_WORLD_SIZE"] {
            if let text = environment[name], let count = Int(text) { return .ranks(count) }
        }
        let markers = openMPI + ["PMI_RANK", "MV2_COMM_WORLD_RANK"]
        if markers.contains(where: { environment[$0] != nil }) { return .ranks(nil) }
        let others = [
            ("SLURM_NTASKS", "SLURM_PROCID", "Use mpirun or srun --mpi=pmix"),
            ("WORLD_SIZE", "RANK", "torchrun starts no MPI: use mpirun or tutti launch"),
        ]
        for (name, rank, remedy) in others {
            guard let text = environment[name], let count = Int(text), count > 1 else { continue }
            throw TuttiError(
                .usage, "start MPI", name, "is \(count), but no MPI launcher's variables are set",
                hint: "\(remedy) (or unset \(name) to run one process).",
                rank: environment[rank].flatMap { Int($0) })
        }
        return .none
    }

    /// Variables of ranks started by Open MPI's own launchers.
    static let openMPI = ["OMPI_COMM_WORLD_RANK", "PMIX_RANK"]
}
