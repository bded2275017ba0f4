// AdEMAMix: AdamW with a second, much slower moment.
//
// Reference: Pagliardini et al. 2024, arXiv 2409.03137; the reference class of bitsandbytes.optim.AdEMAMix.

import Foundation
import TuttiEncoders
import TuttiGround
import TuttiKernels

/// `optim: ademamix`.
struct AdEMAMix: Optimizer {
    /// Its options.
    struct Settings: DescribedSettings {
        var adam = AdamW.Settings()
        var beta3 = 0.9999
        var alpha = 5.0
        var alphaSteps: Int?
        var beta3Steps: Int?

        static let options = OptionList<Settings>(AdamW.options(at: \.adam) + own)
        private static let own: [Option<Settings>] = [
            Option("beta3", \.beta3, "decay of the slow moment", check: .within(0..<1)),
            Option("alpha", \.alpha, "the weight of the slow moment", check: .within(0...1e6)),
            Option("t_alpha", \.alphaSteps, "steps in which alpha rises from 0", check: .atLeast(1)),
            Option("t_beta3", \.beta3Steps, "steps in which beta3 rises from beta1", check: .atLeast(1)),
        ]
    }

    /// What the registry knows of it.
    static let entry = OptimizerEntry(
        names: ["ademamix"], summary: "AdamW with a second, slow moment", settings: Settings.self,
        start: { AdamW.takeArguments(&$0.adam, $1) }
    ) { (settings) throws(OptionProblem) in
        if settings.beta3Steps != nil, settings.adam.beta1 == 0 || settings.beta3 == 0 {
            throw OptionProblem("needs beta1 and beta3 above 0", at: "t_beta3")
        }
        return AdEMAMix(settings: settings)
    }

    let settings: Settings

    var stateNames: [String] { ["m1", "m2", "nu"] }

    func leavesStill(_ run: UpdateRun) -> Bool { run.weightDecay == 0 && settings.adam.epsilon > 0 }

    func update(
        _ run: UpdateRun, of parameters: ParameterStore, state: OptimizerState, step: Int, factor: Double,
        gradientScale: Float
    ) {
        let adam = settings.adam
        var scalars = UpdateScalars(gradientScale: gradientScale)
        scalars.rate = run.baseRate * factor
        scalars.coupledDecay = run.weightDecay  // of the direction, so it is decoupled from the moments
        (scalars.beta1, scalars.beta2, scalars.epsilon) = (adam.beta1, adam.beta2, adam.epsilon)
        scalars.momentum = settings.alpha * Swift.min(1, settings.alphaSteps.map { Double(step) / Double($0) } ?? 1)
        scalars.beta3 = beta3(step)
        scalars.correction1 = 1 - OptimizerKernels.power(adam.beta1, step)
        scalars.correction2 = (1 - OptimizerKernels.power(adam.beta2, step)).squareRoot()
        OptimizerKernels.apply(.ademamix, run.arrays(parameters, state, a: 0, b: 1, c: 2), scalars)
    }

    /// The slow moment's decay, whose half-life rises in a straight line.
    private func beta3(_ step: Int) -> Double {
        guard let steps = settings.beta3Steps else { return settings.beta3 }
        let (first, last, done) = (log(settings.adam.beta1), log(settings.beta3), Double(step) / Double(steps))
        return Swift.min(exp(first * last / ((1 - done) * last + done * first)), settings.beta3)
    }
}
