// How encoders compute that are not trained: evaluations of the model, guides, teachers, `tutti encode` and its kin.

import TuttiEnsemble
import TuttiGround
import TuttiKernels
import TuttiModels

/// What the operands of their dense products are rounded to.
public enum FrozenCompute: String, Sendable, CaseIterable, OptionChoice {
    /// Nothing is rounded.
    case fp32
    /// bf16 numbers, sums in fp32.
    case bf16
    /// 8-bit integers: each row of activations and of weights in 127ths of its largest number.
    case int8

    /// Has `models` compute so, by the fastest instructions that every rank has; in fp32 where a rank has none. Collective.
    ///
    /// - Returns: one line for the user; nil for fp32.
    package func apply(to models: [SentenceEncoder], among ensemble: any Ensemble) throws -> String? {
        let products = try agreed(among: ensemble)
        for model in models { model.encoder.frozenProducts = products }
        if self == .fp32 { return nil }
        return products == .fp32
            ? "\(rawValue): encoding stays in fp32, as not every processor multiplies \(rawValue)."
            : "\(rawValue): dense products of encoding by \(products.name)."
    }

    /// Whether this processor multiplies such numbers, or need not.
    var isFastHere: Bool {
        switch self {
        case .fp32: true
        case .bf16: HalfProducts.best != nil
        case .int8: Int8Products.best != nil
        }
    }

    private func agreed(among ensemble: any Ensemble) throws -> DenseProducts {
        switch self {
        case .fp32: .fp32
        case .bf16: try commonProducts(HalfProducts.best, among: ensemble).map { .bf16($0) } ?? .fp32
        case .int8: try commonProducts(Int8Products.best, among: ensemble).map { .int8($0) } ?? .fp32
        }
    }
}
