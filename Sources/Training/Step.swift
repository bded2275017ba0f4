// One optimizer step, top to bottom. This is the page to read first.
//
// Every rank runs it on its own rows of the same global batches. A loss is divided by the global batch, gradients are
// summed over ranks, so the number of ranks appears nowhere. Legend: b rows on this rank, C text columns, D width.

import TuttiEncoders
import TuttiEnsemble
import TuttiKernels
import TuttiObjectives

/// What a step tells the training loop.
struct StepReport {
    /// This rank's share of the loss, the mean over the micro-batches; the ranks' shares add up to the loss.
    var partialLoss = 0.0
    /// Norm of the gradient of the model's own parameters before clipping, equal on all ranks.
    var gradientNorm = 0.0
    /// The learning rate that the update used.
    var learningRate = 0.0
    /// Tokens that this rank encoded, and rows of the data.
    var tokens = 0
    var rows = 0
}

/// The parts of a training step, made once a run; `memory.allocate` comes before the first.
final class TrainingStep {
    let encoder: SequenceEncoder
    let loss: any Loss
    let ensemble: any Ensemble
    let reducer: Reducer
    let optimizer: any Optimizer
    let memory: TrainingMemory
    let schedule: LearningRateSchedule
    let baseRate: Double
    let maxGradNorm: Double
    let seed: UInt64
    private var arena = Arena()

    /// Runs optimizer step `number` (0 for the first) over `count` micro-batches handed out by `nextBatch`.
    /// Collective. Allocates nothing once the largest batch has been seen.
    func run(
        number: Int, microBatches count: Int, clock: inout PhaseClock, nextBatch: () throws -> PreparedBatch
    ) throws -> StepReport {
        var report = StepReport()
        encoder.parameters.clearGradients()
        for micro in 0..<count {
            clock.enter(.data)
            let batch = try nextBatch()
            arena.reset()
            let embeddings = arena.matrix(batch.columns * batch.rows, encoder.outputWidth)  // [C*b, D]
            let dEmbeddings = arena.matrix(batch.columns * batch.rows, encoder.outputWidth)  // [C*b, D]

            clock.enter(.forward)
            let dropout = DropoutStream(seed: seed, step: UInt64(number), microStep: UInt32(micro))
            encoder.forward(batch.packed, into: embeddings, dropout: dropout, keepActivations: true)

            clock.enter(.loss)
            let value = try batch.withLossBatch(embeddings) {
                try loss.evaluate($0, dEmbeddings: dEmbeddings, ensemble: ensemble)
            }
            report.partialLoss += value / Double(count)
            if count > 1 {
                let values = UnsafeMutableBufferPointer(
                    start: dEmbeddings.pointer, count: dEmbeddings.rows * dEmbeddings.columns)
                OptimizerKernels.scale(values, by: 1 / Float(count))
            }

            clock.enter(.backward)
            let isLast = micro == count - 1
            encoder.backward(dEmbeddings) { slice in if isLast { reducer.reduce(slice) } }
            report.tokens += batch.packed.tokenCount
            report.rows += batch.rows
        }
        clock.enter(.exchange)
        report.gradientNorm = try reducer.finish()

        clock.enter(.optimizer)
        guard report.gradientNorm.isFinite else { return report }  // the loop stops the run; weights stay as they were
        let factor = schedule.factor(number)
        report.learningRate = baseRate * factor
        let scale = clipCoefficient(report.gradientNorm)
        Parallel.forRange(memory.runs.count, grain: 1) { places in
            for run in memory.runs[places] {
                optimizer.update(
                    run, of: encoder.parameters, state: memory.state, step: number + 1, factor: factor,
                    gradientScale: scale)
            }
        }
        try reducer.meetAfterUpdate()
        return report
    }

    /// What scales the gradient down to norm `maxGradNorm`, as torch's clip_grad_norm_; 1 where it is smaller.
    private func clipCoefficient(_ norm: Double) -> Float {
        maxGradNorm > 0 ? Float(min(1, maxGradNorm / (norm + 1e-6))) : 1
    }

    init(
        encoder: SequenceEncoder, loss: any Loss, ensemble: any Ensemble, optimizer: any Optimizer, runs: [UpdateRun],
        schedule: LearningRateSchedule, arguments: TrainingArguments
    ) {
        self.encoder = encoder
        self.loss = loss
        self.ensemble = ensemble
        self.optimizer = optimizer
        self.schedule = schedule
        memory = TrainingMemory(encoder.parameters, runs: runs, stateNames: optimizer.stateNames)
        reducer = Reducer(memory, ensemble: ensemble)
        baseRate = arguments.learningRate
        maxGradNorm = arguments.maxGradNorm
        seed = arguments.seed
    }
}
