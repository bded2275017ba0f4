// One optimizer step, top to bottom. This is the page to read first.
//
// Every rank runs it on its own rows of the same global batches. A loss is divided by the global batch, gradients are
// summed over ranks, so the number of ranks appears nowhere.

import TuttiEncoders
import TuttiEnsemble
import TuttiKernels
import TuttiObjectives

/// What a step tells the training loop.
struct StepReport {
    /// This rank's share of the loss, the mean over the micro-batches; the ranks' shares add up to the loss.
    var partialLoss = 0.0
    /// The shares of the summands that the loss logs by name.
    var parts: [(name: String, value: Double)] = []
    /// Norm of the gradient of the model's own parameters before clipping, equal on all ranks.
    var gradientNorm = 0.0
    /// The learning rate that the update used.
    var learningRate = 0.0
    /// Tokens that this rank encoded, and rows of the data.
    var tokens = 0
    var rows = 0

    mutating func add(_ value: Double, parts summands: [(name: String, value: Double)], count: Int) {
        partialLoss += value / Double(count)
        for (name, value) in summands {
            if let place = parts.firstIndex(where: { $0.name == name }) {
                parts[place].value += value / Double(count)
            } else {
                parts.append((name, value / Double(count)))
            }
        }
    }
}

/// The parts of a training step, made once a run; `memory.allocate` comes before the first.
final class TrainingStep {
    let encoder: SequenceEncoder
    /// One a loss, and the loss of every data set.
    let objectives: [Objective]
    let lossOfDataset: [Int]
    /// The losses that had a part in the last step: those of the data sets of its micro-batches, equal on all ranks.
    private(set) var usedLosses: [Bool]
    let ensemble: any Ensemble
    let reducer: Reducer
    let optimizer: any Optimizer
    let memory: TrainingMemory
    let schedule: LearningRateSchedule
    let arguments: TrainingArguments

    /// Runs optimizer step `number` (0 for the first) over `count` micro-batches handed out by `nextBatch`.
    /// Collective. Allocates nothing once the largest batch has been seen, as far as the loss does not.
    ///
    /// - Parameter lossUpdates: how often the parameters of each loss were updated before.
    func run(
        number: Int, lossUpdates: [Int], microBatches count: Int, clock: inout PhaseClock,
        nextBatch: () throws -> PreparedBatch
    ) throws -> StepReport {
        var report = StepReport()
        encoder.parameters.clearGradients()
        for loss in usedLosses.indices { usedLosses[loss] = false }
        for micro in 0..<count {
            clock.enter(.data)
            let batch = try nextBatch()
            let draw = LossDraw(seed: arguments.seed, step: UInt64(number), microStep: UInt32(micro))

            let loss = lossOfDataset[batch.dataset]
            let objective = objectives[loss]
            usedLosses[loss] = true

            clock.enter(.forward)
            objective.encode(batch, draw: draw, isTraining: true)

            clock.enter(.loss)
            let value = try objective.evaluate(batch, draw: draw, weight: 1 / Double(count), ensemble: ensemble)
            report.add(value, parts: objective.loss.parts, count: count)

            clock.enter(.backward)
            let isLast = micro == count - 1
            objective.backward { slice in if isLast { reducer.reduce(slice) } }
            report.tokens += batch.packed.tokenCount
            report.rows += batch.rows
        }
        clock.enter(.exchange)
        let norms = try reducer.finish()
        report.gradientNorm = norms.model

        clock.enter(.optimizer)
        guard norms.all.isFinite else { return report.diverged }  // the loop stops the run; weights stay as they were
        let factor = schedule.factor(number)
        report.learningRate = arguments.learningRate * factor
        let clipsAll = arguments.clipLossParameters
        let scale = clipCoefficient(clipsAll ? norms.all : norms.model)
        let modelCount = encoder.layout.modelCount
        Parallel.forRange(memory.runs.count, grain: 1) { places in
            for run in memory.runs[places] {
                var updates = number
                if let loss = run.loss {
                    // As the reference's optimizer passes over parameters without a gradient: no decay, no momentum.
                    guard usedLosses[loss] else { continue }
                    updates = lossUpdates[loss]
                }
                optimizer.update(
                    run, of: encoder.parameters, state: memory.state, step: updates + 1, factor: factor,
                    gradientScale: clipsAll || run.range.lowerBound < modelCount ? scale : 1)
            }
        }
        try reducer.meetAfterUpdate()
        return report
    }

    /// What scales the gradient down to norm `max_grad_norm`, as torch's clip_grad_norm_; 1 where it is smaller.
    private func clipCoefficient(_ norm: Double) -> Float {
        arguments.maxGradNorm > 0 ? Float(min(1, arguments.maxGradNorm / (norm + 1e-6))) : 1
    }

    init(
        objectives: [Objective], lossOfDataset: [Int], ensemble: any Ensemble, optimizer: any Optimizer, runs: [UpdateRun],
        schedule: LearningRateSchedule, arguments: TrainingArguments
    ) {
        self.objectives = objectives
        self.lossOfDataset = lossOfDataset
        usedLosses = [Bool](repeating: false, count: objectives.count)
        encoder = objectives[0].model.encoder
        self.ensemble = ensemble
        self.optimizer = optimizer
        self.schedule = schedule
        self.arguments = arguments
        memory = TrainingMemory(encoder.parameters, runs: runs, stateNames: optimizer.stateNames)
        reducer = Reducer(memory, ensemble: ensemble)
    }
}

extension StepReport {
    /// The report of a step whose gradient is not finite somewhere, be it only in a loss's own parameters.
    fileprivate var diverged: StepReport {
        var report = self
        report.gradientNorm = .nan
        return report
    }
}
