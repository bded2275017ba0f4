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
    /// - Parameters:
    ///   - overwrite: whether a run in the output directory will be deleted.
    ///   - notice: gets a line while something long goes on, on rank zero.
    /// - Throws: exit 64 for names and options, 65 for bad data or model files, 66 for missing ones.
    package init(
        _ configuration: TrainingConfiguration, ensemble: any Ensemble, overwrite: Bool = false,
        notice: @escaping (String) -> Void = { _ in }
    ) throws {
        // What is wrong with a loss is said before anything is downloaded.
        try ensemble.together("load the run") {
            for options in configuration.losses?.all ?? [] { _ = try makeLoss(options) }
        }
        let configuration = try configuration.fetched(among: ensemble, notice: notice)
        let caches = try DatasetCaches(configuration, ensemble: ensemble, notice: notice)
        let train = try caches?.rows(configuration.trainDatasets)
        let eval = try caches?.rows(configuration.evalDatasets)
        self = try ensemble.together("load the run") {
            try TrainingInputs(loading: configuration, train: train, eval: eval)
        }
        self.overwrite = overwrite
        try configuration.fillComponents(
            of: model, tables: trainDatasets.map(\.table), kept: { try keptComponents }, ensemble: ensemble)
        guard let caches else { return }
        trainDatasets = try trainDatasets.map { try withTokens($0, caches) }
        evalDatasets = try evalDatasets.map { try withTokens($0, caches) }
        for dataset in trainDatasets { try caches.forget(dataset) }
    }

    /// The digest of the texts of which the output directory's run began with components, where its checkpoint has the
    /// weights. Rank zero only.
    private var keptComponents: String? {
        get throws(TuttiError) {
            if overwrite { return nil }
            return try RunDirectory.components(in: outputDirectory, of: comparedConfiguration(self))
        }
    }

    /// A data set with its tokens, if its rows are in the cache. Collective.
    private func withTokens(_ dataset: TrainingDataset, _ caches: DatasetCaches) throws -> TrainingDataset {
        guard let store = dataset.table.store else { return dataset }
        var dataset = dataset
        let columns = dataset.table.columnNames
        guard losses[dataset.loss].configured.loss.requirements.decoder == nil || columns.count > 1 else {
            dataset.notices.append(
                "\(dataset.title): its texts are damaged anew in each epoch, so their tokens are not cached.")
            return dataset
        }
        let collator = try model.makeCollator(
            prompts: arguments.prompts.prompts(dataset: dataset.name, columns: columns),
            tasks: arguments.routerMapping.tasks(dataset: dataset.name, columns: columns))
        dataset.tokens = try caches.tokens(of: store, columns: columns.count, collator)
        return dataset
    }

    private init(
        loading configuration: TrainingConfiguration, train stored: [RowCache.Outcome]?,
        eval storedEval: [RowCache.Outcome]?
    ) throws {
        guard !configuration.trainDatasets.isEmpty, let selection = configuration.losses else {
            preconditionFailure("a configuration read for training has a train_dataset and a loss")
        }
        let names = selection.datasets
        let losses = try selection.all.enumerated().map { place, options in
            TrainingLoss(try makeLoss(options), dataset: names[place], description: options.options)
        }
        var aside: [TrainingDataset] = []
        func load(
            _ specifications: [DatasetSpecification], _ stored: [RowCache.Outcome]?
        ) throws -> [TrainingDataset] {
            try specifications.enumerated().map { place, specification in
                let name = specification.name
                var dataset = try TrainingDataset(
                    specification, stored?[place] ?? .plain(reason: nil), loss: selection.index(of: name))
                if let share = specification.validationSplit {
                    let (training, validation) = try dataset.table.validationSplit(share)
                    var other = TrainingDataset(validation, name: name, loss: dataset.loss)
                    other.sources = dataset.sources
                    aside.append(other)
                    dataset.table = training
                }
                dataset.notices += dataset.table.notices
                if specification.columns == nil {  // nobody chose the columns
                    dataset.notices += ColumnContents(dataset.table).warnings(dataset.title)
                }
                return dataset
            }
        }
        let train = try load(configuration.trainDatasets, stored)
        let model = try loadModel(configuration)
        let adapterNotices = try configuration.lora.map {
            try model.addAdapter($0, seed: configuration.arguments.seed)
        }
        var arguments = configuration.arguments
        if configuration.trainDatasets.contains(where: \.isStreamed) {
            arguments.batchSampler = SequentialBatchSampler()
        }
        self.init(
            model: model, arguments: arguments, trainDatasets: train, losses: losses,
            outputDirectory: configuration.outputDirectory)
        self.adapterNotices = adapterNotices ?? []
        evalDatasets = aside + (try load(configuration.evalDatasets, storedEval))
        try arguments.prompts.check(
            datasets: (train + evalDatasets).map { ($0.name, $0.table.columnNames) }, places: configuration.places)
        try arguments.routerMapping.check(
            datasets: (train + evalDatasets).map { ($0.name, $0.table.columnNames) }, routing: model.directory.routing,
            places: configuration.places)
        var lines: [String] = []
        (evaluators, testEvaluators) = try configuration.makeEvaluators(
            model: model, classifier: softmaxClassifier, notice: { lines.append($0) })
        evaluatorNotices = lines
        self.configuration = .object(decisive(configuration.resolved))
        card = configuration.modelCard
    }
}

