// What comes between the steps of a run: lines, evaluations, checkpoints, callbacks, requests to stop, and the end.
//
// The order is the reference's: callbacks, the line of training, the evaluation, the checkpoint. Everything here runs on
// every rank and is decided alike on every rank: by the arguments, by rank zero's callbacks, by the strongest request.

import TuttiEnsemble
import TuttiGround
import TuttiModels
import TuttiReports

/// The events of a run.
final class RunEvents {
    private let inputs: TrainingInputs
    /// The last step that the run takes.
    private let lastStep: Int
    private let schedule: LearningRateSchedule
    private let plan: EventPlan
    private let log: RunLog
    private let round: EvaluationRound
    private let keeper: CheckpointKeeper
    private let weights: EvaluationWeights
    private let replicas: ReplicaCheck
    private let callbacks: Callbacks
    private let ensemble: any Ensemble
    /// Where the model places a sample of the pairs; nil where no report asks or there are none.
    private var diagnosis: Diagnosis?
    /// Whether a request has stopped the run: everything is saved, and a later process goes on.
    private(set) var isPreempted = false
    /// The last step of which there is a checkpoint to resume from.
    private var savedStep = 0

    init(
        _ inputs: TrainingInputs, totalSteps: Int, schedule: LearningRateSchedule, log: RunLog, round: EvaluationRound,
        keeper: CheckpointKeeper,
        weights: EvaluationWeights, replicas: ReplicaCheck, callbacks: Callbacks, ensemble: any Ensemble
    ) {
        self.inputs = inputs
        lastStep = inputs.arguments.lastStep(totalSteps: totalSteps)
        self.schedule = schedule
        plan = EventPlan(inputs.arguments, totalSteps: totalSteps)
        self.log = log
        self.round = round
        self.keeper = keeper
        self.weights = weights
        self.replicas = replicas
        self.callbacks = callbacks
        self.ensemble = ensemble
    }

    // MARK: The beginning

    /// Tells reports and callbacks that training begins, and evaluates before the first step if asked to. Collective.
    func begin(_ state: inout TrainerState) throws {
        savedStep = state.globalStep
        callbacks.restore(state.callbackStates)
        if state.globalStep > 0 { schedule.follower?.state = state.scheduleState }
        var run = ReportedRun(
            name: inputs.arguments.runName, totalSteps: lastStep, resumedFrom: state.globalStep,
            modelConfiguration: inputs.model.inputs.first.map {
                String(decoding: $0.directory.configurationBytes, as: UTF8.self)
            })
        for (name, value) in TrainingArguments.options.values(of: inputs.arguments) { run.arguments[name] = value }
        try keeper.describeData()
        try log.begin(run)
        try callbacks.tell { [state] in try $0.onTrainBegin(state) }
        if log.details.contains(.diagnosis) {
            diagnosis = Diagnosis(inputs, batchRows: inputs.arguments.trainBatchRows(world: ensemble.size))
        }
        guard state.globalStep == 0 else { return }
        try weights.during { try diagnose(state) }
        guard inputs.arguments.evalOnStart else { return }
        try weights.during { _ = try round.run(&state, choosesBest: false) }
        note(try evaluated(state, TrainerControl()), &state)
    }

    /// Makes up for the evaluation that a request to stop had given up. Collective.
    func makeUp(_ state: inout TrainerState) throws {
        let endsEpoch = state.nextMicroBatch == 0 || state.globalStep == lastStep || state.isStopped
        try judgeAndSave(plan.control(state, endsEpoch: endsEpoch), &state)
    }

    // MARK: After a step

    /// Logging, evaluation, saving, callbacks and requests. Collective.
    func afterStep(_ report: StepReport, _ state: inout TrainerState, endsEpoch: Bool) throws {
        log.step(state)
        try replicas.afterStep(state.globalStep)
        let isLast = state.globalStep == lastStep
        var control = plan.control(state, endsEpoch: endsEpoch || isLast)
        if !callbacks.isEmpty { control = try asked(control, state, endsEpoch: endsEpoch || isLast) }
        note(control, &state)
        if control.shouldLog { try log.writeTraining(&state, last: report) }
        state.evaluationIsDue = control.shouldEvaluate
        try judgeAndSave(control, &state)
    }

    /// What the callbacks make of what is due after a step. Where one ends training, the epoch ends.
    private func asked(
        _ due: TrainerControl, _ state: TrainerState, endsEpoch: Bool
    ) throws -> TrainerControl {
        var control = try callbacks.call(due) { try $0.onStepEnd(state, control: &$1) }
        if control.shouldTrainingStop, !endsEpoch { control = control.union(plan.control(state, endsEpoch: true)) }
        if endsEpoch || control.shouldTrainingStop {
            control = try callbacks.call(control) { try $0.onEpochEnd(state, control: &$1) }
        }
        guard control.shouldEvaluate, inputs.evalDatasets.isEmpty, inputs.evaluators.isEmpty else { return control }
        try ensemble.onRoot {
            throw TuttiError(
                .usage, "evaluate", "step \(state.globalStep)",
                "a callback asks for an evaluation, and there is nothing to evaluate",
                hint: "Give an evaluation data set or evaluators.")
        }
        return control
    }

