// Runs that train an adapter: eight steps against the reference (Golden/lora.py); ranks, exchanges and chunks; resuming; the base
// model keeps its bits and is nowhere written.

import Foundation
import TestSupport
import Testing
import TuttiEncoders
import TuttiEnsemble
import TuttiFormats
import TuttiGround
import TuttiModels
import TuttiReports
import TuttiTraining

@Suite(.serialized) struct AdapterRunTests {
    private func configuration(
        model: String, _ output: String, lora: JSONObject? = nil, args changes: JSONObject = JSONObject(),
        dropout: Double = 0, loss: JSONValue = .string("MultipleNegativesRankingLoss")
    ) throws -> TrainingConfiguration {
        var more = JSONObject()
        if dropout > 0 {
            more["config_overrides"] = .object([
                "hidden_dropout_prob": .number(dropout), "attention_probs_dropout_prob": .number(dropout),
            ])
        }
        more["lora"] = lora.map(JSONValue.object)
        return try GoldenRun.configuration(model: model, output, args: changes, loss: loss, more: more)
    }

    private struct Ends: Sendable, Equatable {
        /// Values of what is trained, before and after.
        var start, end: [String: [Float]]
        /// Frozen values before and after.
        var frozen: [[Float]]
    }

    private func values(_ model: SentenceEncoder) -> [String: [Float]] {
        let store = model.encoder.parameters
        return Dictionary(uniqueKeysWithValues: store.layout.entries.map { ($0.name, Array(store.values(of: $0))) })
    }

    private func train(
        _ configuration: TrainingConfiguration, ensemble: any Ensemble = LocalEnsemble.single()
    ) throws -> Ends {
        let inputs = try TrainingInputs(configuration, ensemble: ensemble)
        let start = values(inputs.model)
        let before = Array(inputs.model.encoder.parameters.frozenValues)
        guard try Trainer(inputs, ensemble: ensemble).train() == .finished else {
            throw TestFailure("the run did not finish")
        }
        return Ends(
            start: start, end: values(inputs.model),
            frozen: [before, Array(inputs.model.encoder.parameters.frozenValues)])
    }

    /// |p - q|, relative to the movement of q.
    private func distance(_ a: [String: [Float]], _ b: [String: [Float]], from start: [String: [Float]]) -> Double {
        let names = b.keys.sorted()
        func flat(_ values: [String: [Float]]) -> [Float] { names.flatMap { values[$0] ?? [] } }
        return shareOfMovement(flat(a), (flat(start), flat(b)))
    }

