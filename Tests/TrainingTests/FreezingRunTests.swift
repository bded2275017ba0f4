// Runs with frozen parameters: eight steps against the reference (Golden/freezing.py); ranks, exchanges and chunks; resuming;
// what is frozen keeps its bits and has no state.

import Foundation
import TestSupport
import Testing
import TuttiCorpus
import TuttiEncoders
import TuttiEnsemble
import TuttiFormats
import TuttiGround
import TuttiModels
import TuttiObjectives
import TuttiTraining

@Suite(.serialized) struct FreezingRunTests {
    static let cases: [String] = {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: Goldens.path("freezing"))) ?? []
        return names.filter { $0.hasSuffix(".json") }.map { String($0.dropLast(5)) }.sorted()
    }()

    /// A tensor of a run.
    private struct Tensor: Sendable, Equatable {
        let name: String
        let isFrozen: Bool
        let start, end: [Float]
    }

    private func configuration(
        model: String, _ output: String, args changes: JSONObject, dropout: Double = 0,
        loss: String = "MultipleNegativesRankingLoss"
    ) throws -> TrainingConfiguration {
        var args: JSONObject = ["max_grad_norm": .number(1)]
        for (key, value) in changes { args[key] = value }
        return try GoldenRun.configuration(
            model: model, output, args: args, loss: .object(["name": .string(loss)]),
            more: try GoldenRun.dropout(dropout, in: model))
    }

    private func values(_ model: SentenceEncoder) -> [String: [Float]] {
        let store = model.encoder.parameters
        return Dictionary(uniqueKeysWithValues: store.layout.all.map { ($0.name, Array(store.values(of: $0))) })
    }

    @discardableResult
    private func train(
        _ configuration: TrainingConfiguration, ensemble: any Ensemble = LocalEnsemble.single()
    ) throws -> [Tensor] {
        let inputs = try TrainingInputs(configuration, ensemble: ensemble)
        let starts = values(inputs.model)
        guard try Trainer(inputs, ensemble: ensemble).train() == .finished else {
            throw TestFailure("the run did not finish")
        }
        let ends = values(inputs.model)
        return inputs.model.encoder.layout.all.filter { $0.owner == .model }.map {
            Tensor(
                name: $0.name, isFrozen: $0.isFrozen, start: starts[$0.name] ?? [], end: ends[$0.name] ?? [])
        }
    }

    /// |p - q|, relative to the movement of q, over all parameters.
    private func distance(_ a: [Tensor], _ b: [Tensor]) -> Double {
        shareOfMovement(a.flatMap(\.end), (b.flatMap(\.start), b.flatMap(\.end)))
    }

    @Test(arguments: cases)
    func eightStepsEqualTheReference(_ name: String) throws {
        let expected = try #require(try JSONValue.parse(file: Goldens.path("freezing/\(name).json")).object)
        let family = try #require(expected["family"]?.string)
        var args = try #require(expected["args"]?.object)
        args["freeze"] = expected["freeze"]
        let output = try TemporaryDirectory()
        let tensors = try train(
            try configuration(model: Goldens.path("families/\(family)/model"), output.path + "/run", args: args))
        try GoldenRun.expectSteps(expected["steps"], in: output.path + "/run")
        try GoldenRun.expectMovement(expected["movement"])
        let file = try SafetensorsFile(path: Goldens.path("freezing/\(name).safetensors"))
        #expect(Set(file.tensors.map(\.name)) == Set(tensors.filter { !$0.isFrozen }.map { "end." + $0.name }))
        let wanted = try tensors.map { tensor in
            Tensor(
                name: tensor.name, isFrozen: tensor.isFrozen, start: tensor.start,
                end: tensor.isFrozen ? tensor.start : try file.floats("end." + tensor.name))
        }
        #expect(distance(tensors, wanted) <= 2e-5, "\(distance(tensors, wanted)) of the movement")
        for tensor in tensors where tensor.isFrozen { #expect(tensor.end == tensor.start, "\(tensor.name)") }
    }

    /// One way of running.
    struct Way: Sendable, CustomStringConvertible {
        var nodes: [Int]
        var args = JSONObject()
        var talking = Talking.never
        var description: String { "nodes \(nodes) \(JSONValue.object(args).serialized())" }
    }

    static let ways = [
        Way(nodes: [0, 0]), Way(nodes: [0, 0, 0, 0]), Way(nodes: [0, 0], args: ["exchange": .string("messages")]),
        Way(nodes: [0, 1, 2, 3]), Way(nodes: [0, 0, 1, 1]), Way(nodes: [0, 0, 1, 1], talking: .always),
        Way(nodes: [0, 0, 1, 1], args: ["optimizer_sharding": .string("all")]),
        Way(nodes: [0, 1], args: ["optimizer_sharding": .string("all"), "exchange": .string("messages")]),
        Way(nodes: [0], args: ["mini_batch_size": .integer(4)]),
        Way(nodes: [0, 0], args: ["mini_batch_size": .integer(2)]),
    ]

    private let freeze = JSONValue.array(
        ["embeddings", "encoder.layer.0", "*.*.*.attention.self.key"].map(JSONValue.string))

    /// Dropout, weight decay, an average of the weights, layer-wise rates and a mapping of rates, on any ranks by any
    /// exchange: the run of one rank, and frozen bits.
    @Test(arguments: ways)
    func ranksExchangesAndChunksChangeNothing(_ way: Way) throws {
        let output = try TemporaryDirectory()
        var args: JSONObject = [
            "learning_rate": .number(0.05), "weight_decay": .number(0.1), "max_grad_norm": .number(2),
            "ema_decay": .number(0.5), "layerwise_lr_decay": .number(0.9), "freeze": freeze,
            "learning_rate_mapping": .object(["LayerNorm": .number(0.02)]),
        ]
        let model = Goldens.path("families/bert/model")
        let alone = try train(try configuration(model: model, output.path + "/alone", args: args, dropout: 0.1))
        for (key, value) in way.args { args[key] = value }
        let other = try configuration(model: model, output.path + "/other", args: args, dropout: 0.1)
        let ends = try LocalEnsemble.run(nodes: way.nodes, talking: way.talking) { try train(other, ensemble: $0) }
        #expect(ends.allSatisfy { $0.map(\.end) == ends[0].map(\.end) }, "ranks have drifted apart")
        #expect(distance(ends[0], alone) <= 1e-5, "\(distance(ends[0], alone)) of the movement")
        let frozen = alone.filter(\.isFrozen)
        #expect(frozen.count == 5 + 16 + 2 && frozen.allSatisfy { $0.end == $0.start })
        for tensor in alone where !tensor.isFrozen { #expect(tensor.end != tensor.start, "\(tensor.name)") }
        #expect(ends[0].filter(\.isFrozen) == frozen)
    }

    /// The same bits on 1, 2 and 4 ranks where the run asks for them.
    @Test func logicalShardsKeepTheirBits() throws {
        let output = try TemporaryDirectory()
        let args: JSONObject = [
            "learning_rate": .number(1e-3), "optim": .string("adamw_torch"), "freeze": freeze,
            "deterministic": .string("world_size"),
        ]
        var first: [Tensor]?
        for nodes in [[0], [0, 0], [0, 0, 0, 0], [0, 1]] {
            let own = try configuration(
                model: Goldens.path("families/bert/model"), output.path + "/\(nodes)", args: args, dropout: 0.1)
            let ends = try LocalEnsemble.run(nodes: nodes) { try train(own, ensemble: $0) }
            first = first ?? ends[0]
            #expect(ends.allSatisfy { $0 == first }, "\(nodes)")
        }
    }

    /// Dropout is drawn as if nothing were frozen: the loss of the first step is that of the whole model.
    @Test func frozenLayersDrawDropout() throws {
        let output = try TemporaryDirectory()
        func firstLoss(_ name: String, _ args: JSONObject, dropout: Double) throws -> Double {
            let model = Goldens.path("families/bert/model")
            try train(try configuration(model: model, output.path + "/" + name, args: args, dropout: dropout))
            return try #require(try trainingLines(output.path + "/" + name).first?["loss"]?.double)
        }
        let whole = try firstLoss("whole", JSONObject(), dropout: 0.2)
        let part = try firstLoss("part", ["freeze": freeze], dropout: 0.2)
        #expect(abs(whole - part) <= 2e-6)
        #expect(abs(try firstLoss("without", ["freeze": freeze], dropout: 0) - part) > 1e-3)
    }

    /// A run that was stopped ends with the bits of one that was not; its checkpoints hold no state of what is frozen, and
    /// another list of patterns is another run.
    @Test(arguments: [[0], [0, 0], [0, 1]])
    func resumedRunsHaveTheSameBits(_ nodes: [Int]) throws {
        let output = try TemporaryDirectory()
        var args: JSONObject = [
            "optim": .string("adamw_torch"), "learning_rate": .number(1e-3), "ema_decay": .number(0.9),
            "save_strategy": .string("steps"), "save_steps": .integer(3), "freeze": freeze,
        ]
        let model = Goldens.path("families/bert/model")
        func run(_ name: String, stopsAfter step: Int? = nil) throws -> [TrainingOutcome] {
            let configuration = try configuration(
                model: model, output.path + "/" + name, args: args, dropout: 0.1)
            return try LocalEnsemble.run(nodes: nodes) { ensemble in
                var inputs = try TrainingInputs(configuration, ensemble: ensemble)
                let report = step.map { AskAfter(step: $0) }
                if let report { inputs.stop = report.stop }
                return try Trainer(inputs, ensemble: ensemble, reports: report.map { [$0] } ?? []).train()
            }
        }
        func final(_ name: String) throws -> Data {
            try Data(contentsOf: URL(fileURLWithPath: output.path + "/\(name)/final/model.safetensors"))
        }
        #expect(try run("whole").allSatisfy { $0 == .finished })
        #expect(try run("parts", stopsAfter: 4).allSatisfy { $0 == .preempted(step: 4) })
        #expect(try run("parts").allSatisfy { $0 == .finished })
        #expect(try final("parts") == final("whole"))
        #expect(
            timeless(try metricsLines(output.path + "/parts")) == timeless(try metricsLines(output.path + "/whole")))
        let state = try SafetensorsFile(path: output.path + "/whole/checkpoint-6/optimizer.safetensors")
        let names = Set(state.tensors.map { $0.name.split(separator: ".").dropFirst().joined(separator: ".") })
        #expect(!names.contains { $0.hasPrefix("embeddings") || $0.hasPrefix("encoder.layer.0") })
        #expect(names.contains("encoder.layer.1.attention.self.query.weight"))
        #expect(!names.contains("encoder.layer.1.attention.self.key.weight"))
        args["freeze"] = .array([.string("embeddings")])
        let error = #expect(throws: (any Error).self) { _ = try run("parts") }
        #expect("\(try #require(error))".contains("another run"), "\(String(describing: error))")
    }

    /// A frozen route keeps its bits, the other is trained.
    @Test func frozenRoutes() throws {
        let output = try TemporaryDirectory()
        let router = Goldens.path("router/asymmetric")
        let expected = try #require(try JSONValue.parse(file: router + "/expected.json").object)
        let root: JSONObject = [
            "model": .string(router + "/model"), "output_dir": .string(output.path + "/router"),
            "loss": .string("MultipleNegativesRankingLoss"),
            "args": .object([
                "learning_rate": .number(0.1), "max_steps": .integer(4), "global_train_batch_size": .integer(6),
                "router_mapping": try #require(expected["router_mapping"]), "save_strategy": .string("no"),
                "freeze": .string("0.sub_modules.document"),
            ]),
            "train_dataset": .object(["path": .string(Goldens.path("families/rows/pairs.jsonl"))]),
        ]
        let tensors = try train(
            try TrainingConfiguration(root, places: ConfigurationPlaces(file: "router"), purpose: .training) { _ in })
        for tensor in tensors {
            #expect(tensor.isFrozen == tensor.name.hasPrefix("document_"))
            #expect((tensor.end == tensor.start) == tensor.isFrozen, "\(tensor.name)")
        }
    }

    /// A twin is frozen where the model is; a tied decoder reads what is frozen and trains the rest.
    @Test(arguments: ["ContrastiveTensionLossInBatchNegatives", "DenoisingAutoEncoderLoss"])
    func twinsAndDecoders(_ loss: String) throws {
        let (output, folder) = (try TemporaryDirectory(), Goldens.path("losses"))
        let path = output.path
        let start = values(try SentenceEncoder.load(folder + "/model"))
        for world in [1, 2] {
            let ends = try LocalEnsemble.run(world: world) { ensemble in
                var arguments = TrainingArguments()
                (arguments.optim, arguments.learningRate, arguments.maxSteps) = ("sgd", 0.1, 3)
                (arguments.globalTrainBatchSize, arguments.saveStrategy) = (11, .no)
                arguments.freeze = ["embeddings", "encoder.layer.0"]
                let table = try loadTable(
                    DatasetSpecification(path: folder + "/data/denoise.jsonl", columns: ["original"]))
                let inputs = TrainingInputs(
                    model: try SentenceEncoder.load(folder + "/model"), arguments: arguments, trainDataset: table,
                    loss: try LossRegistry.make(LossSpecification(name: loss)),
                    outputDirectory: path + "/\(world)")
                #expect(try Trainer(inputs, ensemble: ensemble).train() == .finished)
                return values(inputs.model)
            }
            #expect(ends.allSatisfy { $0 == ends[0] })
            for (name, before) in start where !name.hasSuffix("key.bias") {  // whose true gradient is zero
                let isFrozen = name.hasPrefix("embeddings") || name.hasPrefix("encoder.layer.0")
                #expect((ends[0][name] == before) == isFrozen, "\(name)")
            }
            let own = ends[0].keys.filter { start[$0] == nil }
            #expect(!own.isEmpty && !own.contains { $0.hasPrefix("model1.embeddings") }, "\(own)")
        }
    }

    @Test func refusals() throws {
        let output = try TemporaryDirectory()
        let model = Goldens.path("families/bert/model")
        func refusal(_ patterns: [String], loss: String = "MultipleNegativesRankingLoss") throws -> TuttiError? {
            let configuration = try configuration(
                model: model, output.path + "/run", args: ["freeze": .array(patterns.map(JSONValue.string))], loss: loss
            )
            do { try train(configuration) } catch let error as TuttiError { return error }
            return nil
        }
        let unknown = try refusal(["encoder.layers.0"])
        #expect(unknown?.kind == .usage && unknown?.description.contains("'encoder.layer.0'") == true)
        let everything = try refusal(["*"])
        #expect(everything?.kind == .usage && everything?.description.contains("nothing is left to train") == true)
    }
}
