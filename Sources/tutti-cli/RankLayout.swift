// Threads of this rank, and the block that says how the ranks lie on the machines.

import Foundation
import Glibc
import TuttiEnsemble
import TuttiEnsembleMPI
import TuttiFormats
import TuttiKernels

/// How the ranks of a job share machines and cores.
struct RankLayout {
    let description: String

    /// Sets the threads of this rank: the option, else TUTTI_THREADS, else the cores that the rank has to itself.
    /// Collective.
    static func apply(_ options: ComputeOptions, ensemble: any Ensemble) throws -> RankLayout {
        let threads = try ensemble.together("plan threads") { try planThreads(options, ensemble) }
        Parallel.threads = threads
        Gemm.threads = threads
        let place = (ensemble as? MPIEnsemble)?.topology.description
        let ranks = ensemble.size == 1 ? "1 rank" : "\(ensemble.size) ranks"
        let head = "Tutti: \(ranks) x \(threads) thread\(threads == 1 ? "" : "s"), "
            + "BLAS \(Gemm.provider) (\(Gemm.coreType))"
        return RankLayout(description: place.map { "\(head)\n\($0)" } ?? head)
    }

    private static func planThreads(_ options: ComputeOptions, _ ensemble: any Ensemble) throws(TuttiError) -> Int {
        if let threads = options.threads {
            guard threads > 0 else { throw TuttiError(.usage, "plan threads", "--threads", "must be positive") }
            return threads
        }
        if let text = ProcessInfo.processInfo.environment["TUTTI_THREADS"] {
            guard let threads = Int(text), threads > 0 else {
                throw TuttiError(.usage, "plan threads", "TUTTI_THREADS=\(text)", "is not a positive number")
            }
            return threads
        }
        let environment = ProcessInfo.processInfo.environment
        let local = environment["OMPI_COMM_WORLD_LOCAL_SIZE"].flatMap(Int.init) ?? 1
        let bound = affinityCount()
        // Ranks that are not bound see the cores of the whole machine and share them.
        let machine = Int(sysconf(Int32(_SC_NPROCESSORS_ONLN)))
        return max(1, bound < machine || local == 1 ? bound : machine / local)
    }

    /// Cores in this process's affinity mask.
    static func affinityCount() -> Int {
        var mask = cpu_set_t()
        guard sched_getaffinity(0, MemoryLayout<cpu_set_t>.size, &mask) == 0 else { return 1 }
        return withUnsafeBytes(of: mask) { $0.reduce(0) { $0 + $1.nonzeroBitCount } }
    }
}
