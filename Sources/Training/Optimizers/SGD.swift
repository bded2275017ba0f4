// Stochastic gradient descent with momentum, as torch.optim.SGD.

import TuttiEncoders
import TuttiFormats
import TuttiGround
import TuttiKernels

/// `optim: sgd`.
struct SGD: Optimizer {
    /// Its options.
    struct Settings: DescribedSettings {
        var momentum = 0.0
        var dampening = 0.0
        var nesterov = false

        static let options = OptionList<Settings>([
            Option("momentum", \.momentum, "the share of the last update that is kept"),
            Option("dampening", \.dampening, "what the gradient loses against that share"),
            Option("nesterov", \.nesterov, "look ahead: needs momentum, and no dampening"),
        ])
    }

    /// What the registry knows of it.
    static let entry = OptimizerEntry(
        names: ["sgd"], summary: "steps along the gradient, with momentum if asked for", settings: Settings.self
    ) {
        (settings) throws(OptionProblem) in
        if settings.nesterov, settings.momentum <= 0 || settings.dampening != 0 {
            throw OptionProblem("Nesterov momentum needs momentum > 0 and no dampening", at: "nesterov")
        }
        return SGD(settings: settings)
    }

    let settings: Settings

    var stateNames: [String] { settings.momentum == 0 ? [] : ["momentum_buffer"] }

    func leavesStill(_ run: UpdateRun) -> Bool { run.weightDecay == 0 }

    func update(
        _ run: UpdateRun, of parameters: ParameterStore, state: OptimizerState, step: Int, factor: Double,
        gradientScale: Float
    ) {
        let buffer = state.arenas.first.map { $0[run.range] }
        OptimizerKernels.sgd(
            parameters: .init(rebasing: parameters.values[run.range]),
            gradients: .init(rebasing: parameters.gradients[run.range]), momentumBuffer: buffer,
            firstStep: step == 1, learningRate: run.baseRate * factor, momentum: settings.momentum,
            dampening: settings.dampening, nesterov: settings.nesterov, weightDecay: run.weightDecay,
            gradientScale: gradientScale)
    }
}
