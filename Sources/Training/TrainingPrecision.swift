// Half precision of training passes: what `bf16`, `fp16` and `gradient_checkpointing` make of a run.
//
// Weights, gradients and the optimizer's state stay in fp32. Dense products of training passes take bf16 operands where
// every rank's processor multiplies them, with fp32 sums; activations are kept in bf16 from forward to backward. Evaluation,
// encoding and teachers compute in fp32. Numbers of fp16 have too small a range to be kept without scaling the loss, and no
// CPU multiplies them faster: a configuration for GPUs gets bf16 in its place.

import TuttiEncoders
import TuttiEnsemble
import TuttiEvaluation
import TuttiGround
import TuttiKernels

/// What training passes compute and keep.
package struct TrainingPrecision: Equatable {
    package var products: HalfProducts?
    package var kept = KeptActivations.fp32
    /// One line for the user, where something was asked for.
    package var notice: String?

    /// What `arguments` ask for, where all ranks have `products`.
    package init(_ arguments: TrainingArguments, products available: HalfProducts?) {
        let isHalf = arguments.bf16 || arguments.fp16 && available != nil
        if isHalf { (products, kept) = (available, .bf16) }
        if arguments.gradientCheckpointing { kept = .recomputed }
        if arguments.fp16 {
            notice =
                available.map { "fp16: bf16 in its place: products by \($0.rawValue), sums and weights in fp32." }
                ?? "fp16: training is in fp32: not every processor multiplies numbers of half precision."
        } else if arguments.bf16 {
            notice =
                available.map { "bf16: dense products by \($0.rawValue), sums and weights in fp32." }
                ?? "bf16: dense products stay in fp32, as not every processor multiplies bf16; activations are kept in it."
        }
    }

    /// What the run's arguments ask for and all ranks can do. Collective.
    static func agreed(_ arguments: TrainingArguments, among ensemble: any Ensemble) throws -> TrainingPrecision {
        guard arguments.bf16 || arguments.fp16 else { return TrainingPrecision(arguments, products: nil) }
        return TrainingPrecision(arguments, products: try commonProducts(HalfProducts.best, among: ensemble))
    }

    /// Has the training passes of `model` compute so.
    func apply(to model: RoutedEncoder) {
        model.halfProducts = products
        model.kept = kept
    }
}
