// Adapters as model folders: embeddings against the reference (Golden/lora.py), saving, merging, peft's rule of targets, and
// what is refused.

import Foundation
import TestSupport
import Testing
import TuttiEncoders
import TuttiFormats
import TuttiGround
import TuttiModels

@Suite struct ModelAdapterTests {
    private func anchors() throws -> [String] {
        let text = try String(contentsOfFile: Goldens.path("families/rows/pairs.jsonl"), encoding: .utf8)
        return try text.split(separator: "\n").prefix(12).map { line in
            try #require(try JSONValue.parse(String(line), source: "pairs")["anchor"]?.string)
        }
    }

    private func largest(_ model: SentenceEncoder, _ expected: [Float]) throws -> Float {
        let embeddings = try model.encode(try anchors())
        var worst: Float = 0
        for row in 0..<12 {
            for column in 0..<model.dimension {
                worst = max(worst, abs(embeddings[row][column] - expected[row * model.dimension + column]))
            }
        }
        return worst
    }

    private func values(_ model: SentenceEncoder, _ name: String) throws -> [Float] {
        let store = model.encoder.parameters
        return Array(store.values(of: try #require(store.layout.entry(named: name), "\(name)")))
    }

    @Test(arguments: AdapterGolden.all)
    func embeddingsAndFilesAreTheReferences(_ golden: AdapterGolden) throws {
        let scratch = try TemporaryDirectory()
        try golden.make(scratch.path + "/model")
        let model = try SentenceEncoder.load(scratch.path + "/model")
        let expected = try golden.tensors().floats("embeddings")
        let difference = try largest(model, expected)
        #expect(difference <= 2e-6, "\(difference)")
        let base = try SentenceEncoder.load(try golden.base())
        #expect(try largest(base, expected) > 0.01, "an adapter that changes nothing proves nothing")
        let modules = try #require(try golden.expected()["modules"]?.array).compactMap(\.string)
        #expect(try #require(model.adapter).plans.keys.sorted() == modules)

        try FileManager.default.createDirectory(atPath: scratch.path + "/saved", withIntermediateDirectories: false)
        try model.save(to: scratch.path + "/saved", card: nil)
        let files = try FileManager.default.contentsOfDirectory(atPath: scratch.path + "/saved")
        #expect(!files.contains("config.json") && !files.contains("model.safetensors"))
        #expect(files.contains("modules.json") && files.contains("tokenizer.json"))
        let (saved, original) = (
            try SafetensorsFile(path: scratch.path + "/saved/adapter_model.safetensors"), try golden.saved()
        )
        // Magnitudes have the name that transformers finds, too.
        func own(_ name: String) -> String { name.hasSuffix(".lora_magnitude_vector") ? name + ".weight" : name }
        #expect(Set(saved.tensors.map(\.name)) == Set(original.tensors.map { own($0.name) }))
        for info in original.tensors {
            #expect(try saved.floats(own(info.name)) == original.floats(info.name), "\(info.name)")
        }
        #expect(
            try JSONValue.parse(file: scratch.path + "/saved/adapter_config.json")
                == JSONValue.parse(file: scratch.path + "/model/adapter_config.json"))
        #expect(try SentenceEncoder.load(scratch.path + "/saved").numbers(anchors()) == model.numbers(anchors()))
    }

    @Test(arguments: AdapterGolden.all)
    func mergedModelsStandAlone(_ golden: AdapterGolden) throws {
        let scratch = try TemporaryDirectory()
        try golden.make(scratch.path + "/model")
        let model = try SentenceEncoder.load(scratch.path + "/model")
        try model.mergeAdapter()
        let expected = try golden.tensors().floats("embeddings")
        let difference = try largest(model, expected)
        #expect(difference <= 2e-6, "\(difference)")
        #expect(model.adapter == nil && model.encoder.layout.frozenCount == 0)
        try FileManager.default.createDirectory(atPath: scratch.path + "/merged", withIntermediateDirectories: false)
        try model.save(to: scratch.path + "/merged", card: nil)
        let again = try SentenceEncoder.load(scratch.path + "/merged")
        #expect(try again.numbers(anchors()) == model.numbers(anchors()))
        let names = try SafetensorsFile(path: try golden.base() + "/model.safetensors").tensors.map(\.name)
        #expect(
            Set(try SafetensorsFile(path: scratch.path + "/merged/model.safetensors").tensors.map(\.name)) == Set(names)
        )
        #expect(throws: TuttiError.self) { try again.mergeAdapter() }
    }

