// `args:` of a configuration -> TrainingArguments: keys by class, values by the list of options, then combinations.

import TuttiCorpus
import TuttiFormats
import TuttiGround

extension TrainingArguments {
    /// Reads the section `args`.
    ///
    /// - Parameters:
    ///   - object: the mapping under `args:`.
    ///   - notice: called with one line for each key that is accepted without effect.
    /// - Throws: a usage error (exit code 64) for an unknown or refused key, a wrong type or a contradiction.
    package init(json object: JSONObject, places: ConfigurationPlaces, notice: (String) -> Void) throws(TuttiError) {
        self.init()
        try Self.checkKeys(object, places, notice: notice)
        if object["global_train_batch_size"] != nil, object["per_device_train_batch_size"] != nil {
            throw places.error(
                "args.global_train_batch_size", "excludes per_device_train_batch_size", hint: "Keep one of the two.")
        }
        try Self.options.read(object, into: &self, error: { places.error("args.\($0)", $1, hint: $2) })
        if datasetMixing == .temperature(0) {
            throw places.error(
                "args.multi_dataset_batch_sampler", "temperature needs multi_dataset_temperature",
                hint: "1 draws data sets in proportion to their rows, larger values draw them more evenly.")
        }
        try checkScheduleAndOptimizer(places, notice: notice)
        try checkCombinations(places)
    }

    private static func checkKeys(
        _ object: JSONObject, _ places: ConfigurationPlaces, notice: (String) -> Void
    ) throws(TuttiError) {
        for (key, value) in object {
            switch ArgumentKey.classify(key) {
            case .effective: continue
            case .withoutMeaning(let reason):
                guard !ArgumentKey.asksForNothing(value, key: key) else { continue }
                notice("args.\(key) is accepted and has no effect: \(reason).")
            case .refused(let reason):
                guard !ArgumentKey.asksForNothing(value, key: key) else { continue }
                throw places.error("args.\(key)", "\(key): \(value.serialized()) is refused: \(reason)")
            case nil:
                throw places.error("args.\(key)", "unknown training argument", hint: ArgumentKey.hint(unknown: key))
            }
        }
    }

    /// Makes both, so that what is wrong with their options is said where it is written.
    private mutating func checkScheduleAndOptimizer(
        _ places: ConfigurationPlaces, notice: (String) -> Void
    ) throws(TuttiError) {
        if ScheduleRegistry.all.contains(where: { $0.name == schedulerType && $0.ignoresOptions }) {
            for key in schedulerOptions.keys {
                notice(
                    "args.lr_scheduler_kwargs.\(key) has no effect: the schedule \"\(schedulerType)\" has no options.")
            }
            schedulerOptions = JSONObject()
        }
        do {
            _ = try LearningRateSchedule(
                name: schedulerType, options: schedulerOptions, learningRate: learningRate, warmupSteps: 0,
                totalSteps: 1)
            _ = try OptimizerRegistry.make(self)
        } catch {
            let key = error.subject.hasPrefix("args.") ? String(error.subject.dropFirst("args.".count)) : error.subject
            throw places.error("args.\(key)", error.problem, hint: error.hint)
        }
    }

    private func checkCombinations(_ places: ConfigurationPlaces) throws(TuttiError) {
        if let problem = batchSizeProblem {
            throw places.error("args.auto_find_batch_size", problem.text, hint: problem.hint)
        }
        if bf16, fp16 {
            throw places.error("args.fp16", "bf16 and fp16 are both true, and a run has one precision")
        }
        for (key, strategy) in [("logging_strategy", loggingStrategy), ("eval_strategy", evalStrategy)]
        where strategy == .best {
            throw places.error("args.\(key)", "\"best\" is a save_strategy only")
        }
        if earlyStoppingPatience != nil, evalStrategy == .no {
            throw places.error("args.early_stopping_patience", "needs an eval_strategy other than \"no\"")
        }
        if earlyStoppingThreshold != 0, earlyStoppingPatience == nil {
            throw places.error("args.early_stopping_threshold", "has no meaning without early_stopping_patience")
        }
        if try ScheduleRegistry.entry(named: schedulerType).followsMetric, evalStrategy == .no {
            throw places.error(
                "args.lr_scheduler_type", "\(schedulerType) needs an eval_strategy other than \"no\"")
        }
        guard loadBestModelAtEnd else { return }
        guard evalStrategy != .no else {
            throw places.error("args.load_best_model_at_end", "needs an eval_strategy other than \"no\"")
        }
        guard saveStrategy == .best || saveStrategy == evalStrategy else {
            throw places.error(
                "args.load_best_model_at_end",
                "save_strategy \"\(saveStrategy.rawValue)\" must equal eval_strategy \"\(evalStrategy.rawValue)\"",
                hint: "Or use save_strategy: best.")
        }
        guard saveStrategy == .steps else { return }
        // Shares of all steps are compared in millionths, and only with each other.
        let evaluationSteps = evalSteps ?? loggingSteps
        let unit = evaluationSteps < 1 && saveSteps < 1 ? 1e6 : 1
        let (every, saves) = ((evaluationSteps * unit).rounded(), (saveSteps * unit).rounded())
        guard (evaluationSteps < 1) == (saveSteps < 1), saves.truncatingRemainder(dividingBy: every) == 0 else {
            throw places.error(
                "args.save_steps", "\(saveSteps) is not a multiple of eval_steps \(evaluationSteps)",
                hint: "load_best_model_at_end needs an evaluation at every save.")
        }
    }
}
