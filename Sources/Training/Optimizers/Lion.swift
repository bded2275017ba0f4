// Lion: steps of one size, in the direction of a sign.
//
// A learning rate of a third to a tenth of AdamW's is usual. The reference hands it adam_beta1 and adam_beta2, whose
// default 0.999 is not the paper's 0.99.
// Reference: Chen et al. 2023, arXiv 2302.06675; bitsandbytes.optim.Lion.

import TuttiEncoders
import TuttiGround
import TuttiKernels

/// `optim: lion_32bit`, and `lion`.
struct Lion: Optimizer {
    /// Its options, which stand before adam_beta1 and adam_beta2.
    struct Settings: DescribedSettings {
        var beta1 = 0.9
        var beta2 = 0.999

        static let options = OptionList<Settings>([
            Option("beta1", \.beta1, "in place of adam_beta1", check: .within(0..<1)),
            Option("beta2", \.beta2, "in place of adam_beta2", check: .within(0..<1)),
        ])
    }

    /// What the registry knows of it.
    static let entry = OptimizerEntry(
        names: ["lion_32bit", "lion"], summary: "the sign of a moment: steps of one size", settings: Settings.self,
        start: { ($0.beta1, $0.beta2) = ($1.adamBeta1, $1.adamBeta2) }
    ) { Lion(settings: $0) }

    let settings: Settings

    var stateNames: [String] { ["exp_avg"] }

    func leavesStill(_ run: UpdateRun) -> Bool { run.weightDecay == 0 }

    func update(
        _ run: UpdateRun, of parameters: ParameterStore, state: OptimizerState, step: Int, factor: Double,
        gradientScale: Float
    ) {
        var scalars = UpdateScalars(gradientScale: gradientScale)
        scalars.rate = run.baseRate * factor
        scalars.decay = 1 - scalars.rate * run.weightDecay
        (scalars.beta1, scalars.beta2) = (settings.beta1, settings.beta2)
        OptimizerKernels.apply(.lion, run.arrays(parameters, state, a: 0), scalars)
    }
}
