// Adadelta, in torch's order of operations; its weight decay is coupled: a part of the gradient.
//
// Its steps have a size of their own: learning_rate multiplies them, and 1 is the paper's.
// Reference: Zeiler 2012, arXiv 1212.5701; torch.optim.Adadelta.

import TuttiEncoders
import TuttiGround
import TuttiKernels

/// `optim: adadelta`.
struct Adadelta: Optimizer {
    /// Its options.
    struct Settings: DescribedSettings {
        var rho = 0.9
        var epsilon = 1e-6

        static let options = OptionList<Settings>([
            Option("rho", \.rho, "decay of both means of squares", check: .within(0..<1)),
            Option("eps", \.epsilon, "added under both roots", check: .positive),
        ])
    }

    /// What the registry knows of it.
    static let entry = OptimizerEntry(
        names: ["adadelta"], summary: "steps in proportion to earlier steps over gradients; learning_rate: 1 is usual",
        settings: Settings.self
    ) { Adadelta(settings: $0) }

    let settings: Settings

    var stateNames: [String] { ["square_avg", "acc_delta"] }

    func leavesStill(_ run: UpdateRun) -> Bool { run.weightDecay == 0 }

    func update(
        _ run: UpdateRun, of parameters: ParameterStore, state: OptimizerState, step: Int, factor: Double,
        gradientScale: Float
    ) {
        var scalars = UpdateScalars(gradientScale: gradientScale)
        scalars.coupledDecay = run.weightDecay
        scalars.rate = run.baseRate * factor
        (scalars.beta2, scalars.epsilon) = (settings.rho, settings.epsilon)
        OptimizerKernels.apply(.adadelta, run.arrays(parameters, state, a: 0, b: 1), scalars)
    }
}
