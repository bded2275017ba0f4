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
        guard let train = configuration.trainDatasets.first, let lossOptions = configuration.losses?.all.first else {
            preconditionFailure("a configuration read for training has a train_dataset and a loss")
        }
        if configuration.trainDatasets.count > 1 || configuration.evalDatasets.count > 1 {
            throw TuttiError(
                .usage, "load the run", "train_dataset", "several data sets at once are not available yet",
                hint: "Give one: {path: ..., columns: [...]}.")
        }
        let loss = try lossOptions.makeLoss()
        let table = try loadTable(train)
        try lossOptions.checkColumns(of: table)
        let model = try loadModel(configuration)
        self.init(
            model: model, arguments: configuration.arguments, trainDataset: table, loss: loss,
            outputDirectory: configuration.outputDirectory)
        if let evaluation = configuration.evalDatasets.first {
            let evalTable = try loadTable(evaluation)
            try lossOptions.checkColumns(of: evalTable)
            evalDataset = evalTable
        }
        evaluators = try configuration.evaluators.map { try $0.makeEvaluator(model: model) }
        testEvaluators = try configuration.testEvaluators.map { try $0.makeEvaluator(model: model) }
        self.configuration = .object(configuration.identityObject)
        lossDescription = lossOptions.options
        cardFacts = configuration.modelCard
        inputDigests = [
            "\(table.contentDigest())", "\(evalDataset?.contentDigest() ?? 0)",
            SHA256.hash(data: UnsafeRawBufferPointer(model.encoder.parameters.values)).hexadecimal,
        ]
    }

    /// The loss, bound to model and data, with its parameters in the model's arenas.
    func makeObjective() throws(TuttiError) -> Objective {
        let limits = Chunking(rows: arguments.miniBatchSize, tokens: arguments.miniBatchTokens)
        let objective = try Objective(
            loss, model: model, table: trainDataset, chunking: limits == Chunking() ? nil : limits)
        model.encoder.parameters.setLossParameters(objective.tensors)
        try objective.fill(seed: arguments.seed)
        return objective
    }

    /// A metric that no evaluation of this run gives is an error before the first step.
    func checkBestMetric() throws(TuttiError) {
        guard arguments.loadBestModelAtEnd || arguments.metricForBestModel != nil || arguments.saveStrategy == .best
        else { return }
        var known = evaluators.flatMap(\.metricKeys).map { $0.hasPrefix("eval_") ? $0 : "eval_\($0)" }
        if evalDataset != nil { known.append("eval_loss") }
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

    /// Refuses a table whose columns the loss cannot take, with what it takes.
    func checkColumns(of table: Table) throws(TuttiError) {
        let entry: LossEntry
        do {
            entry = try LossRegistry.entry(named: name)
        } catch {
            throw self.error("name", error.problem, hint: error.hint)
        }
        let count = table.columnNames.count
        guard entry.inputs.isEmpty || entry.inputs.contains(where: { $0.accepts(columns: count) }) else {
            throw TuttiError(
                .usage, "fit the data to the loss", table.source,
                "\(name) takes \(entry.inputs.map(\.words).joined(separator: " or ")), and the data have \(count) text "
                    + "column\(count == 1 ? "" : "s"): \(table.columnNames.joined(separator: ", "))",
                hint: "Choose and order them with columns: [...].")
        }
    }

    /// The evaluator of this name.
    public func makeEvaluator(model: SentenceEncoder) throws(TuttiError) -> any Evaluator {
        try EvaluatorRegistry.make(
            name: name,
            options: EvaluatorOptions(
                place: places.place(path), object: options, modelSimilarity: model.similarity,
                modelPrompts: model.prompts))
    }
}
