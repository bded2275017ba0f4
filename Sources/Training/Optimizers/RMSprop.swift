// RMSprop, in torch's order of operations; its weight decay is coupled: a part of the gradient.
//
// Reference: Tieleman & Hinton 2012; torch.optim.RMSprop.

import TuttiEncoders
import TuttiGround
import TuttiKernels

/// `optim: rmsprop`.
struct RMSprop: Optimizer {
    /// Its options.
    struct Settings: DescribedSettings {
        var alpha = 0.99
        var epsilon = 1e-8
        var momentum = 0.0
        var centered = false

        static let options = OptionList<Settings>([
            Option("alpha", \.alpha, "decay of the mean of squared gradients", check: .within(0..<1)),
            Option("eps", \.epsilon, "added to the denominator", check: .atLeast(0)),
            Option("momentum", \.momentum, "the share of the last update that is kept", check: .atLeast(0)),
            Option("centered", \.centered, "take the mean gradient off first: a variance in place of a mean square"),
        ])
    }

    /// What the registry knows of it.
    static let entry = OptimizerEntry(
        names: ["rmsprop"], summary: "the gradient over the root of its mean square", settings: Settings.self
    ) { RMSprop(settings: $0) }

    let settings: Settings

    var stateNames: [String] {
        ["square_avg"] + (settings.centered ? ["grad_avg"] : []) + (settings.momentum > 0 ? ["momentum_buffer"] : [])
    }

    func leavesStill(_ run: UpdateRun) -> Bool { run.weightDecay == 0 && settings.epsilon > 0 }

    func update(
        _ run: UpdateRun, of parameters: ParameterStore, state: OptimizerState, step: Int, factor: Double,
        gradientScale: Float
    ) {
        var scalars = UpdateScalars(gradientScale: gradientScale)
        scalars.coupledDecay = run.weightDecay
        scalars.rate = run.baseRate * factor
        (scalars.beta2, scalars.epsilon, scalars.momentum) = (settings.alpha, settings.epsilon, settings.momentum)
        let arrays = run.arrays(
            parameters, state, a: 0, b: settings.centered ? 1 : nil,
            c: settings.momentum > 0 ? (settings.centered ? 2 : 1) : nil)
        OptimizerKernels.apply(.rmsprop, arrays, scalars)
    }
}
