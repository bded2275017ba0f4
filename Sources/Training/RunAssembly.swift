// From a configuration to the parts of a run: model, data, loss, evaluators.

import Crypto
import TuttiCorpus
import TuttiEnsemble
import TuttiEvaluation
import TuttiFormats
import TuttiModels
import TuttiObjectives

extension TrainingInputs {
    /// Loads everything that a configuration names. Collective: an error on one rank is everybody's error.
    ///
    /// - Throws: exit 64 for names and options, 65 for bad data or model files, 66 for missing ones.
    public init(_ configuration: TrainingConfiguration, ensemble: any Ensemble) throws {
        self = try ensemble.together("load the run") { try TrainingInputs(loading: configuration) }
    }

    private init(loading configuration: TrainingConfiguration) throws {
        guard !configuration.trainDatasets.isEmpty, let selection = configuration.losses else {
            preconditionFailure("a configuration read for training has a train_dataset and a loss")
        }
        let names = selection.datasets
        let losses = try selection.all.enumerated().map { place, options in
            TrainingLoss(try options.makeLoss(), dataset: names[place], description: options.options)
        }
        func load(_ specifications: [DatasetSpecification]) throws -> [TrainingDataset] {
            try specifications.map {
                TrainingDataset(try loadTable($0), name: $0.name, loss: selection.index(of: $0.name))
            }
        }
        let train = try load(configuration.trainDatasets)
        let model = try loadModel(configuration)
        self.init(
            model: model, arguments: configuration.arguments, trainDatasets: train, losses: losses,
            outputDirectory: configuration.outputDirectory)
        evalDatasets = try load(configuration.evalDatasets)
        try arguments.prompts.check(
            datasets: (train + evalDatasets).map { ($0.name, $0.table.columnNames) }, places: configuration.places)
        (evaluators, testEvaluators) = try configuration.makeEvaluators(model: model)
        self.configuration = .object(configuration.identityObject)
        cardFacts = configuration.modelCard
        func digest(_ dataset: TrainingDataset) -> String {
            (dataset.name.map { "\($0): " } ?? "") + "\(dataset.table.contentDigest())"
        }
        inputDigests =
            train.map(digest) + (evalDatasets.isEmpty ? ["0"] : evalDatasets.map(digest))
            + [SHA256.hash(data: UnsafeRawBufferPointer(model.encoder.parameters.values)).hexadecimal]
    }

    /// The losses, bound to model and data, with their parameters in the model's arenas.
    func makeObjectives() throws(TuttiError) -> [Objective] {
        let limits = Chunking(rows: arguments.miniBatchSize, tokens: arguments.miniBatchTokens)
        var guides: [String: SentenceEncoder] = [:]
        var objectives: [Objective] = []
        for (place, loss) in losses.enumerated() {
            objectives.append(
                try Objective(
                    loss.configured, prefix: loss.dataset.map { "\($0)." } ?? "", model: model,
                    tables: (trainDatasets + evalDatasets).filter { $0.loss == place }.map(\.table), guides: &guides,
                    chunking: limits == Chunking() ? nil : limits))
        }
        model.encoder.parameters.setLossParameters(objectives.flatMap(\.tensors))
        for objective in objectives { try objective.fill(seed: arguments.seed) }
        return objectives
    }

    /// Every data set beside its loss.
    private var columnRoles: [ColumnRoles] {
        (trainDatasets + evalDatasets).map { ColumnRoles($0, loss: losses[$0.loss].configured) }
    }

    /// Refuses data whose columns the loss cannot take; `show` gets what it takes and how the columns were understood.
    func checkColumns(_ show: (String) -> Void) throws(TuttiError) {
        for roles in columnRoles {
            guard let refusal = roles.refusal else { continue }
            for line in roles.refusalTable { show(line) }
            throw refusal
        }
    }

    /// What every column of every training data set is to its loss, and which columns may be out of order.
    var columnNotices: [String] {
        let roles = columnRoles
        var lines = roles.prefix(trainDatasets.count).map(\.notice)
        for line in roles.flatMap(\.warnings) where !lines.contains(line) { lines.append(line) }
        return lines
    }

