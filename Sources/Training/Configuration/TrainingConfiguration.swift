// The configuration of a run: what stands in the file that `tutti train` and `tutti evaluate` take.
//
// The top-level keys are our own; below them stand the names of sentence-transformers.

import TuttiCorpus
import TuttiGround
import TuttiModels

/// A configuration, checked key by key.
package struct TrainingConfiguration: Sendable {
    /// What the configuration is read for.
    package enum Purpose: Sendable {
        /// All keys are needed that a run needs.
        case training
        /// Evaluators are needed; everything else may be missing.
        case evaluation
        /// The model that training would start from; everything else may be missing.
        case model
    }

    /// The configuration as read, `--set` applied: what a run compares itself with.
    package let resolved: JSONObject
    /// Where its keys stand in its file.
    let places: ConfigurationPlaces
    package var model = ""
    package var configOverrides: JSONObject?
    /// The adapter that is trained in place of the encoder's own weights.
    package var lora: AdapterConfiguration?
    /// The layers of the model that are kept; nil = all.
    package var keptLayers: [Int]?
    /// The modules that the run makes; nil = the model's own.
    package var modules: [ModuleRequest]?
    /// The model's own similarity; nil takes the one that it was saved with.
    package var similarity: String?
    /// Tokens of a text at most; nil takes the model's own limit.
    package var maxSequenceLength: Int?
    package var outputDirectory = ""
    /// One without a name, or several with names.
    package var trainDatasets: [DatasetSpecification] = []
    package var evalDatasets: [DatasetSpecification] = []
    package var losses: LossSelection?
    package var evaluators: [NamedOptions] = []
    package var testEvaluators: [NamedOptions] = []
    package var arguments = TrainingArguments()
    package var modelCard = CardDescription()
    /// The sections that are read by lists of their own.
    private var sections = (arguments: JSONObject(), card: JSONObject())

    /// The keys at the top level, in the order in which they are read; required where the configuration is for training.
    package static let options = OptionList<TrainingConfiguration>([
        Option(
            "model", \.model, "the model that training starts from", words: "a path or a hub id", check: .filled,
            isRequired: true, substitute: "modules"),
        Option(
            "config_overrides", \.configOverrides,
            "values of the model's config.json that are replaced, such as dropout rates"),
        Option(
            "lora", words: "a mapping",
            "a low-rank adapter, trained in place of the encoder's own weights: the keys of peft's LoraConfig",
            read: { (json, configuration) throws(OptionProblem) in
                configuration.lora =
                    json.isNull ? nil : try AdapterConfiguration(JSONObject(option: json), isSaved: false)
            },
            write: { configuration in
                configuration.lora.map {
                    AdapterConfiguration.options.object(of: $0, from: AdapterConfiguration())
                } ?? .null
            }),
        Option(
            "keep_layers", \.keptLayers,
            "the layers of the model that are kept, ascending numbers from 0; by default all"),
        Option(
            "modules", \.modules,
            "modules that take the place of the model's after the first; one that reads texts takes the place of the model"
        ),
        Option(
            "similarity_fn_name", \.similarity,
            "the similarity that the model is trained for and saved with; by default its own",
            check: OptionCheck("one of \(ModelDirectory.similarities.joined(separator: ", "))") {
                ModelDirectory.similarities.contains($0) ? nil : "unknown similarity '\($0)'"
            }),
        Option(
            "max_seq_length", \.maxSequenceLength, "tokens of a text at most; by default the model's own limit",
            check: .atLeast(3)),
        Option(
            "output_dir", \.outputDirectory, "the folder that the run writes to", words: "a path", check: .filled,
            isRequired: true),
        datasets("train_dataset", \.trainDatasets, "what is trained on", isRequired: true),
        datasets("eval_dataset", \.evalDatasets, "what the loss is evaluated on"),
        Option(
            "loss", words: "a name, {name: ..., options}, or a mapping of data sets to losses", "what is minimised",
            isRequired: true,
            read: { (json, configuration) throws(OptionProblem) in
                let known = (configuration.trainDatasets + configuration.evalDatasets).compactMap(\.name)
                configuration.losses = json.isNull ? nil : try LossSelection(json, datasets: known)
            }, write: { $0.losses?.configurationJSON ?? .null }),
        Option(
            "evaluators", \.evaluators, "what judges the model during training",
            words: "a list of \(NamedOptions.words)"),
        Option(
            "test_evaluators", \.testEvaluators, "what judges the final model",
            words: "a list of \(NamedOptions.words)"),
        Option("args", \.sections.arguments, "the training arguments"),
        Option("model_card", \.sections.card, "what the model card says beside what follows from the run"),
    ])

    private static func datasets(
        _ name: String, _ path: WritableKeyPath<TrainingConfiguration, [DatasetSpecification]> & Sendable,
        _ meaning: String, isRequired: Bool = false
    ) -> Option<TrainingConfiguration> {
        Option(
            name, words: "a data set, or a mapping of names to data sets", meaning, isRequired: isRequired,
            read: { (json, configuration) throws(OptionProblem) in
                configuration[keyPath: path] = try .datasets(json)
            }, write: { $0[keyPath: path].configurationJSON })
    }

    /// A configuration that gives nothing.
    package init() {
        resolved = JSONObject()
        places = ConfigurationPlaces(file: "")
    }

    /// Reads and checks a configuration.
    ///
    /// - Parameter notice: receives one line for each key that is accepted without effect.
    /// - Throws: a usage error (exit 64) that names the key's place, what was expected and the nearest valid name.
    package init(
        _ root: JSONObject, places: ConfigurationPlaces, purpose: Purpose, notice: (String) -> Void
    ) throws(TuttiError) {
        resolved = root
        self.places = places
        let isTraining = purpose == .training
        try Self.checkKeys(root, places, isTraining: isTraining)
        try Self.options.read(root, into: &self, isPartial: !isTraining) { places.error($0, $1, hint: $2) }
        try checkModules(isTraining: isTraining)
        losses = losses?.placed(at: "loss", places)
        try losses?.check(train: trainDatasets, eval: evalDatasets, places)
        try trainDatasets.checkValidation(eval: evalDatasets, places)
        for (key, path) in [("evaluators", \Self.evaluators), ("test_evaluators", \Self.testEvaluators)] {
            let isList = root[key]?.array != nil
            self[keyPath: path] = self[keyPath: path].enumerated().map { place, named in
                named.placed(at: isList ? "\(key).\(place)" : key, places)
            }
        }
        if purpose == .evaluation, evaluators.isEmpty, testEvaluators.isEmpty {
            throw places.error("evaluators", "is missing: there is nothing to evaluate")
        }
        if let other = sections.arguments.remove("output_dir"), !outputDirectory.isEmpty {
            // The arguments of a run of the reference, taken over as they are, name their folder too.
            if !other.isNull, other != .string(outputDirectory) {
                notice("args.output_dir is accepted and has no effect: output_dir at the top level is the folder.")
            }
        }
        arguments = try TrainingArguments(json: sections.arguments, places: places, notice: notice)
        if isTraining { try trainDatasets.checkStreaming(eval: evalDatasets, arguments, places) }
        do throws(OptionProblem) {
            modelCard = try CardDescription(sections.card, notice: notice)
            let splits = trainDatasets.count(where: { $0.validationSplit != nil })
            if isTraining { try modelCard.check(train: trainDatasets.count, eval: evalDatasets.count + splits) }
        } catch let flaw {
            throw places.error(flaw.inside("model_card").path, flaw.problem, hint: flaw.hint)
        }
        let evaluates = arguments.evalStrategy != .no || arguments.evalOnStart
        let splitsOff = trainDatasets.contains { $0.validationSplit != nil }
        if evaluates, evalDatasets.isEmpty, !splitsOff, evaluators.isEmpty, isTraining {
            throw places.error(
                arguments.evalStrategy != .no ? "args.eval_strategy" : "args.eval_on_start",
                "there is nothing to evaluate", hint: "Give an eval_dataset, a validation_split or evaluators.")
        }
    }

    /// Refuses a model beside modules that take its place, and modules without a model.
    private func checkModules(isTraining: Bool) throws(TuttiError) {
        guard let modules else { return }
        guard let first = modules.first else {
            throw places.error("modules", "names no module", hint: "Remove the key to keep the model's own.")
        }
        if first.makesInput, !model.isEmpty {
            throw places.error(
                "model", "has no place: the first of modules reads texts itself", hint: "Remove model, or that module.")
        }
        if !first.makesInput, model.isEmpty, isTraining {
            throw places.error(
                "model", "is missing: the first of modules reads no texts",
                hint: "Give a model, or begin modules with WordEmbeddings or BoW.")
        }
    }

    /// Refuses keys that nobody knows, and those that stand in the wrong section.
    private static func checkKeys(
        _ root: JSONObject, _ places: ConfigurationPlaces, isTraining: Bool
    ) throws(TuttiError) {
        for key in root.keys where !options.names.contains(key) {
            if key == SweepSettings.key {
                throw places.error(key, "describes a search, not a run", hint: "`tutti sweep` runs it.")
            }
            let isArgument = ArgumentKey.classify(key) != nil
            throw places.error(
                key, "unknown key",
                hint: isArgument
                    ? "It is a training argument: write it under args, as in args: {\(key): ...}."
                    : TuttiError.hint(unknown: key, known: options.names))
        }
        if isTraining, root["output_dir"]?.isNull ?? true, root["args"]?["output_dir"] != nil {
            throw places.error(
                "args.output_dir", "output_dir is not an argument",
                hint: "Write output_dir at the top level, beside args.")
        }
    }
}
