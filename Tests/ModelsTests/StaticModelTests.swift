// Static embedding models: both layouts and model2vec's files against the reference (Golden/static_models.py), what is
// saved, new ones, and what is refused.

import Foundation
import TestSupport
import Testing
import TuttiFormats
import TuttiGround
import TuttiModels

@Suite struct StaticModelTests {
    private static let folder = Goldens.path("static-models")

    /// Runs `body` with a writable copy of a golden folder, the tokenizer put back.
    private func with<T>(_ name: String, _ body: (String) throws -> T) throws -> T {
        try withTemporaryDirectory { scratch in
            let (model, files) = (scratch + "/model", FileManager.default)
            try files.copyItem(atPath: Self.folder + "/" + name, toPath: model)
            if name != "older" {
                try files.copyItem(atPath: Self.folder + "/tokenizer.json", toPath: model + "/tokenizer.json")
            }
            return try body(model)
        }
    }

    private func expected(_ name: String) throws -> [Float] {
        try SafetensorsFile(path: Self.folder + "/embeddings.safetensors").floats(name)
    }

    @Test(arguments: ["root", "dense", "older", "model2vec"])
    func embeddingsEqualTheReference(_ name: String) throws {
        try with(name) { path in
            let model = try SentenceEncoder.load(path)
            let texts = try GoldenModels.texts()
            let found = try model.encode(texts)
            #expect(largestDifference(found.flattened, try expected(name)) <= 1e-6)
            #expect(model.lengthLimit == (name == "older" ? 5 : nil))
            let saved = path + "-saved"
            try FileManager.default.createDirectory(atPath: saved, withIntermediateDirectories: true)
            try model.save(to: saved, card: nil)
            let names = try FileManager.default.contentsOfDirectory(atPath: saved)
            #expect(!names.contains("config.json") && names.contains("tokenizer.json"))
            #expect(try SafetensorsFile(path: saved + "/model.safetensors").tensors.map(\.name) == ["embedding.weight"])
            #expect(try SentenceEncoder.load(saved).encode(texts).flattened == found.flattened)
        }
    }

    @Test func anEmptyTextIsTheZeroVector() throws {
        try with("model2vec") { path in
            let model = try SentenceEncoder.load(path)
            #expect(try model.encode([""]).flattened.allSatisfy { $0 == 0 })
            #expect(
                model.moduleNames == ["StaticEmbedding", "Normalize"] && model.architectureName == "StaticEmbedding")
            #expect(model.encoder.layerCount == 0 && model.modelCardFacts().maximumLength == nil)
        }
    }

    @Test func aNewModelIsAFunctionOfItsSeed() throws {
        try withTemporaryDirectory { scratch in
            func make(_ name: String, seed: UInt64) throws -> [Float] {
                let rows = try StaticModel.make(
                    scratch + "/" + name, tokenizer: Self.folder, dimension: 20, seed: seed)
                let model = try SentenceEncoder.load(scratch + "/" + name)
                #expect(model.dimension == 20 && model.encoder.plan.vocabularySize == rows)
                return withExtendedLifetime(model) { Array(model.encoder.parameters.values) }
            }
            let (one, same, other) = (try make("one", seed: 1), try make("same", seed: 1), try make("other", seed: 2))
            #expect(one == same && one != other)
            let mean = one.reduce(0, +) / Float(one.count)
            let square = one.reduce(0) { $0 + $1 * $1 } / Float(one.count)
            #expect(abs(mean) < 0.05 && abs(square - 1) < 0.06)
            let error = #expect(throws: TuttiError.self) { try make("one", seed: 3) }
            #expect(error?.kind == .usage)
        }
    }

    /// The error of a model2vec folder with other tensors.
    private func failure(_ tensors: [(String, TensorType, [Int], [UInt8])]) throws -> TuttiError? {
        try with("model2vec") { path in
            let copies = tensors.map { tensor in
                let copy = UnsafeMutableRawBufferPointer.allocate(byteCount: tensor.3.count, alignment: 8)
                copy.copyBytes(from: tensor.3)
                return copy
            }
            defer { copies.forEach { $0.deallocate() } }
            try SafetensorsWriter.write(
                path: path + "/model.safetensors",
                tensors: zip(tensors, copies).map { ($0.0, $0.1, $0.2, UnsafeRawBufferPointer($1)) })
            do {
                _ = try SentenceEncoder.load(path)
                return nil
            } catch let error as TuttiError { return error }
        }
    }

    @Test func brokenTablesAreTold() throws {
        let rows = [UInt8](repeating: 0, count: 4 * 2 * 16)  // [2, 16] of F32
        for (tensors, word) in [
            ([("other", .f32, [2, 16], rows)], "has no tensor 'embedding.weight'"),
            ([("embeddings", .f32, [32], rows)], "where a table is needed"),
            ([("embedding.weight", .f32, [32], rows)], "where a table [tokens, width] is needed"),
            ([("embeddings", .f32, [2, 16], rows), ("mapping", .u8, [3], [0, 1, 2])], "holds 2.0 at [2]"),
            ([("embeddings", .f32, [2, 16], rows), ("mapping", .i8, [2], [0, 255])], "holds -1.0 at [1]"),
            (
                [("embeddings", .f32, [2, 16], rows), ("weights", .u8, [3], [1, 1, 1])],
                "where one number a token is needed: [2]"
            ),
            ([("embeddings", .f32, [2, 16], rows)], "the tokenizer has the id"),
            ([("embeddings", .bool, [2, 16], Array(rows.prefix(32)))], "BOOL"),
        ] as [([(String, TensorType, [Int], [UInt8])], String)] {
            let error = try failure(tensors)
            #expect(
                error?.kind == .data && error?.description.contains(word) == true,
                "\(word): \(String(describing: error))")
        }
    }

    @Test(arguments: [
        ("CLIPModel", "encodes images"), ("Nothing", "the first module is 'Nothing'"),
    ])
    func otherFirstModulesAreRefusedWithAReason(_ name: String, _ word: String) throws {
        try with("root") { path in
            let file = path + "/modules.json"
            let text = try String(contentsOfFile: file, encoding: .utf8)
            try AtomicWrite.file(
                path: file,
                text: text.replacing(/"sentence_transformers[a-z_.]*StaticEmbedding"/, with: "\"models.\(name)\""))
            let error = #expect(throws: TuttiError.self) { try SentenceEncoder.load(path) }
            #expect(error?.kind == .data && error?.problem.contains(word) == true, "\(String(describing: error))")
        }
    }

    @Test(arguments: ["Pooling", "WordWeights", "CNN", "LSTM", "WeightedLayerPooling", "StaticEmbedding"])
    func modulesThatNeedTokenVectorsAreRefused(_ name: String) throws {
        try with("root") { path in
            let file = path + "/modules.json"
            let text = try String(contentsOfFile: file, encoding: .utf8)
            #expect(text.contains("Normalize\""))
            try AtomicWrite.file(path: file, text: text.replacing(/\.Normalize"/, with: ".\(name)\""))
            let folder = path + "/1_Normalize"
            try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
            for file in ["config.json", "cnn_config.json", "lstm_config.json"] {
                try AtomicWrite.file(
                    path: folder + "/" + file,
                    text: """
                        {"word_embedding_dimension": 20, "in_word_embedding_dimension": 20, "hidden_dim": 4,
                         "vocab": ["a"], "word_weights": {}}
                        """)
            }
            let error = #expect(throws: TuttiError.self) { try SentenceEncoder.load(path) }
            #expect(error?.kind == .data && error?.problem.contains(name) == true, "\(String(describing: error))")
        }
    }
}
