// Every encoder family trained: eight steps against the reference with two losses (Golden/families.py), any number of ranks
// against one, chunks against whole batches.

import Foundation
import TestSupport
import Testing
import TuttiEncoders
import TuttiEnsemble
import TuttiFormats
import TuttiGround
import TuttiModels
import TuttiTraining

struct FamilyTrainingTests {
    /// The folders of Golden/families that hold models.
    static let families: [String] = {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: Goldens.path("families"))) ?? []
        return names.filter { FileManager.default.fileExists(atPath: Goldens.path("families/\($0)/model")) }.sorted()
    }()

    private let losses = [("MultipleNegativesRankingLoss", "pairs"), ("CoSENTLoss", "scores")]

    private func configuration(
        _ family: String, loss: String, rows: String, _ output: String, options: JSONObject = JSONObject(),
        dropout: Double = 0
    ) throws -> TrainingConfiguration {
        let columns = rows == "pairs" ? ["anchor", "positive"] : ["sentence1", "sentence2", "score"]
        let expected = try JSONValue.parse(file: Goldens.path("families/\(family)/expected.json")).object
        let rate = try #require(expected?["args"]?.object?["learning_rate"])
        let args: JSONObject = [
            "optim": .string("sgd"), "learning_rate": rate, "lr_scheduler_type": .string("constant"),
            "max_grad_norm": .number(1e9), "num_train_epochs": .integer(1), "logging_steps": .integer(1),
            "save_strategy": .string("no"), "batch_sampler": .string("sequential"),
            "global_train_batch_size": .integer(6),
        ]
        let model = Goldens.path("families/\(family)/model")
        var specification: JSONObject = ["name": .string(loss)]
        for (key, value) in options { specification[key] = value }
        var overrides = JSONObject()
        for (key, value) in try #require(try JSONValue.parse(file: model + "/config.json").object)
        where dropout > 0 && key.contains("drop") && value.double != nil {
            overrides[key] = .number(dropout)
        }
        let root: JSONObject = [
            "model": .string(model), "config_overrides": .object(overrides), "output_dir": .string(output),
            "loss": .object(specification), "args": .object(args),
            "train_dataset": .object([
                "path": .string(Goldens.path("families/rows/\(rows).jsonl")),
                "columns": .array(columns.map(JSONValue.string)),
            ]),
        ]
        return try TrainingConfiguration(root, places: ConfigurationPlaces(file: family), purpose: .training) { _ in }
    }

    /// A parameter of a run.
    private struct Tensor: Sendable {
        let name: String
        let start, end: [Float]
    }

    /// Trains to the end; the start and end of each parameter.
    @discardableResult
    private func train(
        _ configuration: TrainingConfiguration, ensemble: any Ensemble = LocalEnsemble.single()
    ) throws -> [Tensor] {
        let inputs = try TrainingInputs(configuration, ensemble: ensemble)
        let begin = inputs.model.encoder.parameters
        let starts = begin.layout.entries.map { Array(begin.values(of: $0)) }
        guard try Trainer(inputs, ensemble: ensemble).train() == .finished else {
            throw TestFailure("the run did not finish")
        }
        let store = inputs.model.encoder.parameters
        return zip(store.layout.entries, starts).map {
            Tensor(name: $0.name, start: $1, end: Array(store.values(of: $0)))
        }
    }

    @Test(arguments: families)
    func eightStepsEqualTheReference(_ family: String) throws {
        let folder = Goldens.path("families/" + family)
        let expected = try #require(try JSONValue.parse(file: folder + "/expected.json").object)
        let output = try TemporaryDirectory()
        for (loss, rows) in losses {
            let run = output.path + "/" + loss
            let tensors = try train(try configuration(family, loss: loss, rows: rows, run))
            let lines = try trainingLines(run)
            let steps = try #require(expected[loss]?.array).compactMap(\.object)
            #expect(lines.count == steps.count && steps.count == 8)
            for (line, step) in zip(lines, steps) {
                for (key, bound) in [("loss", 1e-5), ("grad_norm", 2e-5)] {
                    let (own, wanted) = (try #require(line[key]?.double), try #require(step[key]?.double))
                    #expect(abs(own - wanted) <= bound * max(1, abs(wanted)), "\(loss) \(key) \(own) vs \(wanted)")
                }
            }
            guard loss == losses[0].0 else { continue }
            #expect(try #require(expected["movement"]?.double) >= 0.01, "a run that hardly moves proves nothing")
            let file = try SafetensorsFile(path: folder + "/expected.safetensors")
            let wanted = try tensors.map { tensor in
                let name = "end." + tensor.name
                return Tensor(
                    name: name, start: tensor.start,
                    end: file.info(name) == nil ? tensor.start : try file.floats(name))
            }
            #expect(distance(tensors, wanted) <= 2e-5, "\(distance(tensors, wanted)) of the movement")
        }
    }

    /// Two, three and four ranks, and a pass in chunks, give the run of one rank; ranks hold the same bits.
    @Test(arguments: families)
    func ranksAndChunksChangeNothing(_ family: String) throws {
        let output = try TemporaryDirectory()
        func run(_ name: String, options: JSONObject = JSONObject()) throws -> TrainingConfiguration {
            try configuration(
                family, loss: losses[0].0, rows: "pairs", output.path + "/" + name, options: options, dropout: 0.1)
        }
        let alone = try train(try run("1"))
        let chunked = try train(try run("chunks", options: ["mini_batch_size": .integer(2)]))
        #expect(distance(chunked, alone) <= 1e-5, "chunks: \(distance(chunked, alone)) of the movement")
        for world in 2...4 {
            let shared = try run("\(world)")
            let ends = try LocalEnsemble.run(world: world) { ensemble in try train(shared, ensemble: ensemble) }
            #expect(ends.allSatisfy { $0.map(\.end) == ends[0].map(\.end) }, "ranks have drifted apart")
            #expect(distance(ends[0], alone) <= 1e-5, "W = \(world): \(distance(ends[0], alone)) of the movement")
        }
        // Negative control: other masks are another run.
        let other = try train(
            try configuration(family, loss: losses[0].0, rows: "pairs", output.path + "/other", dropout: 0.11))
        #expect(distance(other, alone) > 1e-3)
    }

    /// |p - q|, relative to the movement of q, over all parameters.
    private func distance(_ a: [Tensor], _ b: [Tensor]) -> Double {
        var (difference, moved) = (0.0, 0.0)
        for (p, q) in zip(a, b) {
            for i in q.end.indices {
                difference += pow(Double(p.end[i]) - Double(q.end[i]), 2)
                moved += pow(Double(q.end[i]) - Double(q.start[i]), 2)
            }
        }
        return moved > 0 ? (difference / moved).squareRoot() : .infinity
    }
}
