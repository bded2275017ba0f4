// Adagrad, in torch's order of operations; its weight decay is coupled: a part of the gradient.
//
// Reference: Duchi, Hazan & Singer 2011 (JMLR 12); torch.optim.Adagrad.

import TuttiEncoders
import TuttiGround
import TuttiKernels

/// `optim: adagrad`.
struct Adagrad: Optimizer {
    /// Its options.
    struct Settings: DescribedSettings {
        var rateDecay = 0.0
        var epsilon = 1e-10

        static let options = OptionList<Settings>([
            Option("lr_decay", \.rateDecay, "how fast the learning rate falls with the steps", check: .atLeast(0)),
            Option("eps", \.epsilon, "added to the denominator", check: .atLeast(0)),
        ])
    }

    /// What the registry knows of it.
    static let entry = OptimizerEntry(
        names: ["adagrad"], summary: "the gradient over the root of the sum of its squares", settings: Settings.self
    ) { Adagrad(settings: $0) }

    let settings: Settings

    var stateNames: [String] { ["sum"] }

    func leavesStill(_ run: UpdateRun) -> Bool { run.weightDecay == 0 && settings.epsilon > 0 }

    func update(
        _ run: UpdateRun, of parameters: ParameterStore, state: OptimizerState, step: Int, factor: Double,
        gradientScale: Float
    ) {
        var scalars = UpdateScalars(gradientScale: gradientScale)
        scalars.coupledDecay = run.weightDecay
        scalars.rate = run.baseRate * factor / (1 + Double(step - 1) * settings.rateDecay)
        scalars.epsilon = settings.epsilon
        OptimizerKernels.apply(.adagrad, run.arrays(parameters, state, a: 0), scalars)
    }
}
