// What a run is made of: a model, data sets, losses, evaluators, settings.

import TuttiCorpus
import TuttiEncoders
import TuttiEvaluation
import TuttiFormats
import TuttiGround
import TuttiModels
import TuttiObjectives
import TuttiReports

/// A data set of a run.
public struct TrainingDataset: Sendable {
    /// Its name among several; nil for the only one.
    public var name: String?
    /// Its rows.
    public var table: Table
    /// The place of its loss among the run's losses.
    public var loss: Int
    /// What is odd in it, a line each, said before the first step.
    public var notices: [String] = []
    /// The tokens of its texts, where they are in a cache with its rows.
    var tokens: TokenStore?
    /// The files that its cached rows are of, as they were when the run began.
    var sources: [SourceFile] = []
    /// Where it is read only as far as the run trains on it.
    var stream: ReadStream?

    /// A data set with the place of its loss.
    public init(_ table: Table, name: String? = nil, loss: Int = 0) {
        self.table = table
        self.name = name
        self.loss = loss
    }

    /// What stands before the metrics of its loss, as in the reference: eval, or eval_<name>.
    var evaluationPrefix: String { name.map { "eval_\($0)" } ?? "eval" }

    /// How notices and the model card call it: its name, else that of its file.
    var title: String { name ?? table.source.split(separator: "/").last.map(String.init) ?? table.source }
}

/// A source of rows that a run reads as far as it trains on them.
struct ReadStream: Sendable {
    /// Why no run can go on with more of its rows, and what else to do; nil where one can.
    let obstacle: (problem: String, hint: String)?

    /// That of `specification`; nil where it is read whole.
    init?(_ specification: DatasetSpecification) {
        guard specification.isStreamed else { return nil }
        if specification.isReadOnce {
            obstacle = (
                "train_dataset is a pipe, which gives its rows once",
                "Write the rows to a file, and stream that; or choose another output_dir."
            )
        } else if specification.shuffle != nil {
            obstacle = (
                "train_dataset.shuffle mixes its rows, and more rows into another order",
                "Choose another output_dir."
            )
        } else {
            obstacle = nil
        }
    }
}

/// A loss of a run.
public struct TrainingLoss {
    /// The loss with its chunks and start values.
    public var configured: ConfiguredLoss
    /// The data set that it belongs to; nil for the loss of all of them.
    public var dataset: String?
    /// The options given to it, for the model card.
    public var description: JSONObject

    /// A loss of all data sets, or of one.
    public init(_ configured: ConfiguredLoss, dataset: String? = nil, description: JSONObject = JSONObject()) {
        self.configured = configured
        self.dataset = dataset
        self.description = description
    }
}

/// What a run is made of.
public struct TrainingInputs {
    /// The model that is trained, in place.
    public var model: SentenceEncoder
    /// Length, batches, optimizer, schedule, evaluation, saving.
    public var arguments: TrainingArguments
    /// The data sets that are trained on; one, or several with names.
    public var trainDatasets: [TrainingDataset]
    /// The data sets whose loss is evaluated.
    public var evalDatasets: [TrainingDataset]
    /// One for all data sets, or one for each.
    public var losses: [TrainingLoss]
    /// Judge the model whenever an evaluation is due.
    public var evaluators: [any Evaluator]
    /// Evaluated once, on the final model.
    public var testEvaluators: [any Evaluator]
    /// Where checkpoints, logs and the final model are written; resumed if it holds this run.
    public var outputDirectory: String
    /// The resolved configuration, kept in the output directory and compared when the run is started again; null
    /// compares arguments, losses and evaluators instead.
    public var configuration: JSONValue
    /// What the model card says beside what follows from the run.
    public var card: CardDescription
    /// What is odd in the evaluators' files, a line each.
    public var evaluatorNotices: [String] = []
    /// What a user should know of the model's adapter, a line each.
    package var adapterNotices: [String] = []
    /// Called on rank zero between the steps.
    public var callbacks: [any TrainerCallback] = []
    /// Whether another run in the output directory is deleted.
    public var overwrite = false
    /// How long a start waits for another process in the output directory, and the like.
    package var lockTimes = FolderLock.Times()
    /// The memory in which `auto_find_batch_size` looks for a batch.
    package var machineMemory = MachineMemory()
    /// How the run is asked to save or to stop.
    public var stop = StopRequest()
    /// Whether a resumed run takes the provider of matrix products that its checkpoint names.
    public var gemmIsAutomatic = false

    /// A run over one data set.
    public init(
        model: SentenceEncoder, arguments: TrainingArguments, trainDataset: Table, loss: ConfiguredLoss,
        outputDirectory: String
    ) {
        self.init(
            model: model, arguments: arguments, trainDatasets: [TrainingDataset(trainDataset)],
            losses: [TrainingLoss(loss)], outputDirectory: outputDirectory)
    }

