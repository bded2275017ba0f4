// The configuration of a run: what stands in the file that `tutti train` and `tutti evaluate` take.
//
// The top-level keys are our own; below them stand the names of sentence-transformers.

import TuttiCorpus
import TuttiFormats
import TuttiGround

/// A loss or an evaluator as configured: its class name, its options, and where they stand.
package struct NamedOptions: Sendable {
    package let name: String
    /// Every key but `name`.
    package let options: JSONObject
    package let path: String
    package let places: ConfigurationPlaces

    /// A name without options.
    init(name: String, path: String, places: ConfigurationPlaces) {
        self.name = name
        options = JSONObject()
        self.path = path
        self.places = places
    }

    init(_ section: ConfigurationSection) throws(TuttiError) {
        name = try section.requiredString("name", hint: "Give the class name, as in {name: TripletEvaluator, ...}.")
        var options = section.object
        options["name"] = nil
        self.options = options
        path = section.path
        places = section.places
    }

    /// A usage error at one of the keys, or at the whole.
    package func error(_ key: String?, _ problem: String, hint: String? = nil) -> TuttiError {
        TuttiError(
            .usage, "read the configuration", places.place(key.map { "\(path).\($0)" } ?? path), problem, hint: hint)
    }
}

/// A configuration, checked key by key.
package struct TrainingConfiguration: Sendable {
    /// What the configuration is read for.
    package enum Purpose: Sendable {
        /// All keys are needed that a run needs.
        case training
        /// Evaluators are needed; everything else may be missing.
        case evaluation
    }

    /// The configuration as read, `--set` applied: what a run compares itself with.
    package let resolved: JSONObject
    /// Where its keys stand in its file.
    let places: ConfigurationPlaces
    package var model: String
    package var configOverrides: JSONObject?
    /// Tokens of a text at most; nil takes the model's own limit.
    package var maxSequenceLength: Int?
    package var outputDirectory: String
    /// One without a name, or several with names.
    package var trainDatasets: [DatasetSpecification]
    package var evalDatasets: [DatasetSpecification]
    package var losses: LossSelection?
    package var evaluators: [NamedOptions]
    package var testEvaluators: [NamedOptions]
    package var arguments: TrainingArguments
    package var modelCard: CardDescription

    /// The keys at the top level: what they take, and what they are for.
    package static let keys: [(name: String, words: String, meaning: String)] = [
        ("model", "a path or a hub id", "the model that training starts from"),
        ("config_overrides", "a mapping", "values of the model's config.json that are replaced, such as dropout rates"),
        ("max_seq_length", "a whole number, at least 3", "tokens of a text at most; by default the model's own limit"),
        ("output_dir", "a path", "the folder that the run writes to"),
        ("train_dataset", "a data set, or a mapping of names to data sets", "what is trained on"),
        ("eval_dataset", "a data set, or a mapping of names to data sets", "what the loss is evaluated on"),
        ("loss", "a name, {name: ..., options}, or a mapping of data sets to losses", "what is minimised"),
        ("evaluators", "a list of {name: ..., options}", "what judges the model during training"),
        ("test_evaluators", "a list of {name: ..., options}", "what judges the final model"),
        ("args", "a mapping", "the training arguments"),
        ("model_card", "a mapping", "what the model card says beside what follows from the run"),
    ]

    static let topLevelKeys = keys.map(\.name)

    /// Reads and checks a configuration.
    ///
    /// - Parameter notice: receives one line for each key that is accepted without effect.
    /// - Throws: a usage error (exit 64) that names the key's place, what was expected and the nearest valid name.
    package init(
        _ root: JSONObject, places: ConfigurationPlaces, purpose: Purpose, notice: (String) -> Void
    ) throws(TuttiError) {
        resolved = root
        self.places = places
        let section = ConfigurationSection(root, path: "", places: places)
        for key in root.keys where !Self.topLevelKeys.contains(key) {
            let isArgument = ArgumentKey.classify(key) != nil
            throw section.error(
                key, "unknown key",
                hint: isArgument
                    ? "It is a training argument: write it under args, as in args: {\(key): ...}."
                    : TuttiError.hint(unknown: key, known: Self.topLevelKeys))
        }
        let training = purpose == .training
        model = try section.string("model") ?? ""
        if training, model.isEmpty { throw section.error("model", "missing", hint: "A model folder or a hub id.") }
        configOverrides = try section.section("config_overrides")?.object
        maxSequenceLength = try section.integer("max_seq_length", atLeast: 3)
        outputDirectory = try section.string("output_dir") ?? ""
        if training, outputDirectory.isEmpty {
            let isMisplaced = root["args"]?.object?["output_dir"] != nil
            throw section.error(
                isMisplaced ? "args.output_dir" : "output_dir",
                isMisplaced ? "output_dir is not an argument" : "missing",
                hint: isMisplaced
                    ? "Write output_dir at the top level, beside args." : "The folder that the run writes to.")
        }
        trainDatasets = try section.datasets("train_dataset")
        if training, trainDatasets.isEmpty {
            throw section.error("train_dataset", "missing", hint: "For example {path: train.csv}.")
        }
        evalDatasets = try section.datasets("eval_dataset")
        losses = try section.losses("loss", train: trainDatasets, eval: evalDatasets)
        if training, losses == nil {
            throw section.error("loss", "missing", hint: "For example {name: MultipleNegativesRankingLoss}.")
        }
        evaluators = try Self.named(section, "evaluators")
        testEvaluators = try Self.named(section, "test_evaluators")
        if !training, evaluators.isEmpty, testEvaluators.isEmpty {
            throw section.error("evaluators", "missing", hint: "There is nothing to evaluate.")
        }
        var given = try section.section("args")?.object ?? JSONObject()
        if let other = given["output_dir"], !outputDirectory.isEmpty {
            // The arguments of a run of the reference, taken over as they are, name their folder too.
            if other != .null, other != .string(outputDirectory) {
                notice("args.output_dir is accepted and has no effect: output_dir at the top level is the folder.")
            }
            given["output_dir"] = nil
        }
        arguments = try TrainingArguments(json: given, places: places, notice: notice)
        modelCard = CardDescription()
        if let card = try section.section("model_card") { modelCard = try CardDescription(card, notice: notice) }
        let evaluates = arguments.evalStrategy != .no || arguments.evalOnStart
        if evaluates, evalDatasets.isEmpty, evaluators.isEmpty, training {
            throw section.error(
                arguments.evalStrategy != .no ? "args.eval_strategy" : "args.eval_on_start",
                "there is nothing to evaluate", hint: "Give an eval_dataset or evaluators.")
        }
    }

    private static func named(_ section: ConfigurationSection, _ key: String) throws(TuttiError) -> [NamedOptions] {
        var result: [NamedOptions] = []
        for item in try section.sections(key) { result.append(try NamedOptions(item)) }
        return result
    }
}
