// `args:` of a configuration -> TrainingArguments.

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
    public init(json object: JSONObject, places: ConfigurationPlaces, notice: (String) -> Void) throws(TuttiError) {
        self.init()
        let section = ConfigurationSection(object, path: "args", places: places)
        try Self.checkKeys(section, notice: notice)
        try readBatches(section)
        try readOptimizer(section)
        try readEvents(section)
        try checkCombinations(section)
    }

    private static func checkKeys(_ section: ConfigurationSection, notice: (String) -> Void) throws(TuttiError) {
        for key in section.object.keys {
            switch ArgumentKey.classify(key) {
            case .effective: continue
            case .withoutMeaning(let reason): notice("args.\(key) is accepted and has no effect: \(reason).")
            case .refused(let reason):
                guard let value = section.object[key], !asksForNothing(value, key: key) else { continue }
                throw section.error(key, "\(key): \(value.serialized()) is refused: \(reason)")
            case nil:
                throw section.error(
                    key, "unknown training argument",
                    hint: TuttiError.hint(unknown: key, known: ArgumentKey.allNames))
            }
        }
    }

    /// A refused key whose value switches the feature off asks for nothing.
    private static func asksForNothing(_ value: JSONValue, key: String) -> Bool {
        switch value {
        case .null, .bool(false): true
        case .string(let text): text.isEmpty || text == "none" || text == "no"
        case .array(let items): items.isEmpty
        case .object(let members): members.keys.isEmpty
        case .integer(let number): number == 0
        case .number(let number): number == 0
        default: false
        }
    }

    private mutating func readBatches(_ section: ConfigurationSection) throws(TuttiError) {
        numTrainEpochs = try section.number("num_train_epochs", in: 0...1e9) ?? numTrainEpochs
        maxSteps = try section.integer("max_steps", atLeast: -1) ?? maxSteps
        if section.object["global_train_batch_size"] != nil, section.object["per_device_train_batch_size"] != nil {
            throw section.error(
                "global_train_batch_size", "excludes per_device_train_batch_size", hint: "Keep one of the two.")
        }
        perDeviceTrainBatchSize =
            try section.integer("per_device_train_batch_size", atLeast: 1) ?? perDeviceTrainBatchSize
        perDeviceEvalBatchSize = try section.integer("per_device_eval_batch_size", atLeast: 1) ?? perDeviceEvalBatchSize
        globalTrainBatchSize = try section.integer("global_train_batch_size", atLeast: 1)
        globalEvalBatchSize = try section.integer("global_eval_batch_size", atLeast: 1)
        gradientAccumulationSteps =
            try section.integer("gradient_accumulation_steps", atLeast: 1) ?? gradientAccumulationSteps
        miniBatchSize = try section.integer("mini_batch_size", atLeast: 1)
        miniBatchTokens = try section.integer("mini_batch_tokens", atLeast: 1)
        dataloaderDropLast = try section.bool("dataloader_drop_last") ?? dataloaderDropLast
        if let name = try section.string("batch_sampler") {
            batchSampler = try BatchSamplerKind.named(name)
        }
        datasetMixing = try Self.mixing(section)
        seed = UInt64(try section.integer("seed", atLeast: 0) ?? Int(seed))
        dataSeed = try section.integer("data_seed", atLeast: 0).map(UInt64.init)
        runName = try section.string("run_name")
        prompts = try TrainingPrompts(section)
    }

    private static func mixing(_ section: ConfigurationSection) throws(TuttiError) -> DatasetMixing {
        let (key, temperatureKey) = ("multi_dataset_batch_sampler", "multi_dataset_temperature")
        let temperature = try section.number(temperatureKey, in: 1e-3...1e6)
        let given = try section.string(key) ?? DatasetMixing.proportional.name
        var name = given.lowercased()  // in the reference's spellings too: MultiDatasetBatchSamplers.ROUND_ROBIN
        if name.hasPrefix("multidatasetbatchsamplers.") { name.removeFirst("multidatasetbatchsamplers.".count) }
        guard DatasetMixing.names.contains(name) else {
            throw section.error(
                key, "unknown value \"\(given)\"", hint: TuttiError.hint(unknown: given, known: DatasetMixing.names))
        }
        guard name == "temperature" else {
            guard temperature == nil else {
                throw section.error(
                    temperatureKey, "has no meaning with \(key): \(name)", hint: "Choose \(key): temperature.")
            }
            return name == "round_robin" ? .roundRobin : .proportional
        }
        guard let temperature else {
            throw section.error(
                key, "temperature needs \(temperatureKey)",
                hint: "1 draws data sets in proportion to their rows, larger values draw them more evenly.")
        }
        return .temperature(temperature)
    }

    private mutating func readOptimizer(_ section: ConfigurationSection) throws(TuttiError) {
        optim = try section.string("optim") ?? optim
        for pair in (try section.string("optim_args") ?? "").split(separator: ",") {
            let parts = pair.split(separator: "=", maxSplits: 1)
            guard parts.count == 2 else {
                throw section.error("optim_args", "expected key=value,key=value, found \"\(pair)\"")
            }
            optimArgs[parts[0].trimmingSpaces()] = parts[1].trimmingSpaces()
        }
        learningRate = try section.number("learning_rate", in: 0...1e6) ?? learningRate
        weightDecay = try section.number("weight_decay", in: 0...1e6) ?? weightDecay
        adamBeta1 = try section.number("adam_beta1", in: 0...0.9999999999) ?? adamBeta1
        adamBeta2 = try section.number("adam_beta2", in: 0...0.9999999999) ?? adamBeta2
        adamEpsilon = try section.number("adam_epsilon", in: 0...1e6) ?? adamEpsilon
        maxGradNorm = try section.number("max_grad_norm", in: 0...Double.infinity) ?? maxGradNorm
        if section.object["max_grad_norm"] == .null { maxGradNorm = 0 }  // as the reference's None
        clipLossParameters = try section.bool("clip_loss_parameters") ?? clipLossParameters
        if let mapping = try section.section("learning_rate_mapping") {
            for pattern in mapping.object.keys {
                learningRateMapping.append((pattern, try mapping.number(pattern, in: 0...1e6) ?? learningRate))
            }
        }
        schedulerType = try section.string("lr_scheduler_type") ?? schedulerType
        if let options = try section.section("lr_scheduler_kwargs") {
            for key in options.object.keys {
                schedulerOptions[key] = try options.number(key, in: -1e9...1e9)
            }
        }
        let ratio = try section.number("warmup_ratio", in: 0...1)
        warmupSteps = try section.number("warmup_steps", in: 0...1e12) ?? 0
        if warmupSteps == 0, let ratio { warmupSteps = ratio == 1 ? 1.0.nextDown : ratio }
    }

    private mutating func readEvents(_ section: ConfigurationSection) throws(TuttiError) {
        loggingStrategy = try section.choice("logging_strategy", IntervalStrategy.self) ?? loggingStrategy
        loggingSteps = try section.number("logging_steps", in: 1e-9...1e12) ?? loggingSteps
        loggingFirstStep = try section.bool("logging_first_step") ?? loggingFirstStep
        evalStrategy = try section.choice("eval_strategy", IntervalStrategy.self) ?? evalStrategy
        evalSteps = try section.number("eval_steps", in: 1e-9...1e12)
        evalDelay = try section.number("eval_delay", in: 0...1e12) ?? evalDelay
        evalOnStart = try section.bool("eval_on_start") ?? evalOnStart
        saveStrategy = try section.choice("save_strategy", IntervalStrategy.self) ?? saveStrategy
        saveSteps = try section.number("save_steps", in: 1e-9...1e12) ?? saveSteps
        saveTotalLimit = try section.integer("save_total_limit", atLeast: 1)
        saveOnlyModel = try section.bool("save_only_model") ?? saveOnlyModel
        loadBestModelAtEnd = try section.bool("load_best_model_at_end") ?? loadBestModelAtEnd
        metricForBestModel = try section.string("metric_for_best_model")
        greaterIsBetter = try section.bool("greater_is_better")
    }

    private func checkCombinations(_ section: ConfigurationSection) throws(TuttiError) {
        for (key, strategy) in [("logging_strategy", loggingStrategy), ("eval_strategy", evalStrategy)]
        where strategy == .best {
            throw section.error(key, "\"best\" is a save_strategy only")
        }
        guard loadBestModelAtEnd else { return }
        guard evalStrategy != .no else {
            throw section.error("load_best_model_at_end", "needs an eval_strategy other than \"no\"")
        }
        guard saveStrategy == .best || saveStrategy == evalStrategy else {
            throw section.error(
                "load_best_model_at_end",
                "save_strategy \"\(saveStrategy.rawValue)\" must equal eval_strategy \"\(evalStrategy.rawValue)\"",
                hint: "Or use save_strategy: best.")
        }
        guard saveStrategy == .steps else { return }
        // Shares of all steps are compared in millionths, and only with each other.
        let evaluationSteps = evalSteps ?? loggingSteps
        let unit = evaluationSteps < 1 && saveSteps < 1 ? 1e6 : 1
        let (every, saves) = ((evaluationSteps * unit).rounded(), (saveSteps * unit).rounded())
        guard (evaluationSteps < 1) == (saveSteps < 1), saves.truncatingRemainder(dividingBy: every) == 0 else {
            throw section.error(
                "save_steps", "\(saveSteps) is not a multiple of eval_steps \(evaluationSteps)",
                hint: "load_best_model_at_end needs an evaluation at every save.")
        }
    }
}

extension Substring {
    fileprivate func trimmingSpaces() -> String {
        var text = self
        while text.first == " " { text.removeFirst() }
        while text.last == " " { text.removeLast() }
        return String(text)
    }
}