extension TrainingDataset {
    /// The data set of `specification`, from the cache or into memory.
    ///
    /// Throws: what reading it throws.
    fileprivate init(
        _ specification: DatasetSpecification, _ outcome: RowCache.Outcome, loss: Int
    ) throws {
        switch outcome {
        case .plain(let reason):
            self.init(try loadTable(specification), name: specification.name, loss: loss)
            if let reason { notices.append("\(title): token_cache has no effect: \(reason).") }
        case .stored(let path, let sources, let notice):
            for source in sources { try source.checkIsUnchanged() }
            let store = try RowStore(path: path, isTrusted: true)
            self.init(try loadTable(specification, from: store), name: specification.name, loss: loss)
            self.sources = sources
            stream = ReadStream(specification)
            notices.append("\(title): \(notice).")
        }
    }
}

/// The model of a configuration, with its limit on the length of texts: up to the encoder's positions, whatever limit was
/// saved with the model.
///
/// - Parameters:
///   - path: another model, whose layers and modules stay as they are.
///   - modules: modules in place of the configuration's.
package func loadModel(
    _ configuration: TrainingConfiguration, path: String? = nil, modules: [ModuleRequest]? = nil
) throws(TuttiError) -> SentenceEncoder {
    var changes = ModelChanges(overrides: configuration.configOverrides, seed: configuration.arguments.seed)
    if path == nil {
        changes.keptLayers = configuration.keptLayers
        changes.modules = modules ?? configuration.modules
    }
    let model: SentenceEncoder
    do {
        model = try SentenceEncoder.load(path ?? configuration.model, changes: changes)
    } catch let error {
        guard error.kind == .usage, ["modules", "keep_layers"].contains(where: error.subject.hasPrefix) else {
            throw error
        }
        throw configuration.places.error(error.subject, error.problem, hint: error.hint)
    }
    if let similarity = configuration.similarity { model.similarity = similarity }
    if let limit = configuration.maxSequenceLength {
        guard model.directory.inputs.contains(where: \.input.keepsLength) else {
            throw TuttiError(
                .usage, "limit the length of texts", "max_seq_length",
                "is \(limit), but \(model.sourceDescription) has no longest length and could not keep one",
                hint: "Remove the key.")
        }
        guard limit <= model.encoder.longestSequence else {
            throw TuttiError(
                .usage, "limit the length of texts", "max_seq_length",
                "is \(limit), but \(model.sourceDescription) has positions for \(model.encoder.longestSequence) tokens")
        }
        guard limit >= model.templateCount else {
            throw TuttiError(
                .usage, "limit the length of texts", "max_seq_length",
                "is \(limit), but \(model.templateCount) special tokens go around a text")
        }
        model.maximumLength = limit
    }
    return model
}

extension TrainingConfiguration {
    /// The evaluators and the test evaluators.
    ///
    /// Teachers compute by `compute`, or as the arguments say, where an evaluator says nothing. `notice` gets what is odd in
    /// their files, a line each.
    /// Throws: as `EvaluatorRegistry.make`; `.usage` where two give metrics of one name, because one would replace the
    /// other's in the log and in its file.
    package func makeEvaluators(
        model: SentenceEncoder, classifier: SoftmaxClassifier? = nil, compute: FrozenCompute? = nil,
        notice: @escaping (String) -> Void = { _ in }
    ) throws(TuttiError) -> (evaluators: [any Evaluator], testEvaluators: [any Evaluator]) {
        var givers: [String: NamedOptions] = [:]
        func make(_ all: [NamedOptions]) throws(TuttiError) -> [any Evaluator] {
            var made: [any Evaluator] = []
            for named in all {
                let evaluator = try makeEvaluator(
                    named, model: model, classifier: classifier, compute: compute ?? arguments.compute, notice: notice)
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

/// Makes the loss that `named` asks for.
private func makeLoss(_ named: NamedOptions) throws(TuttiError) -> ConfiguredLoss {
    do {
        return try LossRegistry.make(LossSpecification(name: named.name, options: named.options))
    } catch {
        // "TripletLoss.triplet_margin": the key is what comes after the loss.
        let parts = error.subject.split(separator: ".", maxSplits: 1)
        let key = parts.count > 1 ? String(parts[1]) : "name"
        throw named.error(key, "\(parts.first ?? ""): \(error.problem)", hint: error.hint)
    }
}

/// Makes the evaluator that `named` asks for.
///
/// `classifier` is the head that the run trains, if it does.
private func makeEvaluator(
    _ named: NamedOptions, model: SentenceEncoder, classifier: SoftmaxClassifier?, compute: FrozenCompute,
    notice: @escaping (String) -> Void
) throws(TuttiError) -> any Evaluator {
    var described = EvaluatorOptions(
        place: named.place, object: named.options, modelSimilarity: model.similarity, modelPrompts: model.prompts)
    described.placeOfOption = named.place(of:)
    described.classifier = classifier
    described.compute = compute
    described.notice = notice
    return try EvaluatorRegistry.make(name: named.name, options: described)
}