    /// An adapter's folder is trained on: the adapter, and nothing else.
    @Test(arguments: AdapterGolden.all)
    func eightStepsEqualTheReference(_ golden: AdapterGolden) throws {
        let (output, expected) = (try TemporaryDirectory(), try golden.expected())
        try golden.make(output.path + "/model")
        let run = output.path + "/run"
        let ends = try train(
            try configuration(model: output.path + "/model", run, args: try #require(expected["args"]?.object)))
        try GoldenRun.expectSteps(expected["steps"], in: run)
        try GoldenRun.expectMovement(expected["movement"])
        #expect(ends.frozen[0] == ends.frozen[1] && !ends.frozen[0].isEmpty)
        let (file, tensors) = (
            try SafetensorsFile(path: run + "/final/adapter_model.safetensors"), try golden.tensors()
        )
        var (found, wanted, start) = ([String: [Float]](), [String: [Float]](), [String: [Float]]())
        for info in tensors.tensors where info.name.hasPrefix("end.") {
            let key = String(info.name.dropFirst(4))
            found[key] = try file.floats(key.hasSuffix(".lora_magnitude_vector") ? key + ".weight" : key)
            wanted[key] = try tensors.floats(info.name)
            start[key] = try golden.saved().floats(key)
        }
        #expect(wanted.count == file.tensors.count { !$0.name.contains("pooler") })
        let away = distance(found, wanted, from: start)
        #expect(away <= 2e-5, "\(away) of the movement")
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
        Way(nodes: [0, 0, 1, 1]), Way(nodes: [0, 1, 2, 3], talking: .always),
        Way(nodes: [0, 0, 1, 1], args: ["optimizer_sharding": .string("all")]),
        Way(nodes: [0], args: ["mini_batch_size": .integer(4)]),
        Way(nodes: [0, 0], args: ["mini_batch_size": .integer(2)]),
    ]

    private let lora: JSONObject = [
        "r": .integer(4), "lora_alpha": .integer(16), "lora_dropout": .number(0.2), "bias": .string("lora_only"),
        "target_modules": .string("all-linear"), "init_lora_weights": .bool(false),
        "modules_to_save": .array([.string("embeddings.LayerNorm")]),
    ]

    @Test(arguments: ways, [false, true])
    func ranksExchangesAndChunksChangeNothing(_ way: Way, _ hasMagnitudes: Bool) throws {
        let output = try TemporaryDirectory()
        var lora = lora
        lora["use_dora"] = .bool(hasMagnitudes)
        var args: JSONObject = [
            "learning_rate": .number(0.02), "weight_decay": .number(0.1), "max_grad_norm": .number(2),
            "ema_decay": .number(0.5), "learning_rate_mapping": .object(["lora_B": .number(0.04)]),
        ]
        let model = Goldens.path("families/bert/model")
        let alone = try train(
            try configuration(model: model, output.path + "/alone", lora: lora, args: args, dropout: 0.1))
        for (key, value) in way.args { args[key] = value }
        let other = try configuration(model: model, output.path + "/other", lora: lora, args: args, dropout: 0.1)
        let ends = try LocalEnsemble.run(nodes: way.nodes, talking: way.talking) { try train(other, ensemble: $0) }
        #expect(ends.allSatisfy { $0 == ends[0] }, "ranks have drifted apart")
        #expect(ends[0].start == alone.start, "adapters begin alike on any ranks")
        let away = distance(ends[0].end, alone.end, from: alone.start)
        #expect(away <= 1e-5, "\(away) of the movement")
        #expect(ends[0].frozen[0] == ends[0].frozen[1] && ends[0].frozen == alone.frozen)
        // 12 modules with A and B, their biases and magnitudes, and the norm that is saved; all have moved.
        #expect(alone.end.count == 12 * (hasMagnitudes ? 4 : 3) + 2)
        for (name, end) in alone.end where !name.hasSuffix("key.bias") {  // whose true gradient is zero
            #expect(end != alone.start[name], "\(name)")
        }
    }

    /// The same bits on 1, 2 and 4 ranks where the run asks for them.
    @Test(arguments: ["bert", "nomic_bert", "gte"])
    func logicalShardsKeepTheirBits(_ family: String) throws {
        let output = try TemporaryDirectory()
        let args: JSONObject = [
            "learning_rate": .number(1e-3), "optim": .string("adamw_torch"), "deterministic": .string("world_size"),
        ]
        var first: Ends?
        for nodes in [[0], [0, 0], [0, 0, 0, 0]] {
            let own = try configuration(
                model: Goldens.path("families/\(family)/model"), output.path + "/\(nodes.count)", lora: lora,
                args: args, dropout: 0.1)
            let ends = try LocalEnsemble.run(nodes: nodes) { try train(own, ensemble: $0) }
            first = first ?? ends[0]
            #expect(ends.allSatisfy { $0 == first }, "\(nodes)")
        }
    }

    /// lora_dropout is drawn, by module; without it and with B zero the first loss is that of the base model.
    @Test func dropoutOfAdapters() throws {
        let output = try TemporaryDirectory()
        func losses(_ name: String, _ lora: JSONObject?) throws -> [Double] {
            let own = try configuration(
                model: Goldens.path("families/bert/model"), output.path + "/" + name, lora: lora,
                args: ["learning_rate": .number(0.02)], dropout: 0.1)
            _ = try train(own)
            return try trainingLines(output.path + "/" + name).compactMap { $0["loss"]?.double }
        }
        let base = try losses("base", nil)
        let plain = try losses("plain", ["r": .integer(4)])
        #expect(abs(base[0] - plain[0]) <= 2e-6)
        let dropped = try losses("dropped", ["r": .integer(4), "lora_dropout": .number(0.3)])
        #expect(abs(dropped[0] - plain[0]) <= 2e-6 && abs(dropped[7] - plain[7]) > 1e-4)
    }

    /// A run that was stopped ends with the bits of one that was not. Checkpoints hold the adapter and its state alone; the
    /// final folder is what the trained model in memory is, and goes on training.
    @Test(arguments: [[0], [0, 0], [0, 1]])
    func resumedRunsHaveTheSameBits(_ nodes: [Int]) throws {
        let output = try TemporaryDirectory()
        var lora = lora
        let args: JSONObject = [
            "optim": .string("adamw_torch"), "learning_rate": .number(1e-2), "ema_decay": .number(0.9),
            "save_strategy": .string("steps"), "save_steps": .integer(3),
        ]
        func run(
            _ name: String, model: String = Goldens.path("families/bert/model"), lora: JSONObject?,
            stopsAfter step: Int? = nil
        ) throws -> [TrainingOutcome] {
            let configuration = try configuration(
                model: model, output.path + "/" + name, lora: lora, args: args, dropout: 0.1)
            return try LocalEnsemble.run(nodes: nodes) { ensemble in
                var inputs = try TrainingInputs(configuration, ensemble: ensemble)
                let report = step.map { AskAfter(step: $0) }
                if let report { inputs.stop = report.stop }
                return try Trainer(inputs, ensemble: ensemble, reports: report.map { [$0] } ?? []).train()
            }
        }
        func final(_ name: String) throws -> Data {
            try Data(contentsOf: URL(fileURLWithPath: output.path + "/\(name)/final/adapter_model.safetensors"))
        }
        #expect(try run("whole", lora: lora).allSatisfy { $0 == .finished })
        #expect(try run("parts", lora: lora, stopsAfter: 4).allSatisfy { $0 == .preempted(step: 4) })
        #expect(try run("parts", lora: lora).allSatisfy { $0 == .finished })
        #expect(try final("parts") == final("whole"))
        #expect(
            timeless(try metricsLines(output.path + "/parts")) == timeless(try metricsLines(output.path + "/whole")))
        let checkpoint = output.path + "/whole/checkpoint-6"
        let files = try FileManager.default.contentsOfDirectory(atPath: checkpoint)
        #expect(files.contains("adapter_model.safetensors") && !files.contains("model.safetensors"))
        let state = try SafetensorsFile(path: checkpoint + "/optimizer.safetensors")
        #expect(state.tensors.count == 3 * (12 * 3 + 2))
        lora["r"] = .integer(5)
        let error = #expect(throws: (any Error).self) { _ = try run("parts", lora: lora) }
        #expect("\(try #require(error))".contains("another run"), "\(String(describing: error))")
        #expect(
            try run("on", model: output.path + "/whole/final", lora: nil).allSatisfy { $0 == .finished })
        #expect(try final("on") != final("whole"))
    }

