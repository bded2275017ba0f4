// The training loop: epochs of global batches, steps, and what happens between steps.
//
// A step itself is Step.swift; what comes between steps is RunEvents.swift, with RunLog.swift (what a run logs),
// CheckpointKeeper.swift (what it keeps) and EvaluationRound.swift (how it is judged) at its side. Everything here runs on
// every rank; what only rank zero does goes through `onRoot`, so that an error of rank zero is everybody's error.

import TuttiCorpus
import TuttiEncoders
import TuttiEnsemble
import TuttiFormats
import TuttiGround
import TuttiModels
import TuttiReports

/// How a run ended.
public enum TrainingOutcome: Sendable, Equatable {
    /// All steps are done, or a callback ended training; `final/` is written.
    case finished
    /// The output directory held this run, finished already.
    case alreadyFinished
    /// Asked to stop by a signal: saved, exit code 85.
    case preempted(step: Int)
}

/// Trains a model; every rank makes one and calls `train()`.
package final class Trainer {
    let inputs: TrainingInputs
    let plan: RunPlan
    let batches: RankBatches
    let log: RunLog
    /// The rows of the global batches.
    private let kept: KeptBatch
    private(set) var state = TrainerState()
    private let ensemble: any Ensemble
    /// One a loss, in the order of the inputs.
    private let objectives: [Objective]
    private let step: TrainingStep
    private let keeper: CheckpointKeeper
    private let events: RunEvents
    private let secondLook: SecondLook
    private let fault: InjectedFault?
    private let precisionNotices: [String]
    /// What to tell of the search for a batch size.
    let batchNotice: String?
    private var chance: ChanceWatch
    private var epochsWithoutBatches = 0

    /// Prepares a run. Collective.
    ///
    /// - Parameter reports: who hears of it beside the reports that every run has; rank zero's are called.
    /// - Throws: usage errors (unknown optimizer, schedule ...), data errors (columns that do not fit the loss, no
    ///   batch at all).
    package init(_ given: TrainingInputs, ensemble: any Ensemble, reports: [any Report] = []) throws {
        var inputs = given
        self.ensemble = ensemble
        let (own, pushes) = try ensemble.together("prepare the reports") {
            ensemble.isRoot ? (try inputs.makeReports(), try inputs.makePushes()) : ([], nil)
        }
        log = RunLog(ensemble.isRoot ? own + reports + (pushes.map { [$0] } ?? []) : [], ensemble: ensemble)
        pushes?.tell = { [weak log] in log?.notice($0) }
        try inputs.checkBestMetric()
        let digests = try inputs.digestAndFreeze(among: ensemble)
        try inputs.checkColumns { [log] line in log.notice(line) }
        objectives = try ensemble.together("prepare the loss") { try inputs.makeObjectives() }
        try inputs.setEmbeddingNoise()
        let precision = try TrainingPrecision.agreed(inputs.arguments, among: ensemble)
        precision.apply(to: inputs.model.encoder)
        let encoding = try inputs.arguments.compute.apply(
            to: [inputs.model] + objectives.flatMap { $0.guides.values }, among: ensemble)
        precisionNotices = [precision.notice, encoding].compactMap(\.self)
        let parameters = inputs.model.encoder.parameters
        guard parameters.layout.count > 0 else { throw Freezing.everything }
        batches = RankBatches(objectives, arguments: inputs.arguments, ensemble: ensemble)
        (kept, batchNotice) = try KeptBatch.find(
            inputs, objectives: objectives, batches, ensemble: ensemble)
        inputs.arguments = given.arguments.keeping(kept)
        self.inputs = inputs
        let arguments = inputs.arguments
        plan = try RunPlan(arguments: arguments, datasets: inputs.trainDatasets, world: ensemble.size)
        let schedule = try LearningRateSchedule(
            name: arguments.schedulerType, options: arguments.schedulerOptions, learningRate: arguments.learningRate,
            warmupSteps: arguments.warmupStepCount(totalSteps: plan.totalSteps), totalSteps: plan.totalSteps)
        let updates = try ParameterUpdates(
            parameters, losses: objectives.map(\.parameters.range), arguments: arguments, totalSteps: plan.totalSteps,
            names: inputs.model.referenceNames, ensemble: ensemble)
        let memory = updates.memory
        step = TrainingStep(
            objectives, lossOfDataset: inputs.trainDatasets.map(\.loss), memory: memory,
            update: updates.update, schedule: schedule, arguments: arguments,
            ensemble: ensemble,
            shards: try inputs.makeShards(
                objectives, batchIsGlobal: given.arguments.globalTrainBatchSize != nil || kept.world == 1,
                ensemble: ensemble))
        fault = try InjectedFault.agreed(ensemble)
        secondLook = SecondLook(
            step, arguments: arguments, datasets: inputs.trainDatasets, fault: fault, ensemble: ensemble)
        let stopping: [any TrainerCallback] = EarlyStoppingCallback(arguments).map { [$0] } ?? []
        let callbacks = try Callbacks(own: stopping, given: inputs.callbacks, ensemble: ensemble)
        let round = try EvaluationRound(
            inputs, objectives: objectives, batches: batches, mayBeAsked: callbacks.areGiven, log: log,
            ensemble: ensemble)
        let replicas = ReplicaCheck(memory, interval: arguments.replicaCheckSteps, ensemble: ensemble)
        // The run is compared, and described, by what was given.
        keeper = CheckpointKeeper(
            given, digests: digests, batch: kept, lastStep: arguments.lastStep(totalSteps: plan.totalSteps),
            memory: memory, weights: updates.weights, replicas: replicas, log: log,
            ensemble: ensemble)
        log.tensorNorms = TensorNorms(memory: memory)
        chance = ChanceWatch(inputs, objectives)
        events = RunEvents(
            inputs, totalSteps: plan.totalSteps, schedule: schedule, log: log, round: round, keeper: keeper,
            weights: updates.weights,
            replicas: replicas, callbacks: callbacks, ensemble: ensemble)
        state.maxSteps = plan.totalSteps
        state.lossUpdates = [Int](repeating: 0, count: objectives.count)
    }

    /// Runs to the end, or to a signal that asks to stop. Collective.
    ///
    /// - Throws: exit 64 for a directory that holds another run, 70 for a gradient that is not finite, 75 for a write
    ///   that failed.
    package func train() throws -> TrainingOutcome { try inputs.model.encoder.compute.run { try trainToTheEnd() } }

    private func trainToTheEnd() throws -> TrainingOutcome {
        defer { keeper.release() }
        if try begin() == .finished { return .alreadyFinished }
        let (stop, model) = (inputs.stop, inputs.model)
        stop.begin()  // until here a request to stop ends the process: there was nothing to save
        model.isInterrupted = { stop.stops }
        defer {
            model.isInterrupted = nil
            stop.end()
        }
        if state.evaluationIsDue { try events.makeUp(&state) }
        log.startClock()
        while goesOn { try runEpoch(state.epochIndex) }
        let isDone = try !events.isPreempted && events.finishUnlessStopped(&state)
        return isDone ? .finished : .preempted(step: state.globalStep)
    }

    /// The last step that is taken.
    private var lastStep: Int { inputs.arguments.lastStep(totalSteps: plan.totalSteps) }

    /// Whether another step is to come.
    private var goesOn: Bool { state.globalStep < lastStep && !state.isStopped && !events.isPreempted }

    /// Takes the output directory, and goes on from its newest checkpoint if it holds this run.
    private func begin() throws -> RunStart {
        try ensemble.verifyIdentity("Tutti \(tuttiVersion), run \(keeper.directory.identity.current)")
        try keeper.checkResumption()
        let start = try keeper.takeDirectory()
        if start == .finished { return start }
        if start == .resume { try keeper.takeGemm() }
        try keeper.takeCache()
        try takeMemory()
        try keeper.resume(&state, start)
        state.clockStart = PhaseClock.now()
        if start == .resume { findPlaceInStream() }
        try ensemble.onRoot {
            guard inputs.model.awaitsCheckpoint else { return }
            throw TuttiError(
                .retryable, "begin the run", "modules",
                "a Dense was to have the weights of a checkpoint that cannot be read any more",
                hint: "Start again: its components are computed then.")
        }
        if kept.world != ensemble.size, start == .resume {
            log.notice(
                "The run began on \(kept.world) ranks and goes on with \(ensemble.size): global batches stay "
                    + "\(kept.train) rows.")
        }
        if lastStep < plan.totalSteps {
            log.notice("Training stops after step \(lastStep) of the \(plan.totalSteps) of the schedule.")
        }
        if let batchNotice { log.notice(batchNotice) }
        let notices = precisionNotices + inputs.columnNotices + inputs.shardNotices
        for line in notices + inputs.freezingNotices + plan.smallBatches() { log.notice(line) }
        try events.begin(&state)
        return start
    }

    /// Finds the next row of a stream, of which more may be read than the steps until here have seen: they were an epoch.
    private func findPlaceInStream() {
        guard inputs.trainDatasets.contains(where: { $0.stream != nil }) else { return }
        let accumulation = inputs.arguments.gradientAccumulationSteps
        let steps = (plan.batches(epoch: 0).batchCount + accumulation - 1) / accumulation
        (state.epochIndex, state.nextMicroBatch) = (
            state.globalStep / steps, state.globalStep % steps * accumulation
        )
    }

    /// What the output directory holds, in words; it is not taken. Rank zero only.
    ///
    /// - Throws: exit 64 where it holds another run.
    func contentsOfDirectory() throws(TuttiError) -> String {
        try keeper.directory.contents(overwrite: inputs.overwrite)
    }

    /// What the optimizer keeps of each parameter.
    var stateNames: [String] { step.memory.state.names }

    /// Takes memory for gradients and optimizer state, before the first step. Collective.
    func takeMemory() throws {
        let exchange = try step.memory.place(among: ensemble)
        for objective in objectives { objective.parameters.bind() }
        if let exchange { log.notice(exchange) }
    }

    /// Runs the steps of one epoch that are still to do.
    private func runEpoch(_ epoch: Int) throws {
        try checkSources()
        let batches = plan.batches(epoch: epoch)
        guard state.nextMicroBatch < batches.batchCount else { return try skipEpoch() }
        epochsWithoutBatches = 0
        let source = try self.batches.source(inputs.trainDatasets, batches, from: state.nextMicroBatch, epoch: epoch)
        if state.nextMicroBatch == 0 {
            for line in plan.leftOut(of: batches, epoch: epoch) { log.notice(line) }
        }
        while state.epochIndex == epoch, goesOn {
            let report = try takeStep(of: batches, nextBatch: source.next)
            let endsEpoch = state.epochIndex != epoch
            try events.afterStep(report, &state, endsEpoch: endsEpoch)
        }
    }

    /// Ends the run where the files of its cached rows are not what they were: everything until here is saved. Collective.
    private func checkSources() throws {
        let sources = inputs.trainDatasets.flatMap(\.sources)
        guard !sources.isEmpty else { return }
        do {
            try ensemble.onRoot { for source in sources { try source.checkIsUnchanged() } }
        } catch {
            if state.globalStep > 0 { try events.keep(&state) }
            throw error
        }
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

    /// What comes before the first micro-batch of a step.
    private func beginStep() {
        ensemble.ownActivity?.begin(step: state.globalStep + 1)
        fault?.begin(step: state.globalStep + 1, rank: ensemble.rank)
        secondLook.begin()
    }

    /// Takes the next step of the epoch in progress and books it; stops a diverged run. Collective.
    func takeStep(of batches: MultiDatasetPlan, nextBatch: () throws -> PreparedBatch) throws -> StepReport {
        let count = min(inputs.arguments.gradientAccumulationSteps, batches.batchCount - state.nextMicroBatch)
        beginStep()
        let report = try step.run(
            number: state.globalStep, lossUpdates: state.lossUpdates, microBatches: count, clock: &log.clock
        ) {
            fault?.spoilGradient(step: state.globalStep + 1, rank: ensemble.rank, of: step.memory.parameters)
            let batch = try nextBatch()
            secondLook.keep(batch)
            return batch
        }
        fault?.spoilWeights(step: state.globalStep + 1, rank: ensemble.rank, of: step.memory.parameters)
        log.clock.enter(.other)
        if let line = step.memory.exchange.takeNotice() { log.notice(line) }
        var sums = (
            loss: report.partialLoss, tokens: Double(report.tokens), rows: Double(report.rows), flops: report.flops
        )
        try withUnsafeMutableBytes(of: &sums) {
            try ensemble.allReduceSum($0.bindMemory(to: Double.self))
        }
        try state.parts.add(report.parts, among: ensemble)
        guard report.gradientNorm.isFinite, sums.loss.isFinite else {
            throw try secondLook.error(number: state.globalStep)
        }
        log.count(rows: Int(sums.rows), tokens: Int(sums.tokens), own: report.tokens, flops: sums.flops)
        state.take(loss: sums.loss, tokens: Int(sums.tokens), microBatches: count, of: batches.batchCount)
        for loss in objectives.indices where step.usedLosses[loss] { state.lossUpdates[loss] += 1 }
        let rows = sums.rows / Double(max(1, count))
        if let line = chance.note(
            loss: sums.loss, of: step.usedLosses, rows: rows, learningRate: report.learningRate)
        {
            log.notice(line)
        }
        return report
    }
}
