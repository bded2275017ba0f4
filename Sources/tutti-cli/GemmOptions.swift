// `--gemm`: who computes the matrix products of this run.

import ArgumentParser
import Foundation
import TuttiEnsemble
import TuttiKernels
import TuttiModels
import TuttiTraining

extension GemmOption: ExpressibleByArgument {}

extension ComputeOptions {
    /// Threads and products, as the options choose them.
    var setup: ComputeSetup { ComputeSetup(threads: threads, gemm: gemm) }

    /// Sets the provider of matrix products as `GemmOption.choose` does, and returns it. Remarks on slow providers go to
    /// `notice`, by default to standard error. Collective.
    @discardableResult
    func chooseGemm(
        for model: SentenceEncoder, ensemble: any Ensemble,
        notice: (String) -> Void = { Output.show("tutti: note: \($0)\n", on: STDERR_FILENO) }
    ) throws -> GemmChoice {
        if ensemble.isRoot, let line = CoreTypeRestart.note { notice(line) }
        return try gemm.choose(for: model, ensemble: ensemble, notice: notice)
    }
}
