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
        guard let train = configuration.trainDataset, let lossOptions = configuration.loss else {
            preconditionFailure("a configuration read for training has a train_dataset and a loss")
        }
        let loss = try lossOptions.makeLoss()
        let table = try loadTable(train)
        try lossOptions.checkColumns(of: table)
        let model = try loadModel(configuration)
        self.init(
            model: model, arguments: configuration.arguments, trainDataset: table, loss: loss,
            outputDirectory: configuration.outputDirectory)
        if let evaluation = configuration.evalDataset {
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
    func makeLoss() throws(TuttiError) -> any Loss {
        var given: [String: LossOption] = [:]
        for (key, value) in options {
            switch value {
            case .bool(let flag): given[key] = .bool(flag)
            case .integer(let number): given[key] = .int(Int(number))
            case .number(let number): given[key] = .double(number)
            case .string(let text): given[key] = .string(text)
            default: throw error(key, "expected one value, found \(value.serialized())")
            }
        }
        do {
            return try LossRegistry.make(name: name, options: given)
        } catch {
            throw self.error(error.option ?? "name", "\(name): \(error.problem)", hint: error.hint)
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
        guard entry.textColumns.contains(count) else {
            throw TuttiError(
                .usage, "fit the data to the loss", table.source,
                "\(name) takes \(entry.columns), and the data have \(count) text "
                    + "column\(count == 1 ? "" : "s"): \(table.columnNames.joined(separator: ", "))",
                hint: "Choose and order them with columns: [...].")
        }
    }

    /// The evaluator of this name.
    public func makeEvaluator(model: SentenceEncoder) throws(TuttiError) -> any Evaluator {
        try EvaluatorRegistry.make(
            name: name,
            options: EvaluatorOptions(place: places.place(path), object: options, modelSimilarity: model.similarity))
    }
}
