// Which events (logging, evaluation, saving) fall on a step.

/// The events of a run, resolved against its number of steps.
struct EventPlan {
    private let arguments: TrainingArguments
    private let lastStep: Int
    private let loggingSteps: Int
    private let evalSteps: Int
    private let saveSteps: Int

    init(_ arguments: TrainingArguments, totalSteps: Int) {
        self.arguments = arguments
        lastStep = arguments.lastStep(totalSteps: totalSteps)
        loggingSteps = TrainingArguments.interval(arguments.loggingSteps, totalSteps: totalSteps)
        evalSteps = TrainingArguments.interval(arguments.evalSteps ?? arguments.loggingSteps, totalSteps: totalSteps)
        saveSteps = TrainingArguments.interval(arguments.saveSteps, totalSteps: totalSteps)
    }

    /// What is due after the step that the state has just taken.
    func control(_ state: TrainerState, endsEpoch: Bool) -> TrainerControl {
        var control = TrainerControl()
        control.shouldLog = logs(step: state.globalStep, endsEpoch: endsEpoch)
        control.shouldEvaluate = evaluates(step: state.globalStep, epoch: state.epoch, endsEpoch: endsEpoch)
        control.shouldSave = saves(step: state.globalStep, endsEpoch: endsEpoch)
        return control
    }

    private func logs(step: Int, endsEpoch: Bool) -> Bool {
        if step == 1, arguments.loggingFirstStep { return true }
        return falls(arguments.loggingStrategy, every: loggingSteps, step, endsEpoch)
    }

    /// The last step of a run that evaluates by steps is evaluated, as in the reference (DefaultFlowCallback, transformers 5).
    private func evaluates(step: Int, epoch: Double, endsEpoch: Bool) -> Bool {
        let done = arguments.evalStrategy == .epoch ? epoch : Double(step)
        guard done >= arguments.evalDelay else { return false }
        if arguments.evalStrategy == .steps, step == lastStep { return true }
        return falls(arguments.evalStrategy, every: evalSteps, step, endsEpoch)
    }

    /// Saving on "best" is decided by the evaluation, not here. The last step of a run that saves by steps is saved.
    private func saves(step: Int, endsEpoch: Bool) -> Bool {
        if arguments.saveStrategy == .steps, step == lastStep { return true }
        return falls(arguments.saveStrategy, every: saveSteps, step, endsEpoch)
    }

    private func falls(_ strategy: IntervalStrategy, every steps: Int, _ step: Int, _ endsEpoch: Bool) -> Bool {
        switch strategy {
        case .no, .best: false
        case .steps: step % steps == 0
        case .epoch: endsEpoch
        }
    }
}
