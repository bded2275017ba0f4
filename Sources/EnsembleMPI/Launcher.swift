// Launcher: whether this process was started by an MPI launcher, told by the variables that launchers set.
//
// MPI must not start otherwise: a plain `tutti train` needs no network, and a process that believes to be alone while
// seven others believe the same would overwrite their results.

import TuttiEnsemble

/// What the environment says about how this process was started.
enum Launcher: Equatable {
    /// Started by hand: one process.
    case none
    /// Started by a launcher; the number of ranks if its variables tell.
    case ranks(Int?)

    /// Reads the variables of Open MPI, PMIx and PMI launchers.
    ///
    /// - Throws: `EnsembleError` (code 64) if Slurm started several tasks but without MPI's variables.
    static func detect(_ environment: [String: String]) throws(EnsembleError) -> Launcher {
        for name in ["OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "MV2_COMM_WORLD_SIZE"] {
            if let text = environment[name], let count = Int(text) { return .ranks(count) }
        }
        let markers = ["OMPI_COMM_WORLD_RANK", "PMIX_RANK", "PMI_RANK", "MV2_COMM_WORLD_RANK"]
        if markers.contains(where: { environment[$0] != nil }) { return .ranks(nil) }
        if let text = environment["SLURM_NTASKS"], let tasks = Int(text), tasks > 1 {
            throw EnsembleError(
                operation: "start MPI", rank: Int(environment["SLURM_PROCID"] ?? "") ?? 0,
                problem: "SLURM_NTASKS is \(tasks) but no MPI launcher's variables are set; "
                    + "use mpirun or srun --mpi=pmix (or unset SLURM_NTASKS to run one process)",
                code: ExitCode.usage)
        }
        return .none
    }
}
