// Threads of this rank, and the block that says how the ranks lie on the machines.

import Foundation
import TuttiEnsemble
import TuttiEnsembleMPI
import TuttiFormats
import TuttiGround
import TuttiKernels

/// How the ranks of a job share machines and cores.
struct RankLayout {
    let description: String

    /// Sets the threads of this rank: the option, else TUTTI_THREADS or OPENBLAS_NUM_THREADS (which
    /// launch/tutti-run sets), else the cores that the rank has to itself.
    /// Collective.
    static func apply(_ options: ComputeOptions, ensemble: any Ensemble) throws -> RankLayout {
        let threads = try ensemble.together("plan threads") { try planThreads(options, ensemble) }
        Compute.process.threads = threads
        let place = (ensemble as? MPIEnsemble)?.topology.description
        let ranks = ensemble.size == 1 ? "1 rank" : "\(ensemble.size) ranks"
        let head = "Tutti: \(ranks) x \(threads) thread\(threads == 1 ? "" : "s")"
        return RankLayout(description: place.map { "\(head)\n\($0)" } ?? head)
    }

    private static func planThreads(_ options: ComputeOptions, _ ensemble: any Ensemble) throws(TuttiError) -> Int {
        if let threads = options.threads {
            guard threads > 0 else { throw TuttiError(.usage, "plan threads", "--threads", "must be positive") }
            return threads
        }
        for name in ["TUTTI_THREADS", "OPENBLAS_NUM_THREADS"] {
            guard let text = ProcessInfo.processInfo.environment[name] else { continue }
            guard let threads = Int(text), threads > 0 else {
                throw TuttiError(.usage, "plan threads", "\(name)=\(text)", "is not a positive number")
            }
            return threads
        }
        return (ensemble as? MPIEnsemble)?.topology.computeThreads ?? ProcessInfo.processInfo.activeProcessorCount
    }
}
