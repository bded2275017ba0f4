// Exported models in onnxruntime, and in sentence-transformers' ONNX backend, which Tests/Golden/check_onnx.py runs in the
// environment TUTTI_ONNX: the embeddings are the model's own.

import Foundation
import TestSupport
import Testing
import TuttiFormats
import TuttiGround
import TuttiModels

private let environment = Reference.variable("TUTTI_ONNX")

@Suite(.enabled(if: environment != nil, "needs TUTTI_ONNX")) struct ONNXRuntimeTests {
    /// Texts of one to some forty words; the last one is past the length of most tiny models.
    private static func texts() throws -> [String] {
        let rows = try String(contentsOfFile: Goldens.path("families/rows/pairs.jsonl"), encoding: .utf8)
        let anchors = try rows.split(separator: "\n").prefix(7).map {
            try JSONValue.parse(String($0), source: "pairs")["anchor"]?.string ?? ""
        }
        return ["a"] + anchors + [anchors.joined(separator: " "), anchors[0] + " " + anchors[1], anchors[2]]
    }

    /// One model to be checked.
    private struct Case {
        let name: String
        let path: String
        var longest = ONNXFile.longest
    }

    /// The largest differences, by model and what was compared.
    private func check(_ cases: [Case]) throws -> JSONValue {
        try withTemporaryDirectory { folder in
            let texts = try Self.texts()
            var models = JSONObject()
            for one in cases {
                let model = try SentenceEncoder.load(one.path)
                let own = folder + "/" + one.name
                try FileManager.default.createDirectory(atPath: own, withIntermediateDirectories: true)
                try model.saveWithONNX(to: own, quantization: .int8, longest: one.longest)
                try FileManager.default.createDirectory(atPath: own + "-int4", withIntermediateDirectories: true)
                try model.saveWithONNX(to: own + "-int4", quantization: .int4, longest: one.longest)
                let embeddings = try model.encode(texts)
                let values = embeddings.flattened
                try values.withUnsafeBytes { bytes in
                    try SafetensorsWriter.write(
                        path: own + ".safetensors",
                        tensors: [("embeddings", .f32, [embeddings.count, embeddings.dimension], bytes)], metadata: [:])
                }
                let settings = try? JSONValue.parse(file: own + "/config.json")
                let ids = texts.map { text in
                    let ids = model.tokenizer.encode(
                        text, maximumLength: model.maximumLength,
                        addSpecialTokens: model.inputs[0].directory.input.addsSpecialTokens)
                    return JSONValue.array(ids.map { .integer(Int64($0)) })
                }
                models.set(
                    one.name,
                    .object([
                        "ids": .array(ids), "padding": .integer(Int64(settings?["pad_token_id"]?.int ?? 0)),
                    ]))
            }
            let all: JSONObject = ["texts": .array(texts.map { .string($0) }), "models": .object(models)]
            try Data(JSONValue.object(all).serialized().utf8).write(to: URL(fileURLWithPath: folder + "/cases.json"))
            try Reference.run("check_onnx.py", [folder], environment: "TUTTI_ONNX")
            return try JSONValue.parse(file: folder + "/found.json")
        }
    }

    /// Holds what was found to the bounds; `isClosed` = sentence-transformers does not open such a folder.
    private func hold(
        _ found: JSONValue?, _ name: String, isClosed: Bool = false, leastCosine: Double, leastOfFourBits: Double
    ) throws {
        let found = try #require(found)
        #expect(try #require(found["runtime"]?.double) <= 1e-5, "\(name)")
        #expect(try #require(found["unmasked"]?.double) > 1e-3, "\(name)")
        #expect(try #require(found["bytes"]?.double) > leastCosine, "\(name)")
        #expect(try #require(found["four_bits"]?.double) > leastOfFourBits, "\(name)")
        #expect(try #require(found["unpacked"]?.double) > 0.999, "\(name)")
        #expect(try #require(found["swapped"]?.double) < 0.9, "\(name): the control")
        #expect((found["closed"] != nil) == isClosed, "\(name): \(found["closed"]?.string ?? "")")
        if isClosed { return }
        #expect(try #require(found["torch"]?.double) <= 1e-5, "\(name)")
        // transformers builds Qwen2's own tokenizer in place of the tiny model's: to it other texts.
        if name != "qwen2" { #expect(try #require(found["backend"]?.double) <= 1e-5, "\(name)") }
    }

    @Test func realRuntimesComputeTheFamilies() throws {
        let families = ONNXExportTests.families
        #expect(families.count >= 27)
        let found = try check(
            families.map { name in
                Case(
                    name: name, path: Goldens.path("families/\(name)/model"),
                    longest: name == "bert" ? 1000 : ONNXFile.longest)
            })
        for name in families {
            // Its architecture is code of its own repository, which the reference's library does not have.
            // The embeddings of the tiny T5 change most, in bytes too.
            try hold(
                found[name], name, isClosed: name.hasPrefix("jina_bert"), leastCosine: 0.99,
                leastOfFourBits: name == "t5" ? 0.85 : 0.9)
        }
        // Their tokenizers pad on the left.
        for name in ["gemma3", "llama", "mistral", "qwen2", "qwen3"] {
            #expect(try #require(found[name]?["left"]?.double) <= 1e-5, "\(name)")
        }
        #expect(try #require(found["bert"]?["left"]?.double) > 1e-3, "a table of positions counts from the left")
    }

    /// All modes of pooling, and the modules after it.
    @Test func realRuntimesPool() throws {
        try withTemporaryDirectory { folder in
            var cases: [Case] = []
            for name in ["cls-max", "dense", "dense-layernorm", "weighted-last"] {
                let copy = folder + "/" + name
                try GoldenModels.with("bert-" + name) { try FileManager.default.copyItem(atPath: $0, toPath: copy) }
                cases.append(Case(name: name, path: copy))
            }
            let found = try check(cases)
            for one in cases { try hold(found[one.name], one.name, leastCosine: 0.99, leastOfFourBits: 0.9) }
        }
    }

    /// A table and a mean; sentence-transformers computes such a model without ONNX.
    @Test func realRuntimesComputeAStaticModel() throws {
        try withTemporaryDirectory { folder in
            let model = folder + "/static"
            try FileManager.default.copyItem(atPath: Goldens.path("static-models/dense"), toPath: model)
            try FileManager.default.copyItem(
                atPath: Goldens.path("static-models/tokenizer.json"), toPath: model + "/tokenizer.json")
            let found = try check([Case(name: "static", path: model)])["static"]
            try hold(found, "static", leastCosine: 0.99, leastOfFourBits: 0.99)
        }
    }

    /// Models as they are published, with weights beside which a mistake of the tiny ones would not be small.
    @Test(.enabled(if: Reference.variable("TUTTI_REAL_MODELS") != nil, "needs TUTTI_REAL_MODELS"))
    func realRuntimesComputeRealModels() throws {
        let root = try #require(Reference.variable("TUTTI_REAL_MODELS"))
        let names = ["minilm", "mpnet"]
        let found = try check(names.map { Case(name: $0, path: "\(root)/\($0)") })
        for name in names { try hold(found[name], name, leastCosine: 0.98, leastOfFourBits: 0.94) }
    }
}
