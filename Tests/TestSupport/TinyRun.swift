// Short runs of the tiny models in Tests/Golden/training, for tests of training, evaluation and the command.

import Foundation
import TuttiCorpus
import TuttiEnsemble
import TuttiFormats
import TuttiGround
import TuttiModels
import TuttiObjectives
import TuttiReports
import TuttiTraining

/// Where the golden files are.
package enum Goldens {
    /// Tests/Golden.
    package static let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .appendingPathComponent("Golden").path

    /// A file or folder of Tests/Golden.
    package static func path(_ name: String) -> String { folder + "/" + name }
}

/// A golden run's folder, and runs of its model and data with other settings.
package struct TinyRun: Sendable {
    /// The golden run's folder, with model/ and rows.jsonl.
    package let folder: String
    /// The settings of the run.
    package var arguments = TrainingArguments()
    /// Changes to the model's configuration.
    package var overrides: JSONObject?
    /// Whether the loss is evaluated on the training data.
    package var evaluation = false
    /// As `TrainingInputs.gemmIsAutomatic`.
    package var gemmIsAutomatic = false
    /// The loss.
    package var loss = LossSpecification(name: "MultipleNegativesRankingLoss")
    /// Makes the training data from those of the golden run.
    package var change: @Sendable (Table) throws -> Table = { $0 }

    /// The golden run called `name`: bert-sgd, bert-adamw, mpnet-sgd ...
    package init(_ name: String) { folder = Goldens.path("training/" + name) }

    /// One epoch of the golden run bert-sgd, eleven steps of eight rows: long enough to save and to stop in between.
    package static func elevenSteps() -> TinyRun {
        var run = TinyRun("bert-sgd")
        run.arguments.numTrainEpochs = 1
        run.arguments.perDeviceTrainBatchSize = 8
        run.arguments.optim = "sgd"
        run.arguments.learningRate = 0.5
        return run
    }

    /// Another model's folder; that of the golden run if nil.
    package var model: String?

    /// The model's folder.
    package var modelPath: String { model ?? folder + "/model" }

    /// What the reference found.
    package func expected() throws -> JSONObject {
        try unwrap(JSONValue.parse(file: folder + "/expected.json").object, folder + "/expected.json")
    }

    /// What the run is made of, writing to `output`.
    package func inputs(_ output: String) throws -> TrainingInputs {
        let table = try change(loadTable(DatasetSpecification(path: folder + "/rows.jsonl")))
        let model = try SentenceEncoder.load(modelPath, configOverrides: overrides)
        var inputs = TrainingInputs(
            model: model, arguments: arguments, trainDataset: table,
            loss: try LossRegistry.make(loss), outputDirectory: output)
        if evaluation { inputs.evalDataset = table }
        inputs.gemmIsAutomatic = gemmIsAutomatic
        return inputs
    }

    /// Trains on `ensemble` and returns the outcome and the trained model.
    package func train(
        _ output: String, ensemble: any Ensemble = LocalEnsemble.single(),
        report: (any Report)? = nil
    ) throws -> (outcome: TrainingOutcome, model: SentenceEncoder) {
        var inputs = try inputs(output)
        if let asking = report as? any AsksToStop { inputs.stop = asking.stop }
        let outcome = try Trainer(inputs, ensemble: ensemble, reports: report.map { [$0] } ?? []).train()
        return (outcome, inputs.model)
    }
}

/// A report that asks its run to stop.
package protocol AsksToStop: AnyObject {
    /// What the run listens to.
    var stop: StopRequest { get }
}

/// All parameters of a model, which the call keeps alive.
package func parameterValues(_ model: SentenceEncoder) -> [Float] {
    withExtendedLifetime(model) { Array(model.encoder.parameters.values) }
}

/// The objects of a run's metrics file.
package func metricsLines(_ output: String) throws -> [JSONObject] {
    let text = try String(contentsOfFile: output + "/metrics.jsonl", encoding: .utf8)
    return try text.split(separator: "\n").map { line in
        try unwrap(JSONValue.parse(String(line), source: "metrics.jsonl").object, "metrics.jsonl")
    }
}

/// The lines without what depends on the clock.
package func timeless(_ lines: [JSONObject]) -> [String] {
    let timed = [
        "seconds", "step_seconds", "tokens_per_second", "eval_runtime", "eval_samples_per_second",
        "eval_steps_per_second", "train_runtime", "train_samples_per_second", "train_steps_per_second", "balance",
        "share_of_peak", "peak_memory",
    ]
    return lines.map { line in
        var kept = line
        for key in timed { kept.remove(key) }
        return JSONValue.object(kept).serialized()
    }
}

/// Training lines only: those with a learning rate.
package func trainingLines(_ output: String) throws -> [JSONObject] {
    try metricsLines(output).filter { $0["learning_rate"] != nil }
}

private func unwrap(_ object: JSONObject?, _ source: String) throws -> JSONObject {
    guard let object else { throw TuttiError(.data, "read", source, "holds no JSON object") }
    return object
}
