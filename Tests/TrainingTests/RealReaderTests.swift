// Folders that Tutti trained and saved, opened by the reference itself (launch/test --real): adapters by sentence-transformers
// and by peft, models of words and with modules over tokens by sentence-transformers. It gives the same embeddings.

import Foundation
import TestSupport
import Testing
import TuttiEnsemble
import TuttiFormats
import TuttiGround
import TuttiModels
import TuttiTraining

@Suite(.serialized, .enabled(if: Reference.isThere, "launch/test --real has the readers")) struct RealReaderTests {
    /// A folder for the reference, and what Tutti gives for it.
    private struct Case {
        let name: String
        let path: String
        var base: String?
        let texts: [String]
        let embeddings: [Float]

        init(_ name: String, _ path: String, base: String? = nil, texts: [String]) throws {
            (self.name, self.path, self.base, self.texts) = (name, path, base, texts)
            embeddings = try SentenceEncoder.load(path).encode(texts).flattened
        }

        var json: JSONValue {
            var object: JSONObject = [
                "name": .string(name), "path": .string(path), "texts": .array(texts.map(JSONValue.string)),
            ]
            object["base"] = base.map(JSONValue.string)
            return .object(object)
        }
    }

    /// Asks the reference, and compares: 2e-6 of the largest number, or of 1.
    private func compare(_ cases: [Case], in folder: String) throws {
        try AtomicWrite.file(path: folder + "/cases.json", text: JSONValue.array(cases.map(\.json)).serialized())
        try Reference.run("real_readers.py", [folder])
        for own in cases {
            for reader in own.base == nil ? [""] : ["", "-peft"] {
                let wanted = try SafetensorsFile(path: "\(folder)/\(own.name)\(reader).safetensors").floats(
                    "embeddings")
                let scale = Double(wanted.map(abs).max() ?? 0)
                #expect(scale > 0.01 && wanted.count == own.embeddings.count)
                let difference = largestDifference(own.embeddings, wanted)
                print("\(own.name)\(reader): largest difference \(difference) of \(scale)")
                #expect(difference <= 2e-6 * max(1, scale), "\(own.name)\(reader): \(difference)")
            }
        }
    }

    /// Eight steps; the folder that they end in.
    private func train(
        _ name: String, model: String, in folder: String, args: JSONObject, more: JSONObject = JSONObject()
    ) throws -> String {
        let configuration = try GoldenRun.configuration(model: model, "\(folder)/\(name)", args: args, more: more)
        let ensemble = LocalEnsemble.single()
        let inputs = try TrainingInputs(configuration, ensemble: ensemble)
        #expect(try Trainer(inputs, ensemble: ensemble).train() == .finished)
        return "\(folder)/\(name)/final"
    }

    private static let adapters: [(name: String, family: String, lora: JSONObject)] = [
        (
            "bert", "bert",
            [
                "target_modules": .string("all-linear"), "bias": .string("lora_only"), "use_rslora": .bool(true),
                "modules_to_save": .array([.string("embeddings.LayerNorm")]),
            ]
        ),
        ("bert-dora", "bert", ["target_modules": .string("all-linear"), "use_dora": .bool(true)]),
        ("xlm-roberta", "xlm-roberta", ["bias": .string("all")]),
        ("modernbert", "modernbert", ["target_modules": .array(["Wqkv", "Wo", "Wi"].map(JSONValue.string))]),
        ("qwen3-dora", "qwen3", ["target_modules": .string("all-linear"), "use_dora": .bool(true)]),
        ("deberta-v2-xlarge", "deberta-v2-xlarge", [:]),
    ]

    @Test func realReadersOpenTrainedAdapters() throws {
        try withTemporaryDirectory { folder in
            let text = try String(contentsOfFile: Goldens.path("families/rows/pairs.jsonl"), encoding: .utf8)
            let texts = try text.split(separator: "\n").prefix(12).map {
                try #require(try JSONValue.parse(String($0), source: "pairs")["anchor"]?.string)
            }
            var cases: [Case] = []
            for (name, family, settings) in Self.adapters {
                let base = Goldens.path("families/\(family)/model")
                var lora: JSONObject = ["r": .integer(4), "lora_alpha": .integer(16), "lora_dropout": .number(0.1)]
                for (key, value) in settings { lora[key] = value }
                let path = try train(
                    name, model: base, in: folder, args: ["learning_rate": .number(0.05)],
                    more: ["lora": .object(lora)])
                let own = try Case(name, path, base: base, texts: texts)
                let before = try SentenceEncoder.load(base).encode(texts).flattened
                #expect(largestDifference(own.embeddings, before) > 1e-3, "\(name) has learned nothing")
                cases.append(own)
            }
            try compare(cases, in: folder)
        }
    }

    @Test func realReadersOpenModulesOverTokens() throws {
        try withTemporaryDirectory { folder in
            var cases: [Case] = []
            for name in TokenModuleTrainingTests.models {
                let golden = Goldens.path("token-modules/\(name)")
                let expected = try JSONValue.parse(file: golden + "/expected.json")
                let texts = try #require(expected["texts"]?.array).compactMap(\.string)
                let path = try train(
                    name, model: golden + "/model", in: folder,
                    args: ["learning_rate": try #require(expected["learning_rate"])])
                cases.append(try Case(name, path, texts: texts))
            }
            // Made by Tutti, of a file of vectors and of a transformer.
            let texts = cases[0].texts
            let words = ["cece", "foce", "hace", "bafo", "gugu", "difo", "gufo"]
            let vectors = words.enumerated().map { place, word in
                ([word] + (0..<6).map { String(Double((place * 7 + $0 * 5) % 11) / 10 - 0.5) }).joined(separator: " ")
            }
            try AtomicWrite.file(path: folder + "/vectors.txt", text: vectors.joined(separator: "\n") + "\n")
            for (name, text) in [
                (
                    "made-lstm",
                    """
                    {"modules": [{"type": "WordEmbeddings", "path": "\(folder)/vectors.txt", "update_embeddings": true},
                      {"type": "LSTM", "hidden_dim": 5, "num_layers": 2, "dropout": 0.1}, "Pooling"]}
                    """
                ),
                (
                    "made-cnn",
                    """
                    {"model": "\(Goldens.path("token-modules/layers/model"))", "modules": [
                      {"type": "CNN", "out_channels": 5, "kernel_sizes": [1, 3]}, "Pooling", "Normalize"]}
                    """
                ),
            ] {
                let configuration = try TrainingConfiguration(
                    try #require(try JSONValue.parse(text, source: name).object),
                    places: ConfigurationPlaces(file: name), purpose: .model
                ) { _ in }
                let path = "\(folder)/\(name)"
                try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: false)
                try loadModel(configuration).save(to: path, card: nil)
                cases.append(try Case(name, path, texts: texts))
            }
            try compare(cases, in: folder)
        }
    }
}