    /// Keeps what a run says of its exchange.
    private final class Heard: Report {
        private(set) var exchange: [String] = []
        func notice(_ text: String) { if text.hasPrefix("Gradients of") { exchange.append(text) } }
    }

    /// What is exchanged is r (in + out) floats of every adapted matrix, in what is sent and in what is printed; without an
    /// adapter it is the model.
    @Test func onlyAdaptersAreExchanged() throws {
        let output = try TemporaryDirectory()
        let model = Goldens.path("families/bert/model")
        let layout = try SentenceEncoder.load(model).encoder.layout
        let rank = 4
        let matrices = layout.all.filter {
            $0.name.hasPrefix("encoder.layer") && $0.shape.count == 2 && $0.name.hasSuffix(".weight")
        }
        #expect(matrices.count == 12)
        let adapters = matrices.reduce(0) { $0 + rank * ($1.shape[0] + $1.shape[1]) }
        let whole = layout.all.reduce(0) { $0 + $1.elementCount }
        #expect(adapters < whole / 2)
        func run(
            _ name: String, nodes: [Int], lora: JSONObject?, args: JSONObject
        ) throws -> (sent: [Int], said: String) {
            let configuration = try configuration(model: model, output.path + "/" + name, lora: lora, args: args)
            let results = try LocalEnsemble.run(nodes: nodes) { ensemble -> (Int, [String]) in
                let counting = GradientCounter(ensemble)
                let own: any Ensemble = args["exchange"] == nil ? ensemble : counting
                let heard = Heard()
                _ = try Trainer(
                    try TrainingInputs(configuration, ensemble: own), ensemble: own, reports: [heard]
                ).train()
                return (counting.summedFloats, heard.exchange)
            }
            return (results.map(\.0), results[0].1.joined())
        }
        func kilobytes(_ bytes: Int) -> String { "\((Double(bytes) / 100).rounded() / 10) KB" }
        let lora: JSONObject = ["r": .integer(Int64(rank)), "target_modules": .string("all-linear")]
        let steps = 8
        let messages: JSONObject = ["exchange": .string("messages")]
        let own = try run("messages", nodes: [0, 0], lora: lora, args: messages)
        #expect(own.sent == [steps * adapters, steps * adapters], "\(own.sent)")
        let words = "summed by messages; \(kilobytes(4 * adapters)) of gradients a step."
        #expect(own.said.hasSuffix(words), "\(own.said)")
        let full = try run("full", nodes: [0, 0], lora: nil, args: messages)
        let table = try #require(layout.entry(named: "embeddings.word_embeddings.weight")).elementCount
        #expect(full.sent.allSatisfy { $0 > steps * (whole - table) }, "\(full.sent)")
        #expect(full.said.hasSuffix("a step, and the touched rows of the word table."), "\(full.said)")
        // Two nodes: half of the sum goes to the other node, and half of what it has added comes back.
        let apart = try run("nodes", nodes: [0, 1], lora: lora, args: JSONObject())
        #expect(apart.said.hasSuffix("; a node sends \(kilobytes(4 * adapters)) a step."), "\(apart.said)")
        let rounded = try run("bf16", nodes: [0, 1], lora: lora, args: ["wire": .string("bf16")])
        #expect(rounded.said.hasSuffix("; a node sends \(kilobytes(2 * adapters)) a step."), "\(rounded.said)")
    }

    @Test func refusals() throws {
        let output = try TemporaryDirectory()
        let decoder = try configuration(
            model: Goldens.path("losses/model"), output.path + "/decoder", lora: ["r": .integer(2)],
            loss: .string("DenoisingAutoEncoderLoss"))
        let error = #expect(throws: TuttiError.self) { _ = try train(decoder) }
        #expect(error?.kind == .usage && error?.description.contains("adapter") == true, "\(String(describing: error))")
        #expect(throws: TuttiError.self) {
            _ = try configuration(model: "m", output.path, lora: ["use_qalora": .bool(true)])
        }
    }
}
