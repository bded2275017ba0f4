// The steps of a run without what stands between them: for measuring what a training step costs.
//
// These are the very steps of `train()`: the same batches, loss, exchange, optimizer and bookkeeping, without logging,
// evaluation, saving, and without an output folder.

import TuttiCorpus
import TuttiEnsemble
import TuttiFormats
import TuttiGround

/// What one step cost this rank.
public struct StepTiming: Sendable {
    /// Main-thread seconds by phase.
    public var clock: PhaseClock
    /// Packed tokens and rows of this rank.
    public var tokens: Int
    public var rows: Int
    /// Sum of the squares of the sequences' lengths: what attention costs grows with it.
    public var squaredLengths: Int

    /// Wall seconds of the step.
    public var seconds: Double { clock.total }
}

extension Trainer {
    /// Trains `count` steps from where the run stands and hands the cost of each to `finished`, whose own time is not
    /// counted. Begins a new epoch where the data end. Collective.
    ///
    /// - Throws: exit 70 for a gradient that is not finite, and what `finished` throws.
    public func timeSteps(_ count: Int, _ finished: (StepTiming) throws -> Void) throws {
        try takeMemory()
        let accumulation = inputs.arguments.gradientAccumulationSteps
        var done = 0
        while done < count {
            let batches = plan.batches(epoch: state.epochIndex)
            guard batches.batchCount > 0 else {
                throw TuttiError(
                    .data, "plan the batches", inputs.trainDatasets[0].table.source,
                    "epoch \(state.epochIndex + 1) has no batch")
            }
            let source = source(
                inputs.trainDatasets, batches, from: state.nextMicroBatch, epoch: state.epochIndex)
            while done < count, state.nextMicroBatch < batches.batchCount {
                let micro = min(accumulation, batches.batchCount - state.nextMicroBatch)
                var squaredLengths = 0
                try ensemble.barrier()  // ranks begin together: a rank's exchange waits for the step, not for the bench
                clock.reset()
                let report = try step.run(
                    number: state.globalStep, lossUpdates: state.lossUpdates, microBatches: micro, clock: &clock
                ) {
                    let batch = try source.next()
                    squaredLengths += batch.packed.squaredLengths
                    return batch
                }
                clock.enter(.other)
                try take(report, microBatches: micro, of: batches.batchCount)
                clock.enter(.other)
                try finished(
                    StepTiming(
                        clock: clock, tokens: report.tokens, rows: report.rows, squaredLengths: squaredLengths))
                done += 1
            }
            if state.nextMicroBatch >= batches.batchCount {
                state.epochIndex += 1
                state.nextMicroBatch = 0
            }
        }
    }
}
