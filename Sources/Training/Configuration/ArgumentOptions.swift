// The training arguments that have an effect, each described once: key, property, meaning, check.
//
// Reading, the model card's list, `tutti args` and docs/configuration.md come from this list.

import TuttiCorpus
import TuttiFormats
import TuttiGround
import TuttiReports

extension TrainingArguments {
    /// All arguments that have an effect, in the order of the documentation.
    package static let options = OptionList<TrainingArguments>(
        batches + optimizer + precision + schedule + events + rest + HubArguments.options)

    private static let batches: [Option<TrainingArguments>] = [
        Option("num_train_epochs", \.numTrainEpochs, "passes over the training data", check: .within(0...1e9)),
        Option(
            "max_steps", \.maxSteps, "optimizer steps; overrides num_train_epochs where positive", check: .atLeast(-1)),
        Option(
            "per_device_train_batch_size", \.perDeviceTrainBatchSize, "rows of a training batch on each rank",
            check: .atLeast(1)),
        Option(
            "per_device_eval_batch_size", \.perDeviceEvalBatchSize, "rows of an evaluation batch on each rank",
            check: .atLeast(1)),
        Option(
            "global_train_batch_size", \.globalTrainBatchSize,
            "rows of a training batch on all ranks together, in place of per_device_train_batch_size: the result then "
                + "does not depend on the number of ranks", check: .atLeast(1)),
        Option(
            "global_eval_batch_size", \.globalEvalBatchSize,
            "the same for evaluation; global_train_batch_size where that is given", check: .atLeast(1)),
        Option(
            "auto_find_batch_size", \.autoFindBatchSize,
            "take fewer rows than per_device_train_batch_size, nine tenths and again nine tenths, where the free memory of a "
                + "rank, within limits of control groups, would not hold a batch; the size found at the first start stays "
                + "that of the run"),
        Option(
            "gradient_accumulation_steps", \.gradientAccumulationSteps,
            "batches whose mean gradient makes one optimizer step", check: .atLeast(1)),
        Option(
            "mini_batch_size", \.miniBatchSize, "texts encoded at a time (GradCache), for any loss", check: .atLeast(1)),
        Option("mini_batch_tokens", \.miniBatchTokens, "tokens encoded at a time (GradCache)", check: .atLeast(1)),
        Option("dataloader_drop_last", \.dataloaderDropLast, "leave out a last batch that is short"),
        Option(
            "batch_sampler", words: "one of \(BatchSamplerRegistry.all.map(\.name).joined(separator: ", "))",
            "how rows are put into batches",
            read: { (json, arguments) throws(OptionProblem) in
                if !json.isNull { arguments.batchSampler = try sampler(json) }
            }, write: { .string($0.batchSampler.name) }),
        Option(
            "multi_dataset_batch_sampler", words: "one of \(DatasetMixing.names.joined(separator: ", "))",
            "how the batches of several data sets take turns",
            read: { (json, arguments) throws(OptionProblem) in
                arguments.datasetMixing = try DatasetMixing(name: try String(option: json))
            }, write: { .string($0.datasetMixing.name) }),
        Option(
            "multi_dataset_temperature", words: "a number, from 0.001 to 1000000",
            "with multi_dataset_batch_sampler: temperature; 1 draws in proportion to rows, more draws more evenly",
            read: { (json, arguments) throws(OptionProblem) in
                guard !json.isNull else { return }
                let temperature = try Double(option: json)
                guard (1e-3...1e6).contains(temperature) else {
                    throw OptionProblem("\(temperature) is not from 0.001 to 1000000")
                }
                guard case .temperature = arguments.datasetMixing else {
                    throw OptionProblem(
                        "has no meaning with multi_dataset_batch_sampler: \(arguments.datasetMixing.name)",
                        hint: "Choose multi_dataset_batch_sampler: temperature.")
                }
                arguments.datasetMixing = .temperature(temperature)
            },
            write: {
                if case .temperature(let temperature) = $0.datasetMixing { .number(temperature) } else { .null }
            }),
        Option(
            "token_cache", \.tokenCache,
            "whether rows and tokens of data sets are kept in files that all ranks of a node map: always, never, or auto, "
                + "for those that all its ranks together would hold in an eighth of the machine's memory or more"),
        Option(
            "token_cache_dir", \.tokenCacheFolder,
            "the folder of these files; $TUTTI_CACHE/tokens or ~/.cache/tutti/tokens by default", words: "a path"),
    ]

