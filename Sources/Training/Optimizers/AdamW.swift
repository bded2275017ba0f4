// AdamW with decoupled weight decay, in torch's order of operations.
//
// Reference: Loshchilov & Hutter 2019, arXiv 1711.05101; torch.optim.AdamW.

import TuttiEncoders
import TuttiFormats
import TuttiKernels

/// `optim: adamw_torch` and `adamw_torch_fused`, which are the same numbers to rounding.
final class AdamW: Optimizer {
    private let first: ParameterArena
    private let second: ParameterArena
    private let beta1: Double
    private let beta2: Double
    private let epsilon: Double

    /// - Throws: a usage error for any `optim_args`; AdamW's settings are `adam_beta1`, `adam_beta2`, `adam_epsilon`.
    init(_ arguments: TrainingArguments, layout: ParameterLayout) throws(TuttiError) {
        let options = try OptimizerRegistry.options(
            arguments,
            defaults: ["beta1": arguments.adamBeta1, "beta2": arguments.adamBeta2, "eps": arguments.adamEpsilon])
        beta1 = options["beta1"] ?? arguments.adamBeta1
        beta2 = options["beta2"] ?? arguments.adamBeta2
        epsilon = options["eps"] ?? arguments.adamEpsilon
        first = ParameterArena(count: layout.count)
        second = ParameterArena(count: layout.count)
    }

    var stateArenas: [(prefix: String, values: UnsafeMutableBufferPointer<Float>)] {
        [("exp_avg", first.values), ("exp_avg_sq", second.values)]
    }

    func update(_ parameters: ParameterStore, runs: [UpdateRun], step: Int, factor: Double, gradientScale: Float) {
        for run in runs {
            OptimizerKernels.adamW(
                parameters: .init(rebasing: parameters.values[run.range]),
                gradients: .init(rebasing: parameters.gradients[run.range]),
                first: .init(rebasing: first.values[run.range]), second: .init(rebasing: second.values[run.range]),
                step: step, learningRate: run.baseRate * factor, beta1: beta1, beta2: beta2, epsilon: epsilon,
                weightDecay: run.weightDecay, gradientScale: gradientScale)
        }
    }
}
