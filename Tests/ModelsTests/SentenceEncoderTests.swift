// Embeddings equal the reference's on folders of both layouts, all heads and types; loading and saving keeps tensors.

import Foundation
import TestSupport
import Testing
import TuttiEnsemble
import TuttiFormats
import TuttiGround
import TuttiModels

@Suite struct SentenceEncoderTests {
    static let names = [
        "bert-plain", "mpnet-plain", "bert-mean-normalize", "bert-cls-max", "bert-dense", "bert-dense-layernorm",
        "bert-weighted-last", "mpnet-mean-normalize", "bert-prompt", "bert-old-layout", "bert-float16", "bert-bfloat16",
    ]

    @Test(arguments: names) func embeddingsEqualTheReference(_ name: String) throws {
        try GoldenModels.with(name) { path in
            let model = try SentenceEncoder.load(path)
            let found = try model.encode(GoldenModels.texts())
            #expect(largestDifference(found.flattened, try GoldenModels.embeddings(name)) <= 1e-5)
        }
    }

    @Test func promptsAreLeftOutAsTheReferenceCountsThem() throws {
        try GoldenModels.with("bert-prompt") { path in
            let model = try SentenceEncoder.load(path)
            #expect(model.similarity == "dot" && !model.includesPrompt)
            let texts = try GoldenModels.texts()
            let none = try model.encode(texts, prompt: "")
            #expect(largestDifference(none.flattened, try GoldenModels.embeddings("bert-prompt-none")) <= 1e-5)
            let document = try model.encode(texts, prompt: model.documentPrompt)
            #expect(largestDifference(document.flattened, try GoldenModels.embeddings("bert-prompt-document")) <= 1e-5)
            #expect(largestDifference(none.flattened, document.flattened) > 1e-3)
        }
    }

    @Test func batchesAndRanksDoNotMatter() throws {
        try GoldenModels.with("bert-mean-normalize") { path in
            let texts = try GoldenModels.texts()
            let whole = try SentenceEncoder.load(path).encode(texts)
            let small = try SentenceEncoder.load(path).encode(texts, tokensPerBatch: 1)
            #expect(largestDifference(whole.flattened, small.flattened) <= 1e-6)
            let worlds = try withEvery(world: 2...4) { ensemble in
                try SentenceEncoder.load(path).encode(texts, ensemble: ensemble).flattened
            }
            for rows in worlds.values.joined() { #expect(largestDifference(whole.flattened, rows) <= 1e-6) }
        }
    }

    @Test func shardedWeightsAreRead() throws {
        try GoldenModels.with("bert-mean-normalize") { path in
            let file = try SafetensorsFile(path: path + "/model.safetensors")
            var map = JSONObject()
            for part in 0..<2 {
                var tensors: [SafetensorsWriter.Tensor] = []
                for (place, info) in file.tensors.enumerated() where place % 2 == part {
                    tensors.append((info.name, info.dtype, info.shape, try file.rawBytes(info.name)))
                    map.set(info.name, .string("model-\(part).safetensors"))
                }
                try SafetensorsWriter.write(path: path + "/model-\(part).safetensors", tensors: tensors)
            }
            try AtomicWrite.file(
                path: path + "/model.safetensors.index.json",
                text: JSONValue.object(["weight_map": .object(map)]).serialized())
            try FileManager.default.removeItem(atPath: path + "/model.safetensors")
            let found = try SentenceEncoder.load(path).encode(GoldenModels.texts())
            #expect(largestDifference(found.flattened, try GoldenModels.embeddings("bert-mean-normalize")) <= 1e-5)
        }
    }

    @Test(arguments: ["bert-dense-layernorm", "mpnet-mean-normalize", "bert-prompt", "bert-old-layout"])
    func savingKeepsTensorsAndMeaning(_ name: String) throws {
        try GoldenModels.with(name) { path in
            let model = try SentenceEncoder.load(path)
            let saved = path + "-saved"
            try FileManager.default.createDirectory(atPath: saved, withIntermediateDirectories: true)
            try model.save(to: saved, card: nil)
            let (before, after) = (
                FileManager.default.contents(atPath: path + "/model.safetensors"),
                FileManager.default.contents(atPath: saved + "/model.safetensors")
            )
            #expect(before != nil && before == after)
            let again = try SentenceEncoder.load(saved)
            #expect(again.maximumLength == model.maximumLength && again.similarity == model.similarity)
            let texts = try GoldenModels.texts()
            let (one, two) = (try model.encode(texts), try again.encode(texts))
            #expect(
                largestDifference(one.flattened, two.flattened) == 0,
                "\(largestDifference(one.flattened, two.flattened))")
        }
    }

    @Test func halfPrecisionIsSavedAsSingleWithTheTypeCorrected() throws {
        try GoldenModels.with("bert-float16") { path in
            let text = String(
                decoding: FileManager.default.contents(atPath: path + "/config.json") ?? Data(), as: UTF8.self)
            try AtomicWrite.file(
                path: path + "/config.json", text: text.replacingOccurrences(of: "\"float32\"", with: "\"float16\""))
            let saved = path + "-saved"
            try FileManager.default.createDirectory(atPath: saved, withIntermediateDirectories: true)
            try SentenceEncoder.load(path).save(to: saved, card: "card")
            let configuration = try JSONValue.parse(file: saved + "/config.json")
            #expect((configuration["dtype"] ?? configuration["torch_dtype"])?.string == "float32")
            #expect(
                try SafetensorsFile(path: saved + "/model.safetensors").info("embeddings.LayerNorm.bias")?.dtype == .f32
            )
        }
    }
}
