// AdamW with decoupled weight decay, in torch's order of operations.
//
// Reference: Loshchilov & Hutter 2019, arXiv 1711.05101; torch.optim.AdamW.

import TuttiEncoders
import TuttiFormats
import TuttiGround
import TuttiKernels

/// `optim: adamw_torch` and `adamw_torch_fused`, which are the same numbers to rounding.
struct AdamW: Optimizer {
    private let beta1: Double
    private let beta2: Double
    private let epsilon: Double

    /// - Throws: a usage error for any `optim_args`; AdamW's settings are `adam_beta1`, `adam_beta2`, `adam_epsilon`.
    init(_ arguments: TrainingArguments) throws(TuttiError) {
        let options = try OptimizerRegistry.options(
            arguments,
            defaults: ["beta1": arguments.adamBeta1, "beta2": arguments.adamBeta2, "eps": arguments.adamEpsilon])
        beta1 = options["beta1"] ?? arguments.adamBeta1
        beta2 = options["beta2"] ?? arguments.adamBeta2
        epsilon = options["eps"] ?? arguments.adamEpsilon
    }

    var stateNames: [String] { ["exp_avg", "exp_avg_sq"] }

    func update(
        _ run: UpdateRun, of parameters: ParameterStore, state: OptimizerState, step: Int, factor: Double,
        gradientScale: Float
    ) {
        OptimizerKernels.adamW(
            parameters: .init(rebasing: parameters.values[run.range]),
            gradients: .init(rebasing: parameters.gradients[run.range]),
            first: .init(rebasing: state.arenas[0][run.range]), second: .init(rebasing: state.arenas[1][run.range]),
            step: step, learningRate: run.baseRate * factor, beta1: beta1, beta2: beta2, epsilon: epsilon,
            weightDecay: run.weightDecay, gradientScale: gradientScale)
    }
}
