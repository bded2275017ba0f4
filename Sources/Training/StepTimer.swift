// The steps of a run without what stands between them: for measuring what a training step costs.
//
// These are the very steps of `train()`: the same batches, loss, exchange, optimizer and bookkeeping, without logging,
// evaluation, saving, and without an output folder.

import TuttiCorpus
import TuttiEnsemble
import TuttiFormats
import TuttiGround

/// What one step cost this rank.
package struct StepTiming: Sendable {
    /// Main-thread seconds by phase.
    package var clock: PhaseClock
    /// Packed tokens and rows of this rank.
    package var tokens: Int
    package var rows: Int
    /// Lengths of the sequences: what attention costs depends on them.
    package var lengths: [Int]

    /// Wall seconds of the step.
    package var seconds: Double { clock.total }
}

/// Runs the steps of a training run for their time alone.
package final class StepTimer {
    private let trainer: Trainer
    private let ensemble: any Ensemble

    /// Prepares the steps. Collective.
    ///
    /// - Throws: as `Trainer.init`.
    package convenience init(_ inputs: TrainingInputs, ensemble: any Ensemble) throws {
        self.init(try Trainer(inputs, ensemble: ensemble), ensemble: ensemble)
    }

    /// The steps of a run that is prepared already.
    package init(_ trainer: Trainer, ensemble: any Ensemble) {
        self.trainer = trainer
        self.ensemble = ensemble
    }

    /// Trains `count` steps from where the run is and hands the cost of each to `finished`, whose own time is not
    /// counted. Begins a new epoch where the data end. Collective.
    ///
    /// - Throws: exit 70 for a gradient that is not finite, and what `finished` throws.
    package func time(_ count: Int, _ finished: (StepTiming) throws -> Void) throws {
        try trainer.inputs.model.encoder.compute.run { try takeSteps(count, finished) }
    }

    private func takeSteps(_ count: Int, _ finished: (StepTiming) throws -> Void) throws {
        try trainer.takeMemory()
        var done = 0
        while done < count {
            let epoch = trainer.state.epochIndex
            let batches = trainer.plan.batches(epoch: epoch)
            guard batches.batchCount > 0 else {
                throw TuttiError(
                    .data, "plan the batches", trainer.inputs.trainDatasets[0].table.source,
                    "epoch \(epoch + 1) has no batch")
            }
            let source = try trainer.batches.source(
                trainer.inputs.trainDatasets, batches, from: trainer.state.nextMicroBatch, epoch: epoch)
            while done < count, trainer.state.epochIndex == epoch {
                var lengths: [Int] = []
                try ensemble.barrier()  // ranks begin together: a rank's exchange waits for the step, not for the bench
                trainer.log.startClock()
                let report = try trainer.takeStep(of: batches) {
                    let batch = try source.next()
                    lengths += batch[.student].lengths
                    return batch
                }
                trainer.log.clock.enter(.other)
                try finished(
                    StepTiming(
                        clock: trainer.log.clock, tokens: report.tokens, rows: report.rows, lengths: lengths))
                done += 1
            }
        }
    }
}