    /// A run over several data sets.
    public init(
        model: SentenceEncoder, arguments: TrainingArguments, trainDatasets: [TrainingDataset], losses: [TrainingLoss],
        outputDirectory: String
    ) {
        precondition(
            !trainDatasets.isEmpty && trainDatasets.allSatisfy { losses.indices.contains($0.loss) },
            "TrainingInputs: \(losses.count) losses for data sets with the losses \(trainDatasets.map(\.loss))")
        self.model = model
        self.arguments = arguments
        self.trainDatasets = trainDatasets
        self.losses = losses
        self.outputDirectory = outputDirectory
        evalDatasets = []
        evaluators = []
        testEvaluators = []
        configuration = .null
        card = CardDescription()
    }

    /// The table of the only training data set.
    public var trainDataset: Table {
        get { trainDatasets[0].table }
        set { trainDatasets = [TrainingDataset(newValue)] }
    }

    /// The table of the only evaluation data set.
    public var evalDataset: Table? {
        get { evalDatasets.first?.table }
        set { evalDatasets = newValue.map { [TrainingDataset($0)] } ?? [] }
    }

    // MARK: What follows from them

    /// The first classifier that a loss of the run trains, as it is whenever it is asked; nil where no loss has one.
    var softmaxClassifier: SoftmaxClassifier? {
        let heads = losses.lazy.compactMap { loss in
            loss.configured.loss.classifier.map { ($0, prefix: (loss.dataset.map { "\($0)." } ?? "") + $0.prefix) }
        }
        guard let (head, prefix) = heads.first else { return nil }
        return SoftmaxClassifier(
            classCount: head.classes, dimension: model.encoder.outputWidth, features: head.features
        ) { [model] in
            let store = model.encoder.parameters
            func values(_ name: String) -> [Float]? {
                store.layout.entry(named: prefix + name).map { Array(store.values(of: $0)) }
            }
            guard let weight = values("weight") else { preconditionFailure("the head has no place in the arenas yet") }
            return (weight, values("bias"))
        }
    }

    /// The losses, bound to model and data, with their parameters in the model's arenas.
    func makeObjectives() throws(TuttiError) -> [Objective] {
        guard model.encoder.layout.modelCount > 0 || model.encoder.layout.frozenCount > 0 else {
            throw TuttiError(
                .usage, "train", "model", "has no parameters to train",
                hint: "Add a Dense by `modules`, or let WordEmbeddings be trained by update_embeddings.")
        }
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

    /// Gives the token embeddings the noise that the arguments ask for.
    func setEmbeddingNoise() throws(TuttiError) {
        let alpha = arguments.neftuneNoiseAlpha ?? 0
        guard alpha == 0 || model.encoder.routes.contains(where: { $0.layerCount > 0 }) else {
            throw TuttiError(
                .usage, "read the configuration", "args.neftune_noise_alpha",
                "the model has no layers, before which embeddings would be disturbed",
                hint: "Remove the key.")
        }
        model.encoder.embeddingNoise = Float(alpha)
    }

    /// metrics.jsonl and the reports that the arguments name. Rank zero only.
    func makeReports() throws -> [any Report] {
        let context = ReportContext(outputDirectory: outputDirectory, runName: arguments.runName)
        var names = ["metrics"]
        for name in arguments.reportTo where !names.contains(name) { names.append(name) }
        return try names.map { try ReportRegistry.entry(named: $0).make(context) }
    }

    /// What pushes the run's models to the hub, if the arguments ask for it. Rank zero only.
    func makePushes() throws(TuttiError) -> HubPushes? { try HubPushes(arguments.hub, output: outputDirectory) }

    /// Every data set beside its loss.
    private var columnRoles: [ColumnRoles] {
        (trainDatasets + evalDatasets).map { ColumnRoles($0, loss: losses[$0.loss].configured) }
    }

    /// Refuses data whose columns the loss or the model's Router cannot take; `show` gets what it takes and how the columns were understood.
    func checkColumns(_ show: (String) -> Void) throws(TuttiError) {
        try arguments.routerMapping.check(
            datasets: (trainDatasets + evalDatasets).map { ($0.name, $0.table.columnNames) },
            routing: model.directory.routing, places: ConfigurationPlaces(file: "TrainingInputs"))
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
        let odd =
            roles.flatMap(\.warnings) + (trainDatasets + evalDatasets).flatMap(\.notices) + evaluatorNotices
            + routingNotices
        for line in odd where !lines.contains(line) { lines.append(line) }
        return lines
    }

    private var routingNotices: [String] {
        guard !model.directory.routing.hasRouter, !arguments.routerMapping.isEmpty else { return [] }
        return ["args.router_mapping has no effect: the model has no Router."]
    }

    /// A metric that no evaluation of this run gives is an error before the first step.
    func checkBestMetric() throws(TuttiError) {
        guard arguments.watchesMetric else { return }
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
