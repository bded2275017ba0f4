// AdamW with decoupled weight decay, in torch's order of operations.
//
// Reference: Loshchilov & Hutter 2019, arXiv 1711.05101; torch.optim.AdamW.

import TuttiEncoders
import TuttiFormats
import TuttiGround
import TuttiKernels

/// `optim: adamw_torch` and `adamw_torch_fused`, which are the same numbers to rounding.
struct AdamW: Optimizer {
    /// Its options, which stand before adam_beta1, adam_beta2 and adam_epsilon.
    struct Settings: DescribedSettings {
        var beta1 = 0.9
        var beta2 = 0.999
        var epsilon = 1e-8

        static let options = OptionList<Settings>([
            Option("beta1", \.beta1, "in place of adam_beta1", check: .within(0..<1)),
            Option("beta2", \.beta2, "in place of adam_beta2", check: .within(0..<1)),
            Option("eps", \.epsilon, "in place of adam_epsilon", check: .atLeast(0)),
        ])
    }

    /// What the registry knows of it.
    static let entry = OptimizerEntry(
        names: ["adamw_torch_fused", "adamw_torch"], summary: "Adam with decoupled weight decay",
        settings: Settings.self, start: takeArguments
    ) { AdamW(settings: $0) }

    /// Its options, for an optimizer that holds its settings at `path`.
    static func options<Outer>(at path: WritableKeyPath<Outer, Settings> & Sendable) -> [Option<Outer>] {
        Settings.options.options.map { $0.lifted(to: path) }
    }

    /// Takes over the arguments that the reference has for Adam.
    @Sendable static func takeArguments(_ settings: inout Settings, _ arguments: TrainingArguments) {
        (settings.beta1, settings.beta2) = (arguments.adamBeta1, arguments.adamBeta2)
        settings.epsilon = arguments.adamEpsilon
    }

    let settings: Settings

    var stateNames: [String] { ["exp_avg", "exp_avg_sq"] }

    func leavesStill(_ run: UpdateRun) -> Bool { run.weightDecay == 0 && settings.epsilon > 0 }

    func update(
        _ run: UpdateRun, of parameters: ParameterStore, state: OptimizerState, step: Int, factor: Double,
        gradientScale: Float
    ) {
        OptimizerKernels.adamW(
            parameters: .init(rebasing: parameters.values[run.range]),
            gradients: .init(rebasing: parameters.gradients[run.range]),
            first: state.arenas[0][run.range], second: state.arenas[1][run.range],
            step: step, learningRate: run.baseRate * factor, beta1: settings.beta1,
            beta2: settings.beta2, epsilon: settings.epsilon, weightDecay: run.weightDecay, gradientScale: gradientScale
        )
    }
}
