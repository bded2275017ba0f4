// An exponential moving average of the weights, over any optimizer: it is evaluated and saved, not trained.
//
// average += (1 - ema_decay) (weights - average), after each step, beginning at the first weights.
//
// Reference: Polyak & Juditsky 1992 (SIAM J. Control Optim. 30); torch.optim.swa_utils.get_ema_multi_avg_fn.

import TuttiEncoders
import TuttiKernels

/// `ema_decay`: an optimizer whose weights are averaged.
struct AveragedWeights: Optimizer {
    private let base: any Optimizer
    private let decay: Double
    /// The number of its arena.
    private let average: Int

    /// The average of what `base` makes, of which each step keeps the share `decay`.
    init(_ base: any Optimizer, decay: Double) {
        self.base = base
        self.decay = decay
        average = base.stateNames.count
        stateNames = base.stateNames + [EvaluationWeights.stateName]
    }

    let stateNames: [String]
    var weightCopies: [Int] { base.weightCopies + [average] }
    var evaluationWeights: Int? { average }
    var numberNames: [String] { base.numberNames }
    var needsWholeTensors: Bool { base.needsWholeTensors }

    func stateTensors(of entry: ParameterLayout.Entry) -> [StateTensor] {
        base.stateTensors(of: entry) + [
            StateTensor(
                prefix: EvaluationWeights.stateName, arena: average, elements: entry.elements,
                shape: entry.shape)
        ]
    }

    func leavesStill(_ run: UpdateRun) -> Bool { base.leavesStill(run) }

    func begin(step: Int, factor: Double, _ numbers: OptimizerNumbers) {
        base.begin(step: step, factor: factor, numbers)
    }

    func update(
        _ run: UpdateRun, of parameters: ParameterStore, state: OptimizerState, step: Int, factor: Double,
        gradientScale: Float
    ) {
        base.update(
            run, of: parameters, state: state, step: step, factor: factor, gradientScale: gradientScale)
        passOver(run, of: parameters, state: state)
    }

    func passOver(_ run: UpdateRun, of parameters: ParameterStore, state: OptimizerState) {
        let mean = state.arenas[average][run.range]
        OptimizerKernels.interpolate(
            from: UnsafeBufferPointer(mean), to: UnsafeBufferPointer(rebasing: parameters.values[run.range]),
            weight: 1 - decay, into: mean)
    }
}
