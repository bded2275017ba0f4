// Stochastic gradient descent with momentum, as torch.optim.SGD.

import TuttiEncoders
import TuttiFormats
import TuttiGround
import TuttiKernels

/// `optim: sgd`; `optim_args` takes momentum, dampening, nesterov.
struct SGD: Optimizer {
    private let momentum: Double
    private let dampening: Double
    private let nesterov: Bool

    /// - Throws: a usage error for an unknown option, or Nesterov momentum without momentum or with dampening.
    init(_ arguments: TrainingArguments) throws(TuttiError) {
        let options = try OptimizerRegistry.options(
            arguments, defaults: ["momentum": 0, "dampening": 0, "nesterov": 0])
        momentum = options["momentum"] ?? 0
        dampening = options["dampening"] ?? 0
        nesterov = options["nesterov"] != 0
        if nesterov, momentum <= 0 || dampening != 0 {
            throw TuttiError(
                .usage, "read the optimizer's options", "args.optim_args.nesterov",
                "Nesterov momentum needs momentum > 0 and no dampening")
        }
    }

    var stateNames: [String] { momentum == 0 ? [] : ["momentum_buffer"] }

    func update(
        _ run: UpdateRun, of parameters: ParameterStore, state: OptimizerState, step: Int, factor: Double,
        gradientScale: Float
    ) {
        let buffer = state.arenas.first.map { UnsafeMutableBufferPointer(rebasing: $0[run.range]) }
        OptimizerKernels.sgd(
            parameters: .init(rebasing: parameters.values[run.range]),
            gradients: .init(rebasing: parameters.gradients[run.range]), momentumBuffer: buffer,
            firstStep: step == 1, learningRate: run.baseRate * factor, momentum: momentum, dampening: dampening,
            nesterov: nesterov, weightDecay: run.weightDecay, gradientScale: gradientScale)
    }
}
