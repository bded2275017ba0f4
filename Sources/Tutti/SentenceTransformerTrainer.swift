// The training loop of the library, set up as the command sets it up.

import TuttiCorpus
import TuttiEnsemble
import TuttiEvaluation
import TuttiModels
import TuttiObjectives
import TuttiReports
import TuttiTraining

/// Trains a model; every rank makes one and calls `train()`.
///
/// Threads and matrix products are those that `tutti train` would take: all cores that the rank has to itself, and for
/// each kind of product the library that is fastest on this machine, measured once and kept.
public final class SentenceTransformerTrainer {
    private let trainer: Trainer
    private let ensemble: any Ensemble

    /// Prepares a run over one data set. Collective.
    ///
    /// - Parameters:
    ///   - model: trained in place.
    ///   - arguments: how it is trained.
    ///   - trainDataset: the rows; the loss reads their columns in order.
    ///   - evalDataset: rows whose loss is computed whenever an evaluation is due.
    ///   - loss: by its class, or made by name: `LossRegistry.make(name:options:).loss`.
    ///   - evaluators: judge the model whenever an evaluation is due.
    ///   - callbacks: called on rank zero between the steps; may ask for an end, an evaluation, a checkpoint.
    ///   - outputDirectory: where checkpoints, logs and the final model are written; resumed if it holds this run.
    ///   - ensemble: the ranks of the run.
    ///   - reports: who hears of it beside the reports that the arguments name; nil shows progress.
    /// - Throws: as `init(_:ensemble:reports:setup:)`.
    public convenience init(
        model: SentenceEncoder, arguments: TrainingArguments = TrainingArguments(), trainDataset: Table,
        evalDataset: Table? = nil, loss: any Loss, evaluators: [any Evaluator] = [],
        callbacks: [any TrainerCallback] = [], outputDirectory: String, ensemble: any Ensemble = LocalEnsemble.single(),
        reports: [any Report]? = nil
    ) throws {
        var inputs = TrainingInputs(
            model: model, arguments: arguments, trainDataset: trainDataset, loss: ConfiguredLoss(loss),
            outputDirectory: outputDirectory)
        inputs.evalDataset = evalDataset
        inputs.evaluators = evaluators
        inputs.callbacks = callbacks
        try self.init(inputs, ensemble: ensemble, reports: reports)
    }

    /// Prepares a run. Collective.
    ///
    /// - Parameters:
    ///   - inputs: everything that the run is made of, several data sets and losses included.
    ///   - ensemble: the ranks; one process by default.
    ///   - reports: who hears of the run beside metrics.jsonl; nil is the display of the command.
    ///   - setup: threads and products. Nil computes with what the model's `compute` says.
    /// - Throws: usage errors (unknown optimizer, schedule ...), data errors (columns that do not fit the loss, no batch
    ///   at all).
    public init(
        _ inputs: TrainingInputs, ensemble: any Ensemble = LocalEnsemble.single(), reports: [any Report]? = nil,
        setup: ComputeSetup? = ComputeSetup()
    ) throws {
        var inputs = inputs
        let reports = reports ?? [ProgressDisplay()]
        if let setup {
            func notice(_ text: String) { if ensemble.isRoot { reports.forEach { $0.notice(text) } } }
            let products = try setup.apply(to: inputs.model, ensemble: ensemble, notice: notice)
            inputs.gemmIsAutomatic = setup.gemm == .auto
            notice("Matrix products: \(products)")
        }
        trainer = try Trainer(inputs, ensemble: ensemble, reports: reports)
        self.ensemble = ensemble
    }

    /// Runs to the end, or to a signal that asks to stop. Collective.
    ///
    /// - Throws: exit 64 for a directory that holds another run, 70 for a gradient that is not finite, 75 for a write
    ///   that failed.
    @discardableResult
    public func train() throws -> TrainingOutcome {
        let heartbeat = try Heartbeat.start(ensemble, doing: "preparing")
        defer { heartbeat?.stop() }
        return try trainer.train()
    }
}
