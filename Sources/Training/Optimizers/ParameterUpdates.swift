// All that moves the parameters of a run: the optimizer, its memory, the update of a step, averages of the weights.

import TuttiEncoders
import TuttiEnsemble
import TuttiGround
import TuttiModels

/// The updates of a run, made of its arguments.
package final class ParameterUpdates {
    let memory: TrainingMemory
    let update: Update
    let weights: EvaluationWeights
    private let ensemble: any Ensemble

    /// Prepares them. Nothing is allocated before `place`.
    ///
    /// - Parameters:
    ///   - losses: where the parameters of each loss lie.
    ///   - totalSteps: those of the schedule, of which a warm-up may be a share.
    ///   - names: what else a parameter is called in patterns.
    /// - Throws: usage errors for an optimizer, an option or a pattern that there is not.
    package init(
        _ parameters: ParameterStore, losses: [Range<Int>] = [], arguments: TrainingArguments, totalSteps: Int,
        names: [String: ParameterNames] = [:], ensemble: any Ensemble
    ) throws(TuttiError) {
        let optimizer = try OptimizerRegistry.make(arguments.countingWarmup(totalSteps: totalSteps))
        let runs = try updateRuns(
            layout: parameters.layout, losses: losses, arguments: arguments,
            wholeTensors: optimizer.needsWholeTensors, names: names)
        memory = TrainingMemory(
            parameters, runs: runs, optimizer: optimizer, exchange: arguments.exchange, wire: arguments.wire,
            sharding: arguments.optimizerSharding, isTree: arguments.deterministic == .worldSize)
        update = Update(optimizer, memory: memory, arguments: arguments)
        weights = EvaluationWeights(optimizer, memory: memory, ensemble: ensemble)
        self.ensemble = ensemble
    }

    /// Places arenas, before the first step. Returns what to tell the user. Collective.
    package func place() throws -> String? { try memory.place(among: ensemble) }

    /// Sums the gradients that the ranks have, and moves the parameters by one step. Collective.
    ///
    /// - Parameters:
    ///   - number: 0 for the first step.
    ///   - factor: the schedule's factor of the learning rate.
    package func step(number: Int, factor: Double) throws -> GradientNorms {
        memory.exchange.finished(0..<memory.parameters.layout.count)
        let norms = try memory.exchange.sum()
        update.apply(number: number, factor: factor, norms: norms, usedLosses: [], lossUpdates: [])
        try memory.exchange.publish()
        return norms
    }

    /// Runs `body` with the weights to evaluate in the parameters' place. Collective.
    package func evaluating<Result>(_ body: () throws -> Result) throws -> Result { try weights.during(body) }

    /// Writes the optimizer's state, as a checkpoint has it. Collective.
    package func saveState(to path: String) throws {
        let layout = memory.parameters.layout
        if memory.state.isSharded { return try memory.state.saveTogether(to: path, layout: layout, among: ensemble) }
        try ensemble.onRoot { try memory.state.save(to: path, layout: layout) }
    }

    /// Reads it back, where the parameters hold what a checkpoint's model does: the weights to evaluate. Collective.
    package func resume(from path: String) throws {
        try ensemble.together("read the optimizer's state") {
            if memory.isWriter { try memory.state.load(from: path, layout: memory.parameters.layout) }
            try memory.state.loadNumbers(from: path)
        }
        weights.noteRestored()
        try weights.putBack()
    }
}
