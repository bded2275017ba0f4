// One optimizer step, top to bottom. This is the page to read first.
//
// Every rank runs it on its own rows of the same global batches. A loss is divided by the global batch, gradients are
// summed over ranks, so the number of ranks appears nowhere.

import TuttiEncoders
import TuttiEnsemble
import TuttiObjectives

/// The parts of a training step, made once a run; `memory.place` comes before the first.
final class TrainingStep {
    /// One a loss, and the loss of every data set.
    let objectives: [Objective]
    let lossOfDataset: [Int]
    /// The losses that had a part in the last step: those of the data sets of its micro-batches, equal on all ranks.
    private(set) var usedLosses: [Bool]
    let memory: TrainingMemory
    /// Where the bits of a run must not depend on its ranks.
    let shards: LogicalShards?
    private let update: Update
    private let schedule: LearningRateSchedule
    private let arguments: TrainingArguments
    private let ensemble: any Ensemble

    /// Runs optimizer step `number` (0 for the first) over `count` micro-batches handed out by `nextBatch`.
    /// Collective. Allocates nothing once the largest batch has been seen, as far as the loss does not.
    ///
    /// - Parameter lossUpdates: how often the parameters of each loss were updated before.
    func run(
        number: Int, lossUpdates: [Int], microBatches count: Int, clock: inout PhaseClock,
        nextBatch: () throws -> PreparedBatch
    ) throws -> StepReport {
        var report = StepReport()
        let exchange = memory.exchange
        memory.parameters.clearGradients()
        for loss in usedLosses.indices { usedLosses[loss] = false }
        for micro in 0..<count {
            clock.enter(.data)
            let batch = try nextBatch()
            let draw = LossDraw(seed: arguments.seed, step: UInt64(number), microStep: UInt32(micro))
            let objective = objectives[lossOfDataset[batch.dataset]]
            usedLosses[lossOfDataset[batch.dataset]] = true

            clock.enter(.forward)
            let pass = ObjectivePass(objective, batch, draw: draw, isTraining: true, shards: shards)

            clock.enter(.loss)
            let value = try pass.evaluate(weight: 1 / Double(count), ensemble: exchange.ranks)
            report.add(value, parts: objective.loss.parts, count: count)

            clock.enter(.backward)
            let isLast = micro == count - 1
            pass.backward { slice in if isLast { exchange.finished(slice) } }
            report.tokens += batch[.student].tokenCount
            report.rows += batch.rows
            report.flops += batch.flops
        }
        clock.enter(.exchange)
        shards?.complete()
        let norms = try exchange.sum()
        report.gradientNorm = norms.model

        clock.enter(.optimizer)
        guard norms.all.isFinite else { return report.diverged }  // the loop stops the run; weights stay as they were
        let factor = schedule.factor(number)
        report.learningRate = arguments.learningRate * factor
        update.apply(number: number, factor: factor, norms: norms, usedLosses: usedLosses, lossUpdates: lossUpdates)
        try exchange.publish()
        return report
    }

    init(
        _ objectives: [Objective], lossOfDataset: [Int], memory: TrainingMemory, update: Update,
        schedule: LearningRateSchedule, arguments: TrainingArguments, ensemble: any Ensemble, shards: LogicalShards?
    ) {
        (self.objectives, self.lossOfDataset) = (objectives, lossOfDataset)
        (self.memory, self.update, self.schedule) = (memory, update, schedule)
        (self.arguments, self.ensemble, self.shards) = (arguments, ensemble, shards)
        usedLosses = [Bool](repeating: false, count: objectives.count)
    }
}
