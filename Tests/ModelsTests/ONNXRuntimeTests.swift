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
        /// Why sentence-transformers' backend does not open it; nil = it does.
        var closed: String?
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
                        "ids": .array(ids), "padding": settings?["pad_token_id"] ?? .integer(0), "bytes": .bool(true),
                        "backend": .bool(one.closed == nil),
                    ]))
            }
            let all: JSONObject = ["texts": .array(texts.map { .string($0) }), "models": .object(models)]
            try Data(JSONValue.object(all).serialized().utf8).write(to: URL(fileURLWithPath: folder + "/cases.json"))
            try Reference.run("check_onnx.py", [folder], environment: "TUTTI_ONNX")
            return try JSONValue.parse(file: folder + "/found.json")
        }
    }

    /// Families whose config.json or tokenizer the reference's library does not open by itself.
    private static let closed: [String: String] = [:]

    @Test func realRuntimesComputeTheFamilies() throws {
        let families = ONNXExportTests.families
        #expect(families.count >= 27)
        let found = try check(
            families.map { name in
                Case(
                    name: name, path: Goldens.path("families/\(name)/model"), closed: Self.closed[name],
                    longest: name == "bert" ? 1000 : ONNXFile.longest)
            })
        for name in families {
            let one = try #require(found[name])
            #expect(try #require(one["runtime"]?.double) <= 1e-5, "\(name)")
            #expect(try #require(one["unmasked"]?.double) > 1e-3, "\(name)")
            #expect(try #require(one["bytes"]?.double) > 0.98, "\(name)")
            if Self.closed[name] == nil { #expect(try #require(one["backend"]?.double) <= 1e-5, "\(name)") }
        }
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
            let table = folder + "/static"
            try FileManager.default.copyItem(atPath: Goldens.path("static-models/dense"), toPath: table)
            try FileManager.default.copyItem(
                atPath: Goldens.path("static-models/tokenizer.json"), toPath: table + "/tokenizer.json")
            cases.append(Case(name: "static", path: table, closed: "has no transformer"))
            let found = try check(cases)
            for one in cases {
                let result = try #require(found[one.name])
                #expect(try #require(result["runtime"]?.double) <= 1e-5, "\(one.name)")
                #expect(try #require(result["unmasked"]?.double) > 1e-3, "\(one.name)")
                if one.closed == nil { #expect(try #require(result["backend"]?.double) <= 1e-5, "\(one.name)") }
            }
        }
    }
}
