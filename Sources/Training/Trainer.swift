// The training loop: epochs of global batches, steps, and what happens between steps.
//
// The loop is `train()` and `runEpoch()`; a step itself is Step.swift. Everything here runs on every rank; what only
// rank zero does goes through `onRoot`, so that an error of rank zero is everybody's error.

import TuttiCorpus
import TuttiEncoders
import TuttiEnsemble
import TuttiEvaluation
import TuttiFormats
import TuttiGround
import TuttiKernels
import TuttiModels
import TuttiObjectives

/// How a run ended.
public enum TrainingOutcome: Sendable, Equatable {
    /// All steps are done and `final/` is written.
    case finished
    /// The output directory held this run, finished already.
    case alreadyFinished
    /// Asked to stop by a signal: saved, exit code 85.
    case preempted(step: Int)
}

/// Trains a model; every rank makes one and calls `train()`.
public final class Trainer {
    let inputs: TrainingInputs
    let ensemble: any Ensemble
    let observer: any TrainingObserver
    let directory: RunDirectory
    let metrics: MetricsLog
    let plan: RunPlan
    /// One a loss, in the order of the inputs.
    let objectives: [Objective]
    let step: TrainingStep
    let events: EventPlan
    var state = TrainerState()
    var clock = PhaseClock()
    /// Steps and tokens that the clock has measured since the last log line.
    var stepsOnClock = 0
    var tokensOnClock = 0
    /// Steps and rows of all ranks that this process has trained on.
    var stepsTrained = 0
    var rowsTrained = 0
    var lastReport = StepReport()
    let startedAt = PhaseClock.now()
    private var stopping = false
    private var epochsWithoutBatches = 0

    /// Prepares a run. Collective.
    ///
    /// - Throws: usage errors (unknown optimizer, schedule ...), data errors (columns that do not fit the loss, no
    ///   batch at all).
    public init(_ inputs: TrainingInputs, ensemble: any Ensemble, observer: any TrainingObserver) throws {
        self.inputs = inputs
        self.ensemble = ensemble
        self.observer = observer
        let arguments = inputs.arguments
        try inputs.checkBestMetric()
        try inputs.checkColumns { line in if ensemble.isRoot { observer.notice(line) } }
        plan = try RunPlan(arguments: arguments, datasets: inputs.trainDatasets, world: ensemble.size)
        let schedule = try LearningRateSchedule(
            name: arguments.schedulerType, options: arguments.schedulerOptions, learningRate: arguments.learningRate,
            warmupSteps: arguments.warmupStepCount(totalSteps: plan.totalSteps), totalSteps: plan.totalSteps)
        objectives = try ensemble.together("prepare the loss") { try inputs.makeObjectives() }
        let runs = try updateRuns(
            layout: inputs.model.encoder.layout, losses: objectives.map(\.range), arguments: arguments)
        step = TrainingStep(
            objectives: objectives, lossOfDataset: inputs.trainDatasets.map(\.loss), ensemble: ensemble,
            optimizer: try OptimizerRegistry.make(arguments), runs: runs, schedule: schedule, arguments: arguments)
        events = EventPlan(arguments, totalSteps: plan.totalSteps)
        directory = RunDirectory(
            path: inputs.outputDirectory, configuration: inputs.configuration, inputs: inputs.inputDigests)
        metrics = MetricsLog(directory: inputs.outputDirectory)
        state.maxSteps = plan.totalSteps
        state.lossUpdates = [Int](repeating: 0, count: objectives.count)
    }

    /// Runs to the end, or to a signal that asks to stop. Collective.
    ///
    /// - Throws: exit 64 for a directory that holds another run, 70 for a gradient that is not finite, 75 for a write
    ///   that failed.
    public func train() throws -> TrainingOutcome {
        do {
            try ensemble.verifyIdentity("Tutti \(tuttiVersion), run \(directory.identity)")
        } catch let error as EnsembleError where error.code == ExitCode.usage {
            throw RootFailure(code: error.code, message: "\(error)")  // all ranks know it: told once
        }
        let (directory, overwrite) = (directory, inputs.overwrite)
        let start = try ensemble.onRoot { try directory.start(overwrite: overwrite) }
        if start == .finished { return .alreadyFinished }
        if start == .resume { try takeGemm(from: try ensemble.onRoot { try directory.gemmChoice() ?? "" }) }
        try takeMemory()
        try resumeIfPossible(start)
        StopRequest.listen()
        for line in inputs.columnNotices + plan.smallBatches() { onRootOnly { $0.notice(line) } }
        onRootOnly { $0.began(totalSteps: plan.totalSteps, resumedFrom: state.globalStep) }
        if inputs.arguments.evalOnStart, state.globalStep == 0 { try evaluate(choosesBest: false) }
        clock.reset()
        while state.globalStep < plan.totalSteps {
            try runEpoch(state.epochIndex)
            if stopping { return .preempted(step: state.globalStep) }
        }
        try finish()
        return .finished
    }

    /// Takes memory for gradients and optimizer state, before the first step. Collective.
    func takeMemory() throws {
        let obstacle = try step.memory.allocate(among: ensemble)
        for objective in objectives { objective.bind() }
        if obstacle.isEmpty { return }
        onRootOnly { $0.notice("Ranks keep memory of their own and send gradients in messages: \(obstacle).") }
    }