    /// The callbacks' answer to the evaluation that was just logged.
    private func evaluated(_ state: TrainerState, _ control: TrainerControl) throws -> TrainerControl {
        try callbacks.call(control) { try $0.onEvaluate(state.logHistory.last ?? JSONObject(), state, control: &$1) }
    }

    /// Ends training if a callback asks for it.
    private func note(_ control: TrainerControl, _ state: inout TrainerState) {
        guard control.shouldTrainingStop, !state.isStopped else { return }
        state.isStopped = true
        if state.globalStep < lastStep {
            log.notice("A callback ends training after step \(state.globalStep) of \(lastStep).")
        }
    }

    /// The evaluation that is due, saving and requests. A stop gives the evaluation up: the checkpoint then says that it
    /// is still due, and the resumed run begins with it.
    private func judgeAndSave(_ due: TrainerControl, _ state: inout TrainerState) throws {
        var control = due
        var improved = false
        if state.evaluationIsDue,
            let done = try unlessStopped({ try weights.during { try evaluateAndDiagnose(&state) } })
        {
            improved = done
            state.evaluationIsDue = false
            followMetric(state)
            control = try evaluated(state, control)
            note(control, &state)
        }
        let request = try agreedRequest()
        let best = inputs.arguments.saveStrategy == .best && improved
        let isSaved = best || request != .none || control.shouldSave
        if isSaved { try save(&state, isRequested: request != .none) }
        // The end is near and a resumed run would only write it, unless something long is still to come.
        let isLast = state.globalStep == lastStep || state.isStopped
        isPreempted =
            request == .saveAndStop && !(isLast && !state.evaluationIsDue && inputs.testEvaluators.isEmpty)
    }

    /// The evaluation, then the diagnosis of the same weights; whether the watched metric improved. Collective.
    private func evaluateAndDiagnose(_ state: inout TrainerState) throws -> Bool {
        let improved = try round.run(&state)
        try diagnose(state)
        return improved
    }

    /// Diagnoses the weights in place, if a report asks for it. Collective.
    private func diagnose(_ state: TrainerState, isFinal: Bool = false) throws {
        guard let diagnosis else { return }
        let best = isFinal && inputs.arguments.loadBestModelAtEnd ? state.bestGlobalStep : nil
        try log.pausing(for: "diagnosis") {
            try diagnosis.run(
                inputs.model, step: best ?? state.globalStep, isFinal: isFinal, log: log, ensemble: ensemble)
        }
    }

    /// Changes the learning rate after the evaluation that was just logged, where the schedule follows the metric.
    private func followMetric(_ state: TrainerState) {
        guard let follower = schedule.follower, let line = state.logHistory.last else { return }
        let name = inputs.arguments.bestMetricName
        if let value = (line[name] ?? line["eval_\(name)"])?.double { follower.take(value) }
    }

    /// Writes a checkpoint, and another one if a callback then ends training. Collective.
    private func save(_ state: inout TrainerState, isRequested: Bool) throws {
        let wasStopped = state.isStopped
        try write(&state, isRequested: isRequested)
        let path = keeper.path(of: state)
        note(try callbacks.call(TrainerControl()) { [state] in try $0.onSave(path, state, control: &$1) }, &state)
        if state.isStopped != wasStopped { try write(&state, isRequested: isRequested) }
    }

    private func write(_ state: inout TrainerState, isRequested: Bool) throws {
        state.callbackStates = callbacks.states
        state.scheduleState = schedule.follower?.state ?? JSONObject()
        try keeper.save(&state, isRequested: isRequested, waits: callbacks.areGiven)
        if isRequested || !inputs.arguments.saveOnlyModel { savedStep = state.globalStep }
    }

    /// Saves what there is before the run ends with an error, unless it is saved. Collective.
    func keep(_ state: inout TrainerState) throws {
        if savedStep != state.globalStep { try write(&state, isRequested: true) }
    }

    // MARK: Requests and the end

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
    func finishUnlessStopped(_ state: inout TrainerState) throws -> Bool {
        // With the best weights in place the last step cannot be saved any more.
        if inputs.arguments.loadBestModelAtEnd, savedStep != state.globalStep { inputs.model.isInterrupted = nil }
        if try unlessStopped({ try finish(&state) }) != nil { return true }
        _ = try agreedRequest()
        try write(&state, isRequested: true)
        return false
    }

    /// Takes the best weights if asked to, runs the test evaluators, writes the closing line and `final/`. Collective.
    private func finish(_ state: inout TrainerState) throws {
        try weights.putInPlace()
        if inputs.arguments.loadBestModelAtEnd { try keeper.loadBest(state) }
        try diagnose(state, isFinal: true)
        let test = try round.test(state)
        try log.writeClosing(test.metrics, mainMetrics: test.mainMetrics, &state)
        try keeper.saveFinal(state)
        try callbacks.tell { [state] in try $0.onTrainEnd(state) }
        try log.finish()
        try keeper.finish()
    }
}