    /// A metric that no evaluation of this run gives is an error before the first step.
    func checkBestMetric() throws(TuttiError) {
        guard arguments.loadBestModelAtEnd || arguments.metricForBestModel != nil || arguments.saveStrategy == .best
        else { return }
        var known = evaluators.flatMap(\.metricKeys).map(evaluationKey)
        known += evalDatasets.map { "\($0.evaluationPrefix)_loss" }
        let wanted = arguments.bestMetricName
        if known.contains(wanted) || known.contains("eval_\(wanted)") { return }
        throw TuttiError(
            .usage, "read the configuration", "args.metric_for_best_model",
            "no evaluation of this run gives \"\(wanted)\"",
            hint: TuttiError.hint(unknown: wanted, known: known))
    }
}

/// The model of a configuration, with its limit on the length of texts.
public func loadModel(
    _ configuration: TrainingConfiguration, path: String? = nil
) throws(TuttiError) -> SentenceEncoder {
    let model = try SentenceEncoder.load(path ?? configuration.model, configOverrides: configuration.configOverrides)
    if let limit = configuration.maxSequenceLength {
        guard limit <= model.maximumLength else {
            throw TuttiError(
                .usage, "limit the length of texts", "max_seq_length",
                "\(limit) tokens, but \(model.sourceDescription) takes \(model.maximumLength)")
        }
        model.maximumLength = limit
    }
    return model
}

extension TrainingConfiguration {
    /// What is compared when a run is started again: everything but where it writes and how the card reads.
    var identityObject: JSONObject {
        var object = resolved
        object["output_dir"] = nil
        object["model_card"] = nil
        return object
    }

    /// The evaluators and the test evaluators.
    ///
    /// Throws: as `EvaluatorRegistry.make`; `.usage` where two give metrics of one name, because one would replace the
    /// other's in the log and in its file.
    public func makeEvaluators(
        model: SentenceEncoder
    ) throws(TuttiError) -> (evaluators: [any Evaluator], testEvaluators: [any Evaluator]) {
        var givers: [String: NamedOptions] = [:]
        func make(_ all: [NamedOptions]) throws(TuttiError) -> [any Evaluator] {
            var made: [any Evaluator] = []
            for named in all {
                let evaluator = try named.makeEvaluator(model: model)
                for key in evaluator.metricKeys {
                    guard let other = givers.updateValue(named, forKey: evaluationKey(key)), other.path != named.path
                    else { continue }
                    throw named.error(
                        nil, "gives the metric '\(key)', as \(other.path) does",
                        hint: "Tell them apart by id, which stands before every metric's name.")
                }
                made.append(evaluator)
            }
            return made
        }
        return (try make(evaluators), try make(testEvaluators))
    }
}

extension NamedOptions {
    /// The loss of this name.
    func makeLoss() throws(TuttiError) -> ConfiguredLoss {
        do {
            return try LossRegistry.make(LossSpecification(name: name, options: lossOptions(options)))
        } catch {
            throw self.error(error.option ?? "name", "\(error.loss): \(error.problem)", hint: error.hint)
        }
    }

    private func lossOptions(_ object: JSONObject) -> [String: LossOption] {
        var given: [String: LossOption] = [:]
        for (key, value) in object { given[key] = lossOption(value) }
        return given
    }

    private func lossOption(_ value: JSONValue) -> LossOption {
        switch value {
        case .bool(let flag): return .bool(flag)
        case .integer(let number): return .int(Int(number))
        case .number(let number): return .double(number)
        case .string(let text): return .string(text)
        case .array(let items): return .list(items.map(lossOption))
        case .object(var object):
            let name = object["name"]?.string ?? ""
            object["name"] = nil
            return .loss(LossSpecification(name: name, options: lossOptions(object)))
        default: return .null
        }
    }

    /// The evaluator of this name.
    func makeEvaluator(model: SentenceEncoder) throws(TuttiError) -> any Evaluator {
        try EvaluatorRegistry.make(
            name: name,
            options: EvaluatorOptions(
                place: places.place(path), object: options, modelSimilarity: model.similarity,
                modelPrompts: model.prompts))
    }
}