    /// peft's rule gives the modules that the reference's configuration got, with their ranks.
    @Test(arguments: AdapterGolden.all)
    func targetsAreThoseOfPeft(_ golden: AdapterGolden) throws {
        let expected = try golden.expected()
        let model = try SentenceEncoder.load(try golden.base())
        let configuration = try AdapterConfiguration(try #require(expected["config"]?.object), isSaved: false)
        _ = try model.addAdapter(configuration, seed: 1)
        let plans = try #require(model.adapter).plans
        let modules = try #require(expected["modules"]?.array).compactMap(\.string)
        #expect(plans.keys.sorted() == modules)
        for info in try golden.saved().tensors where info.name.hasSuffix("lora_A.weight") {
            let module = info.name.dropFirst("base_model.model.".count).dropLast(".lora_A.weight".count)
            #expect(plans[String(module)]?.rank == info.shape[0] || module.contains("pooler"), "\(module)")
        }
        // The same parameters are trained: those in the file, but for a pooler's.
        let names = model.referenceNames.mapValues(\.inTransformer)
        let trained = Set(model.encoder.layout.entries.flatMap { names[$0.name] ?? [$0.name] })
        let saved = try golden.saved().tensors.map {
            let name = String($0.name.dropFirst("base_model.model.".count)).replacing(".base_layer.", with: ".")
            return name.hasSuffix(".lora_magnitude_vector") ? name + ".weight" : name
        }
        #expect(trained == Set(saved.filter { !$0.hasPrefix("pooler") }))
    }

    @Test func beginnings() throws {
        let base = Goldens.path("families/bert/model")
        let whole = try SentenceEncoder.load(base).numbers(anchors())
        func model(_ start: JSONValue, seed: UInt64 = 5) throws -> SentenceEncoder {
            let model = try SentenceEncoder.load(base)
            let settings: JSONObject = ["r": .integer(4), "init_lora_weights": start]
            #expect(try model.addAdapter(AdapterConfiguration(settings, isSaved: false), seed: seed).isEmpty)
            return model
        }
        let (a, b) = AdapterPlan.names("encoder.layer.0.attention.self.query")
        let usual = try model(.bool(true))
        #expect(try usual.numbers(anchors()) == whole)
        #expect(try values(usual, b).allSatisfy { $0 == 0 })
        let bound = 1 / Float(32).squareRoot()
        #expect(try values(usual, a).allSatisfy { abs($0) <= bound })
        #expect(try values(usual, a).contains { abs($0) > bound / 2 })
        #expect(try values(usual, a) == values(try model(.bool(true)), a))
        #expect(try values(usual, a) != values(try model(.bool(true), seed: 6), a))
        #expect(try values(usual, a) != values(usual, AdapterPlan.names("encoder.layer.0.attention.self.value").a))
        let gaussian = try model(.string("gaussian"))
        #expect(try gaussian.numbers(anchors()) == whole)
        let square = try values(gaussian, a).reduce(0) { $0 + $1 * $1 } / 128
        #expect(abs(square.squareRoot() - 0.25) < 0.08, "\(square.squareRoot()) of 1 / r")
        let decomposed = try SentenceEncoder.load(base)
        let dora: JSONObject = ["r": .integer(4), "use_dora": .bool(true)]
        _ = try decomposed.addAdapter(AdapterConfiguration(dora, isSaved: false), seed: 5)
        for (one, other) in zip(try decomposed.numbers(anchors()), whole) { #expect(abs(one - other) <= 1e-6) }
        let lengths = try values(decomposed, AdapterPlan.magnitudeName("encoder.layer.0.attention.self.query"))
        let weight = try values(decomposed, "encoder.layer.0.attention.self.query.weight")
        for (row, length) in lengths.enumerated() {
            let own = weight[row * 32..<(row + 1) * 32].reduce(0) { $0 + $1 * $1 }.squareRoot()
            #expect(abs(length - own) <= 1e-5 * own)
        }
        let random = try model(.bool(false))
        #expect(try random.numbers(anchors()) != whole)
        #expect(try values(random, b).allSatisfy { abs($0) <= 0.5 })
    }

    @Test func refusals() throws {
        func refusal(_ settings: JSONObject, of folder: String = "families/bert/model") throws -> String {
            let model = try SentenceEncoder.load(Goldens.path(folder))
            do {
                _ = try model.addAdapter(try AdapterConfiguration(settings, isSaved: false), seed: 1)
            } catch let flaw as OptionProblem {
                return "\(flaw.path): \(flaw.problem) \(flaw.hint ?? "")"
            } catch let error as TuttiError {
                #expect(error.kind == .usage && model.adapter == nil)
                return error.description
            }
            return ""
        }
        for (settings, words) in [
            (["target_modules": .array([.string("querry")])], "Did you mean 'query'?"),
            (["target_modules": .array([.string("LayerNorm")])], "is not a dense module"),
            (["target_modules": .array([.string("word_embeddings")])], "is not a dense module"),
            (["target_modules": .string("(")], "not a regular expression"),
            (["target_modules": .array([.string("query")]), "layers_to_transform": .array([.integer(7)])], "layers"),
            (["use_qalora": .bool(true)], "quantised"), (["rank": .integer(4)], "unknown key"),
            (["r": .integer(0)], "r: "), (["init_lora_weights": .string("pissa")], "gaussian"),
            (["lora_dropout": .number(1)], "lora_dropout"), (["peft_type": .string("IA3")], "another kind"),
            (["loftq_config": .object(["a": .integer(1)])], "quantised"),
        ] as [(JSONObject, String)] {
            let found = try refusal(settings)
            #expect(found.contains(words), "\(settings): \(found)")
        }
        #expect(try refusal(["use_dora": .bool(false), "eva_config": .null]).isEmpty)
        #expect(try refusal([:], of: "families/modernbert/model").contains("no usual choice"))
        #expect(try refusal([:], of: "families/nomic_bert/model").contains("no usual choice"))
        let halves: JSONObject = ["target_modules": .array([.string("q_proj")]), "bias": .string("lora_only")]
        let half = try refusal(halves, of: "families/gte/model")
        #expect(
            half.contains("lora.bias: trains the bias of layers.1.self_attn.q_proj, which is one tensor"), "\(half)")
        #expect(try refusal([:], of: "router/asymmetric/model").contains("one transformer"))

        let scratch = try TemporaryDirectory()
        let golden = try #require(AdapterGolden.all.first)
        try golden.make(scratch.path + "/model")
        let model = try SentenceEncoder.load(scratch.path + "/model")
        let twice = #expect(throws: TuttiError.self) { try model.addAdapter(AdapterConfiguration(), seed: 1) }
        #expect(twice?.description.contains("one at most") == true)
    }

    /// A damaged folder is bad data with the place, a missing base model a missing file.
    @Test func damagedFolders() throws {
        let golden = try #require(AdapterGolden.all.first { $0.name == "bert" })
        func refusal(_ change: (String) throws -> Void) throws -> TuttiError? {
            let scratch = try TemporaryDirectory()
            try golden.make(scratch.path + "/model")
            try change(scratch.path + "/model")
            do { _ = try SentenceEncoder.load(scratch.path + "/model") } catch { return error }
            return nil
        }
        func setting(_ key: String, _ value: JSONValue) -> (String) throws -> Void {
            { folder in
                let path = folder + "/adapter_config.json"
                var object = try #require(try JSONValue.parse(file: path).object)
                object[key] = value
                try JSONValue.object(object).serialized().write(toFile: path, atomically: true, encoding: .utf8)
            }
        }
        #expect(try refusal { _ in } == nil)
        let missing = try refusal(setting("base_model_name_or_path", .string("/no/such/folder")))
        #expect(missing?.kind == .missingFile && missing?.description.contains("base_model_name_or_path") == true)
        #expect(try refusal(setting("peft_type", .string("IA3")))?.kind == .data)
        #expect(try refusal(setting("use_qalora", .bool(true)))?.description.contains("quantised") == true)
        #expect(try refusal(setting("use_dora", .bool(true)))?.description.contains("lora_magnitude_vector") == true)
        #expect(
            try refusal(setting("new_method", .object(["a": .integer(1)])))?.description.contains("new_method") == true)
        #expect(try refusal(setting("bias", .string("all")))?.description.contains("missing") == true)
        let other = try refusal(setting("base_model_name_or_path", .string(Goldens.path("families/qwen3/model"))))
        #expect(other?.kind == .data && other?.description.contains("no adapter of a dense module") == true)
        #expect(try refusal(setting("r", .integer(5)))?.kind == .data)
        #expect(
            try refusal { try FileManager.default.removeItem(atPath: $0 + "/adapter_model.safetensors") }?.kind
                == .missingFile)
    }
}

extension SentenceEncoder {
    /// All numbers of the embeddings of `texts`, row by row.
    func numbers(_ texts: [String]) throws -> [Float] {
        let embeddings = try encode(texts)
        return (0..<embeddings.count).flatMap { Array(embeddings[$0]) }
    }
}
