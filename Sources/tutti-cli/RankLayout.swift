// Threads of this rank, and the printed layout of ranks on machines.

import TuttiEnsemble
import TuttiEnsembleMPI

/// How the ranks of a job share machines and cores.
struct RankLayout {
    let description: String

    /// Sets the threads of this rank. Collective.
    static func apply(_ options: ComputeOptions, ensemble: any Ensemble) throws -> RankLayout {
        let threads = try options.setup.applyThreads(ensemble)
        let place = (ensemble as? MPIEnsemble)?.topology.description
        let ranks = ensemble.size == 1 ? "1 rank" : "\(ensemble.size) ranks"
        let head = "Tutti: \(ranks) x \(threads) thread\(threads == 1 ? "" : "s")"
        return RankLayout(description: place.map { "\(head)\n\($0)" } ?? head)
    }
}