    private static let optimizer: [Option<TrainingArguments>] = [
        Option("optim", \.optim, "the optimizer: \(OptimizerRegistry.names.joined(separator: ", "))"),
        Option(
            "optim_args", words: "key=value,key=value", "options of the optimizer",
            read: { (json, arguments) throws(OptionProblem) in
                arguments.optimArgs = json.isNull ? [:] : try pairs(String(option: json))
            },
            write: { arguments in
                let pairs = arguments.optimArgs.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }
                return pairs.isEmpty ? .null : .string(pairs.joined(separator: ","))
            }),
        Option("learning_rate", \.learningRate, "the highest learning rate of the schedule", check: .within(0...1e6)),
        Option("weight_decay", \.weightDecay, "decay of weights, not of biases and norms", check: .within(0...1e6)),
        Option("adam_beta1", \.adamBeta1, "decay of AdamW's mean of gradients", check: .within(0..<1)),
        Option("adam_beta2", \.adamBeta2, "decay of AdamW's mean of squared gradients", check: .within(0..<1)),
        Option("adam_epsilon", \.adamEpsilon, "added to AdamW's denominator", check: .within(0...1e6)),
        Option(
            "max_grad_norm", \.maxGradNorm, "gradient norm above which gradients are scaled down; 0 or null: never",
            check: .atLeast(0), null: 0),
        Option(
            "clip_loss_parameters", \.clipLossParameters,
            "count and clip parameters that a loss owns too; the reference clips the model's only"),
        Option(
            "learning_rate_mapping", words: "a mapping of regular expressions to numbers",
            "learning rates of parameters by their names; the last pattern that matches counts",
            read: { (json, arguments) throws(OptionProblem) in
                arguments.learningRateMapping = try rates(json, otherwise: arguments.learningRate)
            },
            write: { arguments in
                var object = JSONObject()
                for (pattern, rate) in arguments.learningRateMapping { object[pattern] = .number(rate) }
                return .object(object)
            }),
        Option(
            "freeze", \.freeze,
            "parameters that are not trained, by the first dotted parts of their names, with *, ? and [0-5] inside a part: "
                + "[embeddings, \"encoder.layer.[0-5]\"]", words: "a list of patterns of names"),
        Option(
            "layerwise_lr_decay", \.layerwiseDecay,
            "share of the learning rate that each layer keeps of the layer above it; not of rates of "
                + "learning_rate_mapping", check: .within(1e-6...1)),
        Option(
            "ema_decay", \.emaDecay,
            "share that an average of the weights keeps in each step; the average is evaluated and saved",
            check: .within(1e-9..<1)),
        Option(
            "neftune_noise_alpha", \.neftuneNoiseAlpha,
            "uniform noise on token embeddings in training, up to alpha over the root of tokens x width of a text",
            check: .within(0...1e6)),
    ]

    private static let precision: [Option<TrainingArguments>] = [
        Option(
            "bf16", \.bf16,
            "multiply bf16 numbers with fp32 sums in dense layers, where the processor can, and keep activations in bf16; "
                + "weights, gradients and the optimizer's state stay in fp32"),
        Option("fp16", \.fp16, "the same, of configurations for GPUs; fp32 where the processor multiplies no bf16"),
        Option(
            "gradient_checkpointing", \.gradientCheckpointing,
            "keep the inputs of layers only, and compute the rest again for backward: the same bits, less memory, a third "
                + "more work"),
        Option(
            "compute", \.compute,
            "what evaluations of the model, guides and teachers of evaluators round the operands of dense products to"),
        Option(
            "activation_checkpointing", words: "true or false", "the newer name of gradient_checkpointing",
            read: { (json, arguments) throws(OptionProblem) in
                if !json.isNull, try Bool(option: json) { arguments.gradientCheckpointing = true }
            }, write: { .bool($0.gradientCheckpointing) }),
    ]

    private static let schedule: [Option<TrainingArguments>] = [
        Option(
            "lr_scheduler_type", \.schedulerType,
            "how the learning rate changes: \(ScheduleRegistry.all.map(\.name).joined(separator: ", "))"),
        Option(
            "stop_after", \.stopAfter,
            "the last step that is taken, though the schedule goes on; below 1 a share of all steps",
            check: .within(1e-9...1e12)),
        Option(
            "lr_scheduler_kwargs", words: "a mapping", "options of the schedule",
            read: { (json, arguments) throws(OptionProblem) in
                arguments.schedulerOptions = try mapping(json)
            }, write: { .object($0.schedulerOptions) }),
        Option(
            "warmup_steps", \.warmupSteps, "steps in which the rate rises from 0; below 1 a share of all steps",
            check: .within(0...1e12)),
        Option(
            "warmup_ratio", words: "a number, from 0 to 1", "the older name of warmup_steps below 1",
            read: { (json, arguments) throws(OptionProblem) in
                guard !json.isNull else { return }
                let ratio = try Double(option: json)
                guard (0...1).contains(ratio) else { throw OptionProblem("\(ratio) is not from 0 to 1") }
                // The reference copies it to warmup_steps, where 1 is one step.
                if arguments.warmupSteps == 0 { arguments.warmupSteps = ratio }
            }, write: { _ in .null }),
    ]

    private static let events: [Option<TrainingArguments>] = [
        Option("logging_strategy", \.loggingStrategy, "when a line of training is logged"),
        Option(
            "logging_steps", \.loggingSteps, "steps between lines; below 1 a share of all steps",
            check: .within(1e-9...1e12)),
        Option("logging_first_step", \.loggingFirstStep, "log the first step too"),
        Option("eval_strategy", \.evalStrategy, "when the model is evaluated"),
        Option(
            "eval_steps", \.evalSteps, "steps between evaluations, logging_steps if not given; below 1 a share",
            check: .within(1e-9...1e12)),
        Option(
            "eval_delay", \.evalDelay, "epochs, or steps with eval_strategy: steps, before the first evaluation",
            check: .within(0...1e12)),
        Option("eval_on_start", \.evalOnStart, "evaluate before the first step too"),
        Option("save_strategy", \.saveStrategy, "when a checkpoint is written; best: whenever the metric improves"),
        Option(
            "save_steps", \.saveSteps, "steps between checkpoints; below 1 a share of all steps",
            check: .within(1e-9...1e12)),
        Option("save_total_limit", \.saveTotalLimit, "checkpoints that are kept", check: .atLeast(1)),
        Option("save_only_model", \.saveOnlyModel, "checkpoints without optimizer state: they cannot be resumed"),
        Option(
            "save_in_background", \.saveInBackground,
            "write checkpoints while training goes on, from copies of the weights and the optimizer's state, where half "
                + "of the free memory holds them"),
        Option("load_best_model_at_end", \.loadBestModelAtEnd, "the final model is the best one"),
        Option("metric_for_best_model", \.metricForBestModel, "the metric that chooses it; the loss if not given"),
        Option(
            "greater_is_better", \.greaterIsBetter, "whether more of it is better; unless its name ends in loss"),
        Option(
            "early_stopping_patience", \.earlyStoppingPatience,
            "evaluations without improvement of that metric after which training ends", check: .atLeast(1)),
        Option(
            "early_stopping_threshold", \.earlyStoppingThreshold,
            "how much better than the best value counts as an improvement there", check: .within(0...1e9)),
        Option(
            "resume_from_checkpoint", \.resumeFromCheckpoint,
            "a checkpoint to begin with; true: refuse to begin anew where output_dir has none"),
    ]

    private static let rest: [Option<TrainingArguments>] = [
        Option(
            "deterministic", \.deterministic,
            "what must not change the bits of a run: run, its repetition on as many ranks; world_size, the number of ranks, "
                + "hosts and threads either, at the cost of a second encoding"),
        Option(
            "deterministic_shards", \.deterministicShards,
            "with deterministic: world_size: parts of a global batch, 2, 4, 8 ... 64; at least the ranks",
            check: .atLeast(1)),
        Option(
            "exchange", \.exchange,
            "how ranks sum gradients: shared_node in memory on one node, two_level on several, messages by MPI_Allreduce; "
                + "auto takes the first that all ranks can have"),
        Option(
            "wire", \.wire,
            "the numbers of gradients in messages between nodes; bf16 halves the bytes and rounds each node's part and "
                + "the sum"),
        Option(
            "optimizer_sharding", \.optimizerSharding,
            "where the optimizer's state is kept: node, all of it once a node (once a rank where ranks share no memory); "
                + "all, an equal part in each of these memories (ZeRO-1): new values then travel in place of sums"),
        Option(
            "replica_check_steps", \.replicaCheckSteps,
            "steps after which the ranks compare their copies of the weights, as before each checkpoint; 0: never",
            check: .atLeast(0)),
        Option("prompts", \.prompts, "what is put before texts: one for all, by column, by data set, or both"),
        Option(
            "router_mapping", \.routerMapping,
            "the task of each text column, which chooses its route through a model with a Router"),
        Option("seed", \.seed, "of everything that is drawn", check: nil),
        Option("data_seed", \.dataSeed, "of the order of rows; seed if not given"),
        Option("run_name", \.runName, "a name for the run, which its reports show"),
        Option(
            "report_to", words: "a name, a list of names, none or all",
            "the reports beside metrics.jsonl, in place of html: "
                + ReportRegistry.all.map(\.name).joined(separator: ", ") + "; none: metrics.jsonl alone",
            read: { (json, arguments) throws(OptionProblem) in arguments.reportTo = try reports(json) },
            write: { arguments in .array(arguments.reportTo.map(JSONValue.string)) }),
    ]

    /// The sampler of this name.
    private static func sampler(_ json: JSONValue) throws(OptionProblem) -> any BatchSampler {
        let name = try String(option: json)
        do {
            return try BatchSamplerRegistry.sampler(named: name)
        } catch {
            throw OptionProblem(error.problem, hint: error.hint)
        }
    }

    /// The names of reports that `report_to` asks for.
    private static func reports(_ json: JSONValue) throws(OptionProblem) -> [String] {
        if json.isNull { return TrainingArguments().reportTo }
        let known = ReportRegistry.all.map(\.name)
        let wanted = json.array ?? [json]
        var names: [String] = []
        for item in wanted {
            guard let name = item.string else { throw OptionProblem.expected("a name", found: item) }
            if name == "all" {
                names += known
            } else if name != "none", !name.isEmpty {
                guard known.contains(name) else {
                    throw OptionProblem(
                        "unknown report \"\(name)\"", hint: TuttiError.hint(unknown: name, known: known))
                }
                names.append(name)
            }
        }
        return names
    }

    /// "key=value,key=value".
    private static func pairs(_ text: String) throws(OptionProblem) -> [String: String] {
        var pairs: [String: String] = [:]
        for pair in text.split(separator: ",") {
            let parts = pair.split(separator: "=", maxSplits: 1)
            guard parts.count == 2 else { throw OptionProblem("expected key=value,key=value, found \"\(pair)\"") }
            let trimmed = parts.map { part in
                String(part.trimmingPrefix { $0 == " " }.reversed().trimmingPrefix { $0 == " " }.reversed())
            }
            pairs[trimmed[0]] = trimmed[1]
        }
        return pairs
    }

    /// A mapping, or the text of one in JSON, as the reference takes it from a command line; null is an empty one.
    private static func mapping(_ json: JSONValue) throws(OptionProblem) -> JSONObject {
        if json.isNull { return JSONObject() }
        if let object = json.object { return object }
        if let text = json.string {
            do throws(TuttiError) {
                if let object = try JSONValue.parse(text).object { return object }
            } catch { throw .expected("a mapping (key: value)", found: json) }
        }
        throw .expected("a mapping (key: value)", found: json)
    }

    private static func rates(
        _ json: JSONValue, otherwise rate: Double
    ) throws(OptionProblem) -> [(pattern: String, rate: Double)] {
        var rates: [(pattern: String, rate: Double)] = []
        for (pattern, value) in try mapping(json) {
            rates.append((pattern, try number(value, in: 0...1e6, at: pattern) ?? rate))
        }
        return rates
    }

    private static func number(
        _ json: JSONValue, in range: ClosedRange<Double>, at path: String
    ) throws(OptionProblem) -> Double? {
        if json.isNull { return nil }
        guard let value = json.double ?? json.string.flatMap(Double.init), range.contains(value) else {
            throw .expected("a number from \(range.lowerBound) to \(range.upperBound)", found: json, at: path)
        }
        return value
    }
}

extension IntervalStrategy: OptionChoice {}
extension ExchangeChoice: OptionChoice {}
extension Wire: OptionChoice {}
extension OptimizerSharding: OptionChoice {}
extension TokenCacheChoice: OptionChoice {}
extension Determinism: OptionChoice {}

extension DatasetMixing {
    /// The mixing of this name, in the reference's spellings too; a temperature is still to come: 0.
    fileprivate init(name given: String) throws(OptionProblem) {
        let name = (given.split(separator: ".").last.map(String.init) ?? given).lowercased()
        switch name {
        case "proportional": self = .proportional
        case "round_robin": self = .roundRobin
        case "temperature": self = .temperature(0)
        default:
            throw OptionProblem(
                "unknown value \"\(given)\"", hint: TuttiError.hint(unknown: given, known: DatasetMixing.names))
        }
    }
}
