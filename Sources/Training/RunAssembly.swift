// From a configuration to the parts of a run: model, data, loss, evaluators.

import TuttiCorpus
import TuttiEnsemble
import TuttiEvaluation
import TuttiFormats
import TuttiGround
import TuttiModels
import TuttiObjectives
import TuttiReports

extension TrainingInputs {
    /// Loads everything that a configuration names. Collective: an error on one rank is everybody's error.
    ///
    /// - Throws: exit 64 for names and options, 65 for bad data or model files, 66 for missing ones.
    package init(_ configuration: TrainingConfiguration, ensemble: any Ensemble) throws {
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
            try specifications.map { specification in
                let name = specification.name
                var dataset = TrainingDataset(try loadTable(specification), name: name, loss: selection.index(of: name))
                dataset.notices = dataset.table.notices
                if specification.columns == nil {  // nobody chose the columns
                    dataset.notices += ColumnContents(dataset.table).warnings(dataset.title)
                }
                return dataset
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
        var lines: [String] = []
        (evaluators, testEvaluators) = try configuration.makeEvaluators(
            model: model, classifier: softmaxClassifier, notice: { lines.append($0) })
        evaluatorNotices = lines
        self.configuration = .object(configuration.identityObject)
        card = configuration.modelCard
    }

    /// The first classifier that a loss of the run trains, as it is whenever it is asked; nil where no loss has one.
    var softmaxClassifier: SoftmaxClassifier? {
        let heads = losses.lazy.compactMap { loss in
            loss.configured.loss.classifier.map { ($0, prefix: (loss.dataset.map { "\($0)." } ?? "") + $0.prefix) }
        }
        guard let (head, prefix) = heads.first else { return nil }
        let store = model.encoder.parameters
        return SoftmaxClassifier(
            classCount: head.classes, dimension: model.encoder.outputWidth, features: head.features
        ) {
            func values(_ name: String) -> [Float]? {
                store.layout.entry(named: prefix + name).map { Array(store.values(of: $0)) }
            }
            guard let weight = values("weight") else { preconditionFailure("the head has no place in the arenas yet") }
            return (weight, values("bias"))
        }
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
        model.encoder.parameters.setLossParameters(objectives.flatMap(\.parameters.tensors))
        for objective in objectives { try objective.parameters.fill(seed: arguments.seed) }
        return objectives
    }

    /// metrics.jsonl and the reports that the arguments name. Rank zero only.
    func makeReports() throws -> [any Report] {
        let context = ReportContext(outputDirectory: outputDirectory, runName: arguments.runName)
        var names = ["metrics"]
        for name in arguments.reportTo where !names.contains(name) { names.append(name) }
        return try names.map { try ReportRegistry.entry(named: $0).make(context) }
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
    package var columnNotices: [String] {
        let roles = columnRoles
        var lines = roles.prefix(trainDatasets.count).map(\.notice)
        let odd = roles.flatMap(\.warnings) + (trainDatasets + evalDatasets).flatMap(\.notices) + evaluatorNotices
        for line in odd where !lines.contains(line) { lines.append(line) }
        return lines
    }

    /// A metric that no evaluation of this run gives is an error before the first step.
    func checkBestMetric() throws(TuttiError) {
        guard arguments.loadBestModelAtEnd || arguments.metricForBestModel != nil || arguments.saveStrategy == .best
        else { return }
        var known = evaluators.flatMap(\.metricKeys).map(evaluationKey)
        known += evalDatasets.map { "\($0.evaluationPrefix)_loss" }
        if evaluators.count > 1 { known.append("eval_sequential_score") }
        let wanted = arguments.bestMetricName
        if known.contains(wanted) || known.contains("eval_\(wanted)") { return }
        throw TuttiError(
            .usage, "read the configuration", "args.metric_for_best_model",
            "no evaluation of this run gives \"\(wanted)\"",
            hint: TuttiError.hint(unknown: wanted, known: known))
    }
}

/// The model of a configuration, with its limit on the length of texts: up to the encoder's positions, whatever limit was
/// saved with the model.
package func loadModel(
    _ configuration: TrainingConfiguration, path: String? = nil
) throws(TuttiError) -> SentenceEncoder {
    let model = try SentenceEncoder.load(path ?? configuration.model, configOverrides: configuration.configOverrides)
    if let limit = configuration.maxSequenceLength {
        guard limit <= model.encoder.longestSequence else {
            throw TuttiError(
                .usage, "limit the length of texts", "max_seq_length",
                "is \(limit), but \(model.sourceDescription) has positions for \(model.encoder.longestSequence) tokens")
        }
        guard limit >= model.tokenizer.templateCount else {
            throw TuttiError(
                .usage, "limit the length of texts", "max_seq_length",
                "is \(limit), but \(model.tokenizer.templateCount) special tokens go around a text")
        }
        model.maximumLength = limit
    }
    return model
}

extension TrainingConfiguration {
    /// What is compared when a run is started again.
    var identityObject: JSONObject { decisive(resolved) }

    /// The evaluators and the test evaluators.
    ///
    /// `notice` gets what is odd in their files, a line each.
    /// Throws: as `EvaluatorRegistry.make`; `.usage` where two give metrics of one name, because one would replace the
    /// other's in the log and in its file.
    package func makeEvaluators(
        model: SentenceEncoder, classifier: SoftmaxClassifier? = nil, notice: @escaping (String) -> Void = { _ in }
    ) throws(TuttiError) -> (evaluators: [any Evaluator], testEvaluators: [any Evaluator]) {
        var givers: [String: NamedOptions] = [:]
        func make(_ all: [NamedOptions]) throws(TuttiError) -> [any Evaluator] {
            var made: [any Evaluator] = []
            for named in all {
                let evaluator = try named.makeEvaluator(model: model, classifier: classifier, notice: notice)
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
            return try LossRegistry.make(LossSpecification(name: name, options: options))
        } catch {
            // "TripletLoss.triplet_margin": the key is what comes after the loss.
            let parts = error.subject.split(separator: ".", maxSplits: 1)
            let key = parts.count > 1 ? String(parts[1]) : "name"
            throw self.error(key, "\(parts.first ?? ""): \(error.problem)", hint: error.hint)
        }
    }

    /// The evaluator of this name.
    ///
    /// `classifier` is the head that the run trains, if it does.
    func makeEvaluator(
        model: SentenceEncoder, classifier: SoftmaxClassifier?, notice: @escaping (String) -> Void
    ) throws(TuttiError) -> any Evaluator {
        var described = EvaluatorOptions(
            place: place, object: options, modelSimilarity: model.similarity, modelPrompts: model.prompts)
        described.placeOfOption = place(of:)
        described.classifier = classifier
        described.notice = notice
        return try EvaluatorRegistry.make(name: name, options: described)
    }
}
