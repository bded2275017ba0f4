// Runs of the cases in Tests/Golden/losses: one loss with one set of options each, from a configuration to the end.

import TestSupport
import Foundation
import Testing
import TuttiEncoders
import TuttiEnsemble
import TuttiFormats
import TuttiGround
import TuttiModels
import TuttiObjectives
import TuttiTraining

/// A case folder: what losses.py recorded of eight steps of the reference.
struct GoldenLossCase: Sendable, CustomTestStringConvertible {
    let name: String
    let object: JSONObject

    static let folder = Goldens.path("losses")

    /// Every case there is, by name.
    static let all: [GoldenLossCase] = {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
        return names.sorted().compactMap { name in
            let object = try? JSONValue.parse(file: "\(folder)/\(name)/case.json").object
            return object.map { GoldenLossCase(name: name, object: $0) }
        }
    }()

    static func named(_ name: String) throws -> GoldenLossCase { try #require(all.first { $0.name == name }) }

    var testDescription: String { name }

    var loss: JSONObject { object["loss"]?.object ?? JSONObject() }

    /// The names of the loss and of those inside it.
    var lossNames: [String] { Self.names(.object(loss)) }

    private static func names(_ value: JSONValue) -> [String] {
        guard let object = value.object else { return [] }
        let inner = [object["loss"]].compactMap { $0 } + (object["losses"]?.array ?? [])
        return [object["name"]?.string ?? ""] + inner.flatMap(names)
    }

    /// The steps as the reference logged them.
    func steps() throws -> [JSONObject] { try #require(object["steps"]?.array).compactMap(\.object) }

    /// The end weights that the reference saved.
    func end() throws -> SafetensorsFile { try SafetensorsFile(path: "\(Self.folder)/\(name)/end.safetensors") }

    /// The values of the model's and the loss's parameters before the first step.
    static func start() throws -> SentenceEncoder { try SentenceEncoder.load(folder + "/model") }
}

/// A run of a case, as it was recorded or with changes.
struct GoldenLossRun: Sendable {
    let example: GoldenLossCase
    /// Changed or added keys of args.
    var arguments = JSONObject()
    /// Changed or added options of the loss.
    var lossOptions = JSONObject()
    var hasDropout = false

    init(_ example: GoldenLossCase) { self.example = example }

    /// Global batches of as many rows as the recorded run had on its one process, so that any ranks may share them.
    func sharedBatches() -> GoldenLossRun {
        var run = self
        let size = example.object["args"]?["per_device_train_batch_size"] ?? .integer(8)
        run.arguments["per_device_train_batch_size"] = .null
        run.arguments["global_train_batch_size"] = size
        return run
    }

    /// Trains into `output`; every rank of `ensemble` calls.
    func train(_ output: String, ensemble: any Ensemble = LocalEnsemble.single()) throws -> LossRunEnd {
        let inputs = try TrainingInputs(try configuration(output), ensemble: ensemble)
        let begin = inputs.model.encoder.parameters
        let trainer = try Trainer(inputs, ensemble: ensemble)
        let start = begin.layout.entries.map { Array(begin.values(of: $0)) }
        guard try trainer.train() == .finished else { throw TestFailure("\(example.name) did not finish") }
        let store = inputs.model.encoder.parameters
        let ends = store.layout.entries.map { Array(store.values(of: $0)) }
        let tensors = zip(store.layout.entries, zip(start, ends)).map { entry, values in
            LossRunEnd.Tensor(
                name: entry.name, isOfLoss: entry.owner == .loss, start: values.0, end: values.1)
        }
        return LossRunEnd(tensors: tensors)
    }

    private func configuration(_ output: String) throws -> TrainingConfiguration {
        let folder = GoldenLossCase.folder
        var loss = Self.withPaths(example.loss, in: folder)
        for (key, value) in lossOptions { loss[key] = value }
        var args = try #require(example.object["args"]?.object)
        for (key, value) in arguments { args[key] = value == .null ? nil : value }
        let columns = try #require(example.object["columns"])
        let data = try #require(example.object["data"]?.string)
        var root: JSONObject = [
            "model": .string(folder + "/model"), "output_dir": .string(output), "loss": .object(loss),
            "args": .object(args),
            "train_dataset": .object(["path": .string("\(folder)/data/\(data).jsonl"), "columns": columns]),
        ]
        if hasDropout {
            root["config_overrides"] = .object([
                "hidden_dropout_prob": .number(0.1), "attention_probs_dropout_prob": .number(0.1),
            ])
        }
        return try TrainingConfiguration(root, places: ConfigurationPlaces(file: example.name), purpose: .training) {
            _ in
        }
    }

    /// The loss with its files where they lie.
    private static func withPaths(_ loss: JSONObject, in folder: String) -> JSONObject {
        var result = loss
        for (key, value) in loss {
            switch (key, value) {
            case ("guide", .string(let path)), ("initial_parameters", .string(let path)),
                ("decoder_name_or_path", .string(let path)):
                result[key] = .string("\(folder)/\(path)")
            case ("loss", .object(let inner)): result[key] = .object(withPaths(inner, in: folder))
            default: break
            }
        }
        return result
    }
}

/// What became of the parameters of a run.
struct LossRunEnd: Sendable {
    struct Tensor: Sendable {
        let name: String
        let isOfLoss: Bool
        let start: [Float]
        let end: [Float]
    }

    let tensors: [Tensor]

    /// |p_end - p_start|2 of the model's or the loss's own parameters.
    func movement(ofLoss: Bool) -> Double {
        norm(tensors.filter { $0.isOfLoss == ofLoss }.map { distance($0.end, $0.start) })
    }

    /// |p - q|2 of the model's or the loss's own parameters of two runs.
    func distance(to other: LossRunEnd, ofLoss: Bool) -> Double {
        norm(zip(tensors, other.tensors).filter { $0.0.isOfLoss == ofLoss }.map { distance($0.0.end, $0.1.end) })
    }

    /// |p_end - wanted|2 over tensors of the model or of the loss.
    func distance(ofLoss: Bool, wanted: (String) throws -> [Float]) rethrows -> Double {
        norm(try tensors.filter { $0.isOfLoss == ofLoss }.map { distance($0.end, try wanted($0.name)) })
    }

    private func norm(_ distances: [Double]) -> Double { distances.reduce(0) { $0 + $1 * $1 }.squareRoot() }

    private func distance(_ a: [Float], _ b: [Float]) -> Double {
        if a.count != b.count { return .infinity }
        return zip(a, b).reduce(0.0) { $0 + Double($1.0 - $1.1) * Double($1.0 - $1.1) }.squareRoot()
    }
}

/// Why a run is no good to compare.
struct TestFailure: Error, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
}
