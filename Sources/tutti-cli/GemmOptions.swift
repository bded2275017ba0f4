// `--gemm`: who computes the matrix products of this run.

import ArgumentParser
import Foundation
import TuttiEnsemble
import TuttiFormats
import TuttiGround
import TuttiKernels
import TuttiModels

/// The values of `--gemm`.
enum GemmOption: String, ExpressibleByArgument, CaseIterable {
    case auto, openblas, onednn, tutti
}

extension ComputeOptions {
    /// Sets the provider of matrix products: the one asked for, or the fastest that every rank has, as rank zero
    /// measures it on layers of `model`'s widths. Returns the choice. Collective.
    ///
    /// - Throws: a usage error where a rank lacks the library that was asked for.
    @discardableResult
    func chooseGemm(for model: SentenceEncoder, ensemble: any Ensemble) throws -> GemmChoice {
        let providers = try Self.providersOfAllRanks(ensemble)
        let shape = ModelShape(plan: model.encoder.plan)
        let option = gemm
        let text = try ensemble.onRoot {
            guard let wanted = GemmProvider(rawValue: option.rawValue) else {
                let selection = GemmSelection(
                    hidden: shape.hidden, inner: shape.inner, providers: providers)
                return selection.choice.description
            }
            guard providers.contains(wanted) else {
                throw TuttiError(
                    .usage, "choose the provider of matrix products", "--gemm \(wanted.rawValue)",
                    "the library is not installed on every rank",
                    hint: "Install libdnnl (package libdnnl-dev), or use --gemm auto.")
            }
            return GemmChoice(wanted).description
        }
        guard let choice = GemmChoice(text: text) else { preconditionFailure("rank zero sent no GemmChoice: \(text)") }
        Gemm.choice = choice
        return choice
    }

    /// The providers that every rank can use. Collective.
    private static func providersOfAllRanks(_ ensemble: any Ensemble) throws -> [GemmProvider] {
        var missing = GemmProvider.allCases.map { $0.isAvailable ? 0.0 : 1.0 }
        try missing.withUnsafeMutableBufferPointer { try ensemble.allReduceMax($0) }
        return zip(GemmProvider.allCases, missing).filter { $0.1 == 0 }.map(\.0)
    }
}
