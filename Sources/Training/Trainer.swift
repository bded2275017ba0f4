// The training loop: epochs of global batches, steps, and what happens between steps.
//
// A step itself is Step.swift; what a run logs is RunLog.swift, what it keeps CheckpointKeeper.swift, how it is judged
// EvaluationRound.swift. Everything here runs on every rank; what only rank zero does goes through `onRoot`, so that an
// error of rank zero is everybody's error.

import TuttiCorpus
import TuttiEncoders
import TuttiEnsemble
import TuttiFormats
import TuttiGround
import TuttiModels
import TuttiReports

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
package final class Trainer {
    let inputs: TrainingInputs
    let plan: RunPlan
    let batches: RankBatches
    let log: RunLog
    private(set) var state = TrainerState()
    private let ensemble: any Ensemble
    /// One a loss, in the order of the inputs.
    private let objectives: [Objective]
    private let step: TrainingStep
    private let round: EvaluationRound
    private let keeper: CheckpointKeeper
    private let events: EventPlan
    private var stopping = false
    private var chance: ChanceWatch
    private var epochsWithoutBatches = 0

    /// Prepares a run. Collective.
    ///
    /// - Parameter reports: who hears of it beside the reports that every run has; rank zero's are called.
    /// - Throws: usage errors (unknown optimizer, schedule ...), data errors (columns that do not fit the loss, no
    ///   batch at all).
    package init(_ inputs: TrainingInputs, ensemble: any Ensemble, reports: [any Report] = []) throws {
        self.inputs = inputs
        self.ensemble = ensemble
        let arguments = inputs.arguments
        let own = try ensemble.together("prepare the reports") { ensemble.isRoot ? try inputs.makeReports() : [] }
        log = RunLog(ensemble.isRoot ? own + reports : [], ensemble: ensemble)
        try inputs.checkBestMetric()
        let digests = try inputs.digests()  // before the losses' parameters join the model's
        try inputs.checkColumns { [log] line in log.notice(line) }
        plan = try RunPlan(arguments: arguments, datasets: inputs.trainDatasets, world: ensemble.size)
        let schedule = try LearningRateSchedule(
            name: arguments.schedulerType, options: arguments.schedulerOptions, learningRate: arguments.learningRate,
            warmupSteps: arguments.warmupStepCount(totalSteps: plan.totalSteps), totalSteps: plan.totalSteps)
        objectives = try ensemble.together("prepare the loss") { try inputs.makeObjectives() }
        let parameters = inputs.model.encoder.parameters
        let runs = try updateRuns(
            layout: parameters.layout, losses: objectives.map(\.parameters.range), arguments: arguments)
        let optimizer = try OptimizerRegistry.make(arguments)
        let memory = TrainingMemory(parameters, runs: runs, stateNames: optimizer.stateNames)
        step = TrainingStep(
            objectives, lossOfDataset: inputs.trainDatasets.map(\.loss), memory: memory,
            update: Update(optimizer, memory: memory, arguments: arguments), schedule: schedule, arguments: arguments,
            ensemble: ensemble)
        batches = RankBatches(objectives, arguments: arguments, ensemble: ensemble)
        round = try EvaluationRound(inputs, objectives: objectives, batches: batches, log: log, ensemble: ensemble)
        keeper = CheckpointKeeper(inputs, digests: digests, memory: memory, log: log, ensemble: ensemble)
        chance = ChanceWatch(inputs, objectives)
        events = EventPlan(arguments, totalSteps: plan.totalSteps)
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
        if inputs.arguments.evalOnStart, state.globalStep == 0 { try round.run(&state, choosesBest: false) }
        let (stop, model) = (inputs.stop, inputs.model)
        stop.begin()  // until here a request to stop ends the process: there was nothing to save
        model.isInterrupted = { stop.stops }
        defer {
            model.isInterrupted = nil
            stop.end()
        }
        if state.evaluationIsDue { try judgeAndSave(endsEpoch: state.nextMicroBatch == 0) }
        if stopping { return .preempted(step: state.globalStep) }
        log.startClock()
        while state.globalStep < plan.totalSteps {
            try runEpoch(state.epochIndex)
            if stopping { return .preempted(step: state.globalStep) }
        }
        return try finishUnlessStopped() ? .finished : .preempted(step: state.globalStep)
    }

    /// Takes the output directory, and goes on from its newest checkpoint if it holds this run.
    private func begin() throws -> RunStart {
        try ensemble.verifyIdentity("Tutti \(tuttiVersion), run \(keeper.directory.identity.current)")
        let start = try keeper.takeDirectory()
        if start == .finished { return start }
        if start == .resume { try keeper.takeGemm() }
        try takeMemory()
        if start == .resume { try keeper.resume(&state) }
        for line in inputs.columnNotices + plan.smallBatches() { log.notice(line) }
        try log.begin(
            ReportedRun(
                name: inputs.arguments.runName, totalSteps: plan.totalSteps, resumedFrom: state.globalStep))
        return start
    }

    /// Takes memory for gradients and optimizer state, before the first step. Collective.
    func takeMemory() throws {
        let exchange = try step.memory.place(among: ensemble)
        for objective in objectives { objective.parameters.bind() }
        if let exchange { log.notice(exchange) }
    }

    /// Runs the steps of one epoch that are still to do.
    private func runEpoch(_ epoch: Int) throws {
        let batches = plan.batches(epoch: epoch)
        guard state.nextMicroBatch < batches.batchCount else { return try skipEpoch() }
        epochsWithoutBatches = 0
        let source = self.batches.source(inputs.trainDatasets, batches, from: state.nextMicroBatch, epoch: epoch)
        if state.nextMicroBatch == 0 {
            for line in plan.leftOut(of: batches, epoch: epoch) { log.notice(line) }
        }
        while state.epochIndex == epoch, state.globalStep < plan.totalSteps, !stopping {
            let report = try takeStep(of: batches, nextBatch: source.next)
            try afterStep(report, endsEpoch: state.epochIndex != epoch)
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

    /// Takes the next step of the epoch in progress and books it; stops a diverged run. Collective.
    func takeStep(of batches: MultiDatasetPlan, nextBatch: () throws -> PreparedBatch) throws -> StepReport {
        let count = min(inputs.arguments.gradientAccumulationSteps, batches.batchCount - state.nextMicroBatch)
        let report = try step.run(
            number: state.globalStep, lossUpdates: state.lossUpdates, microBatches: count, clock: &log.clock,
            nextBatch: nextBatch)
        log.clock.enter(.other)
        var sums = (loss: report.partialLoss, tokens: Double(report.tokens), rows: Double(report.rows))
        try withUnsafeMutableBytes(of: &sums) {
            try ensemble.allReduceSum($0.bindMemory(to: Double.self))
        }
        try state.parts.add(report.parts, among: ensemble)
        guard report.gradientNorm.isFinite, sums.loss.isFinite else {
            let step = state.globalStep + 1
            try ensemble.onRoot {
                throw TuttiError(
                    .diverged, "train", "step \(step)", "the gradient is not finite",
                    hint: "Lower learning_rate or raise the warm-up; the last checkpoint is kept.")
            }
            return report
        }
        log.count(rows: Int(sums.rows), tokens: Int(sums.tokens))
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

    /// Logging, evaluation, saving and signals, in the reference's order.
    private func afterStep(_ report: StepReport, endsEpoch: Bool) throws {
        let current = state.globalStep
        log.step(state)
        let isLast = current == plan.totalSteps
        if events.logs(step: current, endsEpoch: endsEpoch || isLast) { try log.writeTraining(&state, last: report) }
        state.evaluationIsDue = events.evaluates(step: current, epoch: state.epoch, endsEpoch: endsEpoch || isLast)
        try judgeAndSave(endsEpoch: endsEpoch)
    }

    /// The evaluation that is due, saving and requests. A stop gives the evaluation up: the checkpoint then says that it
    /// is still due, and the resumed run begins with it.
    private func judgeAndSave(endsEpoch: Bool) throws {
        let isLast = state.globalStep == plan.totalSteps
        var improved = false
        if state.evaluationIsDue, let done = try unlessStopped({ try round.run(&state) }) {
            improved = done
            state.evaluationIsDue = false
        }
        let request = try agreedRequest()
        let best = inputs.arguments.saveStrategy == .best && improved
        if best || request != .none || events.saves(step: state.globalStep, endsEpoch: endsEpoch || isLast) {
            try keeper.save(&state, isRequested: request != .none)
        }
        // The end is near and a resumed run would only write it, unless something long is still to come.
        let endsSoon = isLast && !state.evaluationIsDue && inputs.testEvaluators.isEmpty
        stopping = request == .saveAndStop && !endsSoon
    }

    /// What any rank was asked for. Throws where another process has taken the output directory over. Collective.
    private func agreedRequest() throws -> StopRequest.Level {
        let request = try inputs.stop.agreed(ensemble)
        let directory = keeper.directory
        if request == .stopAtOnce { try ensemble.onRoot { try directory.checkIsHeld() } }
        return request
    }

    /// The result of `body`; nil if a request to stop made any rank give it up. Collective.
    private func unlessStopped<Value>(_ body: () throws -> Value) throws -> Value? {
        do {
            return try body()
        } catch let error as TuttiError where error.kind == .preempted {
            return nil
        }
    }

    /// The end of the run; false if a request stops its last evaluations, then the last step is saved. Collective.
    private func finishUnlessStopped() throws -> Bool {
        // With the best weights in place the last step cannot be saved any more.
        let isSaved = events.saves(step: state.globalStep, endsEpoch: true)
        if inputs.arguments.loadBestModelAtEnd, !isSaved { inputs.model.isInterrupted = nil }
        if try unlessStopped({ try finish() }) != nil { return true }
        _ = try agreedRequest()
        try keeper.save(&state, isRequested: true)
        return false
    }

    /// Takes the best weights if asked to, runs the test evaluators, writes the closing line and `final/`. Collective.
    private func finish() throws {
        if inputs.arguments.loadBestModelAtEnd { try keeper.loadBest(state) }
        let test = try round.test(state)
        try log.writeClosing(test.metrics, mainMetrics: test.mainMetrics, &state)
        try keeper.saveFinal(state)
        try log.finish()
    }
}
