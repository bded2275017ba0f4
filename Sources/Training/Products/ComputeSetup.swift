// What a program does before it computes: the threads of this rank, and who computes a model's matrix products.
//
// Command and library both begin here, so that a run has the same threads and products from either.

import Foundation
import TuttiEnsemble
import TuttiGround
import TuttiKernels
import TuttiModels

/// Threads and products, as `--threads` and `--gemm` choose them.
public struct ComputeSetup: Sendable {
    /// Threads of this rank; nil takes TUTTI_THREADS or OPENBLAS_NUM_THREADS (which the launcher sets), else the cores
    /// that the rank has to itself.
    public var threads: Int?
    /// Who computes matrix products.
    public var gemm = GemmOption.auto

    /// The cores that a rank has to itself, and the fastest products.
    public init(threads: Int? = nil, gemm: GemmOption = .auto) {
        self.threads = threads
        self.gemm = gemm
    }

    /// Sets the threads of this rank and returns them. Collective.
    ///
    /// - Throws: a usage error for a number that is not positive.
    @discardableResult
    public func applyThreads(_ ensemble: any Ensemble) throws -> Int {
        let planned = try ensemble.together("plan threads") {
            try plan(cores: ensemble.computeThreads, environment: ProcessInfo.processInfo.environment)
        }
        // Ranks that are threads share the settings of their process: the first sets them while no other computes.
        try ensemble.barrier()
        if !(ensemble is LocalEnsemble) || ensemble.isRoot { Compute.process.threads = planned }
        try ensemble.barrier()
        return planned
    }

    /// Sets the threads, and the products of `model`; returns the choice of products. Collective.
    ///
    /// - Parameter notice: takes lines about providers that are slow on this machine, on rank zero.
    /// - Throws: a usage error for a number of threads that is not positive, or a library that a rank lacks.
    @discardableResult
    public func apply(
        to model: SentenceEncoder, ensemble: any Ensemble, notice: (String) -> Void = { _ in }
    ) throws -> GemmChoice {
        try applyThreads(ensemble)
        return try gemm.choose(for: model, ensemble: ensemble, notice: notice)
    }

    /// The threads of a rank that has `cores` cores to itself.
    package func plan(cores: Int, environment: [String: String]) throws(TuttiError) -> Int {
        if let threads {
            guard threads > 0 else { throw TuttiError(.usage, "plan threads", "--threads", "must be positive") }
            return threads
        }
        for name in ["TUTTI_THREADS", "OPENBLAS_NUM_THREADS"] {
            guard let text = environment[name] else { continue }
            guard let threads = Int(text), threads > 0 else {
                throw TuttiError(.usage, "plan threads", "\(name)=\(text)", "is not a positive number")
            }
            return threads
        }
        return cores
    }
}
