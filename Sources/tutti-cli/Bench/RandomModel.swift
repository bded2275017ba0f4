// A model with random weights, in the folder layout that every command reads: for measurements without a real model.
//
// Its vocabulary consists of syllables, so that texts can be generated from it. Speed does not depend on the weights.

import Foundation
import TuttiEncoders
import TuttiFormats
import TuttiGround
import TuttiModels

enum RandomModel {
    /// Loads a BERT model of `shape` with mean pooling; its folder is removed before this returns.
    static func load(_ shape: ModelShape) throws -> SentenceEncoder {
        let folder = FileManager.default.temporaryDirectory.path + "/tutti-bench-" + UUID().uuidString
        defer { removeFolder(folder) }
        do {
            try FileManager.default.createDirectory(
                atPath: folder + "/1_Pooling", withIntermediateDirectories: true)
        } catch {
            throw TuttiError(.retryable, "make a model", folder, "\(error.localizedDescription)")
        }
        try write(shape, to: folder)
        return try SentenceEncoder.load(folder)
    }

    /// Removes a temporary folder; a failure is reported but does not stop the run.
    static func removeFolder(_ folder: String) {
        do {
            try AtomicWrite.removeTree(folder)
        } catch {
            Output.show("tutti: error: \(error)\n", on: STDERR_FILENO)
        }
    }

    private static func write(_ shape: ModelShape, to folder: String) throws {
        var config: JSONObject = ["model_type": .string("bert"), "hidden_act": .string("gelu")]
        config.set("vocab_size", shape.vocabulary)
        config.set("hidden_size", shape.hidden)
        config.set("num_hidden_layers", shape.layers)
        config.set("num_attention_heads", shape.heads)
        config.set("intermediate_size", shape.inner)
        config.set("max_position_embeddings", shape.plan.longestSequence)
        config.set("type_vocab_size", 2)
        config.set("pad_token_id", 0)
        config["hidden_dropout_prob"] = .number(0.1)
        config["attention_probs_dropout_prob"] = .number(0.1)
        config["layer_norm_eps"] = .number(1e-12)
        var pooling: JSONObject = ["pooling_mode": .string("mean"), "include_prompt": .bool(true)]
        pooling.set("embedding_dimension", shape.hidden)
        let modules: [(String, String)] = [
            ("", "sentence_transformers.models.Transformer"), ("1_Pooling", "sentence_transformers.models.Pooling"),
        ]
        let list = modules.enumerated().map { index, module -> JSONValue in
            .object([
                "idx": .integer(Int64(index)), "name": .string("\(index)"), "path": .string(module.0),
                "type": .string(module.1),
            ])
        }
        let files: [(String, JSONValue)] = [
            ("config.json", .object(config)), ("1_Pooling/config.json", .object(pooling)),
            ("modules.json", .array(list)),
            ("sentence_bert_config.json", .object(["max_seq_length": .integer(256)])),
            (
                "tokenizer_config.json",
                .object(["do_lower_case": .bool(true), "tokenizer_class": .string("BertTokenizer")])
            ),
        ]
        for (name, value) in files {
            try AtomicWrite.file(path: folder + "/" + name, text: value.serialized(indent: 2))
        }
        try AtomicWrite.file(
            path: folder + "/vocab.txt", text: vocabulary(shape.vocabulary).joined(separator: "\n") + "\n")
        try writeWeights(shape.plan, to: folder + "/model.safetensors")
    }

    /// Special tokens, letters, continuing letters, then words of syllables, every other one also as a continuation.
    private static func vocabulary(_ count: Int) -> [String] {
        let letters = "abcdefghijklmnopqrstuvwxyz".map(String.init)
        var tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", ",", "."] + letters + letters.map { "##" + $0 }
        let syllables = "bcdfghjklmnprstvwxyz".flatMap { consonant in "aeiou".map { "\(consonant)\($0)" } }
        var number = 0
        while tokens.count < count {
            var (word, rest) = ("", number)
            repeat {
                word += syllables[rest % syllables.count]
                rest /= syllables.count
            } while rest > 0
            word += syllables[number % 7]
            tokens.append(word)
            if number % 2 == 0, tokens.count < count { tokens.append("##" + word) }
            number += 1
        }
        return tokens
    }

    private static func writeWeights(_ plan: EncoderPlan, to path: String) throws {
        let encoder = try SequenceEncoder(plan, heads: [.pooling(modes: [.mean])])
        var state: UInt64 = 7
        for entry in encoder.layout.entries {
            let values = encoder.parameters.values(of: entry)
            if entry.shape.count == 1 {
                values.update(repeating: entry.name.hasSuffix("LayerNorm.weight") ? 1 : 0)
                continue
            }
            for index in values.indices {
                state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
                values[index] = Float(Int32(truncatingIfNeeded: state >> 32)) * (0x1p-31 * 0.035)  // std 0.02
            }
        }
        try SafetensorsWriter.write(
            path: path,
            tensors: encoder.layout.entries.map { entry in
                (
                    name: entry.name, dtype: .f32, shape: entry.shape,
                    bytes: UnsafeRawBufferPointer(encoder.parameters.values(of: entry))
                )
            })
        withExtendedLifetime(encoder) {}
    }
}
