// Two data sets in turns with a loss each against the reference (Golden/several_datasets.py): losses, norms, rates,
// evaluation losses by name, prompts of one data set, and a parameter that one of the losses owns.

import TestSupport
import Testing
import TuttiCorpus
import TuttiEnsemble
import TuttiFormats
import TuttiGround
import TuttiModels
import TuttiObjectives
import TuttiTraining

@Suite struct GoldenSeveralDatasetsTests {
    private let tiny = TinyRun("bert-sgd")
    private var goldens: String { Goldens.path("several-datasets") }

    private func inputs(_ expected: JSONObject, _ output: String) throws -> TrainingInputs {
        var object = try #require(expected["args"]?.object)
        object["logging_steps"] = .integer(1)
        object["save_strategy"] = .string("no")
        object["eval_strategy"] = .string("steps")
        object["batch_sampler"] = .string("sequential")
        let arguments = try TrainingArguments(json: object, places: ConfigurationPlaces(file: "args")) { _ in }
        let triplets = try loadTable(DatasetSpecification(path: tiny.folder + "/rows.jsonl"))
        let all = try loadTable(
            DatasetSpecification(path: tiny.folder + "/rows.jsonl", columns: ["negative_1", "anchor"]))
        let pairs = try Table(
            columns: all.columnNames.enumerated().map { column, name in
                (name, Array(all.texts(column: column).dropFirst(20)))
            })
        var offset = ConfiguredLoss(OffsetLoss())
        offset.initialParameters = goldens + "/initial.safetensors"
        var inputs = TrainingInputs(
            model: try SentenceEncoder.load(tiny.modelPath), arguments: arguments,
            trainDatasets: [
                TrainingDataset(triplets, name: "triplets", loss: 0), TrainingDataset(pairs, name: "pairs", loss: 1),
            ],
            losses: [
                TrainingLoss(try LossRegistry.make(name: "MultipleNegativesRankingLoss"), dataset: "triplets"),
                TrainingLoss(offset, dataset: "pairs"),
            ], outputDirectory: output)
        inputs.evalDatasets = inputs.trainDatasets
        return inputs
    }

    @Test(arguments: ["sgd", "adamw", "accumulated"])
    func stepsEqualTheReference(_ name: String) throws {
        let expected = try #require(try JSONValue.parse(file: goldens + "/\(name).json").object)
        let output = try TemporaryDirectory()
        let inputs = try inputs(expected, output.path + "/run")
        _ = try Trainer(inputs, ensemble: LocalEnsemble.single()).train()
        let bound = name == "sgd" ? 1e-5 : 1e-4
        let steps = try #require(expected["steps"]?.array)
        let lines = try trainingLines(output.path + "/run")
        #expect(lines.count == 12 && steps.count == 12)
        for (line, step) in zip(lines, steps) {
            func apart(_ key: String) throws -> Double {
                abs(try #require(line[key]?.double) - (try #require(step[key]?.double)))
            }
            #expect(try apart("loss") <= bound * max(1, step["loss"]?.double ?? 0), "\(step)")
            let normBound = (name == "sgd" ? 2e-5 : 1e-3) * (step["grad_norm"]?.double ?? 0)
            #expect(try apart("grad_norm") <= normBound, "\(step)")
            #expect(try apart("learning_rate") <= 1e-12 && apart("epoch") < 1e-9)
        }
        let evaluations = try #require(expected["evaluations"]?.array).compactMap(\.object)
        #expect(evaluations.count == 4)
        for wanted in evaluations {
            let line = try #require(
                try metricsLines(output.path + "/run").first {
                    $0["step"] == wanted["step"] && $0["eval_pairs_loss"] != nil
                })
            for key in wanted.keys where key != "step" {
                let value = try #require(wanted[key]?.double)
                #expect(abs((line[key]?.double ?? .nan) - value) <= bound * max(1, value), "\(key) of \(wanted)")
            }
        }
        let file = try SafetensorsFile(path: output.path + "/run/final/loss.safetensors")
        let start = try SafetensorsFile(path: goldens + "/initial.safetensors")
        let end = try file.floats("pairs.offset")
        let wanted = try #require(expected["offset"]?.array).compactMap(\.double)
        var (difference, moved) = (0.0, 0.0)
        for (place, begin) in try start.floats("offset").enumerated() {
            difference += (Double(end[place]) - wanted[place]) * (Double(end[place]) - wanted[place])
            moved += (Double(begin) - wanted[place]) * (Double(begin) - wanted[place])
        }
        #expect(moved > 1e-3 && difference.squareRoot() <= (name == "sgd" ? 2e-5 : 1e-3) * moved.squareRoot())
    }
}
