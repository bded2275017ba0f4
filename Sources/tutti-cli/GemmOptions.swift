// `--gemm`: the GEMM library of this run.

import ArgumentParser
import Foundation
import TuttiEnsemble
import TuttiKernels
import TuttiModels
import TuttiTraining

extension GemmOption: ExpressibleByArgument {}

extension ComputeOptions {
    /// Threads and GEMM library, from the options.
    var setup: ComputeSetup { ComputeSetup(threads: threads, gemm: gemm) }

    /// Sets the GEMM provider as `GemmOption.choose` does, and returns it. Notes on slow providers go to `notice`, by
    /// default standard error. Collective.
    @discardableResult
    func chooseGemm(
        for model: SentenceEncoder, ensemble: any Ensemble,
        notice: (String) -> Void = { Output.show("tutti: note: \($0)\n", on: STDERR_FILENO) }
    ) throws -> GemmChoice {
        if ensemble.isRoot, let line = OpenBLASRestart.note { notice(line) }
        return try gemm.choose(for: model, ensemble: ensemble, notice: notice)
    }
}
