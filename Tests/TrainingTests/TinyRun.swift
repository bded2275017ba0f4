// Short runs of the tiny models in Tests/Golden/training, for the tests of this folder.

import Foundation
import Testing
import TuttiCorpus
import TuttiEnsemble
import TuttiEvaluation
import TuttiFormats
import TuttiGround
import TuttiModels
import TuttiObjectives
import TuttiReports
import TuttiTraining

/// A golden run's folder, and runs of its model and data with other settings.
struct TinyRun {
    let folder: String
    var arguments = TrainingArguments()
    var overrides: JSONObject?
    var evaluation = false
    var gemmIsAutomatic = false
    var loss = LossSpecification(name: "MultipleNegativesRankingLoss")
    /// Makes the training data from those of the golden run.
    var change: @Sendable (Table) throws -> Table = { $0 }

    static let goldens = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .appendingPathComponent("Golden/training").path

    init(_ name: String) { folder = Self.goldens + "/" + name }

    var modelPath: String { folder + "/model" }

    func expected() throws -> JSONObject {
        try #require(try JSONValue.parse(file: folder + "/expected.json").object)
    }

    func inputs(_ output: String) throws -> TrainingInputs {
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
    func train(
        _ output: String, ensemble: any Ensemble = LocalEnsemble.single(),
        report: (any Report)? = nil
    ) throws -> (outcome: TrainingOutcome, model: SentenceEncoder) {
        let inputs = try inputs(output)
        let outcome = try Trainer(inputs, ensemble: ensemble, reports: report.map { [$0] } ?? []).train()
        return (outcome, inputs.model)
    }
}

/// All parameters of a model, which the call keeps alive.
func parameterValues(_ model: SentenceEncoder) -> [Float] {
    withExtendedLifetime(model) { Array(model.encoder.parameters.values) }
}

/// The objects of a run's metrics file.
func metricsLines(_ output: String) throws -> [JSONObject] {
    let text = try String(contentsOfFile: output + "/metrics.jsonl", encoding: .utf8)
    return try text.split(separator: "\n").map { line in
        try #require(try JSONValue.parse(String(line), source: "metrics.jsonl").object)
    }
}

/// The lines without what depends on the clock.
func timeless(_ lines: [JSONObject]) -> [String] {
    let timed = [
        "seconds", "step_seconds", "tokens_per_second", "eval_runtime", "eval_samples_per_second",
        "eval_steps_per_second", "train_runtime", "train_samples_per_second", "train_steps_per_second",
    ]
    return lines.map { line in
        var kept = line
        for key in timed { kept.remove(key) }
        return JSONValue.object(kept).serialized()
    }
}

/// Training lines only: those with a learning rate.
func trainingLines(_ output: String) throws -> [JSONObject] {
    try metricsLines(output).filter { $0["learning_rate"] != nil }
}
