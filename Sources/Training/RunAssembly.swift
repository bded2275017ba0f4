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
            TrainingLoss(try makeLoss(options), dataset: names[place], description: options.options)
        }
        var aside: [TrainingDataset] = []
        func load(_ specifications: [DatasetSpecification]) throws -> [TrainingDataset] {
            try specifications.map { specification in
                let name = specification.name
                var dataset = TrainingDataset(try loadTable(specification), name: name, loss: selection.index(of: name))
                if let share = specification.validationSplit {
                    let (training, validation) = try dataset.table.validationSplit(share)
                    aside.append(TrainingDataset(validation, name: name, loss: dataset.loss))
                    dataset.table = training
                }
                dataset.notices = dataset.table.notices
                if specification.columns == nil {  // nobody chose the columns
                    dataset.notices += ColumnContents(dataset.table).warnings(dataset.title)
                }
                return dataset
            }
        }
        let train = try load(configuration.trainDatasets)
        let model = try loadModel(configuration)
        let adapterNotices = try configuration.lora.map {
            try model.addAdapter($0, seed: configuration.arguments.seed)
        }
        self.init(
            model: model, arguments: configuration.arguments, trainDatasets: train, losses: losses,
            outputDirectory: configuration.outputDirectory)
        self.adapterNotices = adapterNotices ?? []
        evalDatasets = aside + (try load(configuration.evalDatasets))
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

/// The model of a configuration, with its limit on the length of texts: up to the encoder's positions, whatever limit was
/// saved with the model.
package func loadModel(
    _ configuration: TrainingConfiguration, path: String? = nil
) throws(TuttiError) -> SentenceEncoder {
    let model = try SentenceEncoder.load(path ?? configuration.model, configOverrides: configuration.configOverrides)
    if let limit = configuration.maxSequenceLength {
        guard model.encoder.layerCount > 0 else {
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
                let evaluator = try makeEvaluator(named, model: model, classifier: classifier, notice: notice)
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
    _ named: NamedOptions, model: SentenceEncoder, classifier: SoftmaxClassifier?, notice: @escaping (String) -> Void
) throws(TuttiError) -> any Evaluator {
    var described = EvaluatorOptions(
        place: named.place, object: named.options, modelSimilarity: model.similarity, modelPrompts: model.prompts)
    described.placeOfOption = named.place(of:)
    described.classifier = classifier
    described.notice = notice
    return try EvaluatorRegistry.make(name: named.name, options: described)
}