    /// Runs the steps of one epoch that are still to do.
    private func runEpoch(_ epoch: Int) throws {
        let batches = plan.batches(epoch: epoch)
        guard state.nextMicroBatch < batches.batchCount else { return try skipEpoch() }
        epochsWithoutBatches = 0
        let source = source(inputs.trainDatasets, batches, from: state.nextMicroBatch, epoch: epoch)
        if state.nextMicroBatch == 0 {
            for line in plan.leftOut(of: batches, epoch: epoch) { onRootOnly { $0.notice(line) } }
        }
        let accumulation = inputs.arguments.gradientAccumulationSteps
        while state.nextMicroBatch < batches.batchCount, state.globalStep < plan.totalSteps {
            let count = min(accumulation, batches.batchCount - state.nextMicroBatch)
            let report = try step.run(
                number: state.globalStep, lossUpdates: state.lossUpdates, microBatches: count, clock: &clock,
                nextBatch: source.next)
            clock.enter(.other)
            try take(report, microBatches: count, of: batches.batchCount)
            let endsEpoch = state.nextMicroBatch == batches.batchCount
            if endsEpoch {
                state.epochIndex += 1
                state.nextMicroBatch = 0
            }
            try afterStep(endsEpoch: endsEpoch)
            if stopping || endsEpoch { return }
        }
    }

    /// This rank's rows of the batches of `datasets`, from number `first` on, as they are in `epoch`.
    func source(
        _ datasets: [TrainingDataset], _ batches: MultiDatasetPlan, from first: Int, epoch: Int
    ) -> BatchSource {
        let prepared = datasets.map { dataset in
            let prompts = plan.prompts(for: dataset)
            return (dataset.table, BatchPreparation(
                objectives[dataset.loss], columnCount: prompts.count, prompts: prompts, seed: inputs.arguments.seed,
                epoch: epoch))
        }
        return BatchSource(
            prepared, plan: batches, from: first, rank: ensemble.rank, world: ensemble.size)
    }

    /// Goes on to the next epoch where this one has no batch; gives up where none ever comes.
    private func skipEpoch() throws {
        state.epochIndex += 1
        state.nextMicroBatch = 0
        epochsWithoutBatches += 1
        guard epochsWithoutBatches >= 100 else { return }
        let source = inputs.trainDatasets.map(\.table.source).joined(separator: ", ")
        try ensemble.onRoot {
            throw TuttiError(
                .data, "plan the batches", source, "100 epochs in a row made no batch",
                hint: "Its texts repeat too often; lower the batch size or use batch_sampler: batch_sampler.")
        }
    }

    /// Books a finished step; stops a diverged run.
    func take(_ report: StepReport, microBatches: Int, of batchCount: Int) throws {
        var sums = (loss: report.partialLoss, tokens: Double(report.tokens), rows: Double(report.rows))
        try withUnsafeMutableBytes(of: &sums) {
            try ensemble.allReduceSum($0.bindMemory(to: Double.self))
        }
        try state.parts.add(report.parts, among: ensemble)
        guard report.gradientNorm.isFinite, sums.loss.isFinite else {
            let step = state.globalStep + 1
            return try ensemble.onRoot {
                throw TuttiError(
                    .diverged, "train", "step \(step)", "the gradient is not finite",
                    hint: "Lower learning_rate or raise the warm-up; the last checkpoint is kept.")
            }
        }
        state.globalStep += 1
        state.nextMicroBatch += microBatches
        for loss in objectives.indices where step.usedLosses[loss] { state.lossUpdates[loss] += 1 }
        state.epoch = plan.epoch(state.epochIndex, microBatch: state.nextMicroBatch, of: batchCount)
        state.lossSum += sums.loss
        state.totalLoss += sums.loss
        state.lossSteps += 1
        state.tokensSeen += Int(sums.tokens)
        state.tokensSinceLog += Int(sums.tokens)
        tokensOnClock += Int(sums.tokens)
        stepsOnClock += 1
        stepsTrained += 1
        rowsTrained += Int(sums.rows)
        lastReport = report
    }

    /// Logging, evaluation, saving and signals, in the reference's order.
    private func afterStep(endsEpoch: Bool) throws {
        let current = state.globalStep
        onRootOnly { $0.stepped(current, of: plan.totalSteps) }
        let isLast = current == plan.totalSteps
        if events.logs(step: current, endsEpoch: endsEpoch || isLast) { try log() }
        var improved = false
        if events.evaluates(step: current, epoch: state.epoch, endsEpoch: endsEpoch || isLast) {
            improved = try evaluate()
        }
        let request = try StopRequest.agreed(ensemble)
        let best = inputs.arguments.saveStrategy == .best && improved
        if best || request != .none || events.saves(step: current, endsEpoch: endsEpoch || isLast) {
            try save(isRequested: request != .none)
        }
        stopping = request == .saveAndStop && !isLast
    }

    /// Tells the observer something, on rank zero.
    func onRootOnly(_ body: (any TrainingObserver) -> Void) {
        if ensemble.isRoot { body(observer) }
    }
}
