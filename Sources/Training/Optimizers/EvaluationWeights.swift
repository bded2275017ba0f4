// Weights that are evaluated and saved in place of those that are trained: an average of them.
//
// The two change places: while a model is evaluated or written, an arena of the optimizer's state holds the trained
// weights, bit for bit, and so does a checkpoint's `optimizer.safetensors`, under `training_weights.<parameter>`. The model
// of a checkpoint is the one to use; a resumed run changes them back.

import TuttiEnsemble
import TuttiGround
import TuttiKernels

/// Puts the weights to evaluate into the parameters' place, and the trained ones back.
final class EvaluationWeights {
    /// The prefix of the arena's tensors in `optimizer.safetensors`.
    static let stateName = "training_weights"

    private let optimizer: any Optimizer
    private let memory: TrainingMemory
    private let ensemble: any Ensemble
    private var areInPlace = false

    /// Those of `optimizer`, whose state is in `memory`.
    init(_ optimizer: any Optimizer, memory: TrainingMemory, ensemble: any Ensemble) {
        (self.optimizer, self.memory, self.ensemble) = (optimizer, memory, ensemble)
    }

    /// Whether the two differ.
    var exist: Bool { optimizer.evaluationWeights != nil }

    /// Runs `body` with the weights to evaluate in place, and puts the trained ones back unless they were away before.
    /// Collective.
    func during<Result>(_ body: () throws -> Result) throws -> Result {
        guard exist, !areInPlace else { return try body() }
        try putInPlace()
        let result: Result
        do {
            result = try body()
        } catch let error as TuttiError where error.kind == .preempted {
            try putBack()  // every rank has given up; any other error ends the run
            throw error
        }
        try putBack()
        return result
    }

    /// Puts the weights to evaluate in place, to stay. Collective.
    func putInPlace() throws {
        guard exist, !areInPlace else { return }
        try change(makes: true)
        areInPlace = true
    }

    /// Puts the trained weights back. Collective.
    func putBack() throws {
        guard exist, areInPlace else { return }
        try change(makes: false)
        areInPlace = false
    }

    /// The parameters hold what a checkpoint's model holds: the weights to evaluate.
    func noteRestored() { areInPlace = exist }

    private func change(makes: Bool) throws {
        guard let arena = optimizer.evaluationWeights else { return }
        try ensemble.barrier()  // nobody reads weights any more
        let (parameters, state) = (memory.parameters, memory.state)
        for run in memory.runs {
            if makes { optimizer.makeEvaluationWeights(run, of: parameters, state: state) }
            OptimizerKernels.swap(
                .init(rebasing: parameters.values[run.range]), state.arenas[arena][run.range])
        }
        try memory.exchange.publish()
    }
}
