// Folders whose weights are torch checkpoints: the same embeddings as from safetensors; what of a larger class's
// checkpoint is saved; pooling of folders without modules.json (files of Golden/torch_files.py).

import Foundation
import TestSupport
import Testing
import TuttiFormats
import TuttiGround
import TuttiModels

@Suite struct TorchFolderTests {
    private func put(_ name: String, _ path: String) throws {
        try FileManager.default.copyItem(atPath: Goldens.path("torch/" + name), toPath: path)
    }

    @Test func aCheckpointOfALargerClassIsReadAndTheEncoderSaved() throws {
        try GoldenModels.with("bert-plain") { path in
            try FileManager.default.removeItem(atPath: path + "/model.safetensors")
            try put("bert.bin", path + "/pytorch_model.bin")
            let model = try SentenceEncoder.load(path)
            let texts = try GoldenModels.texts()
            let found = try model.encode(texts).flattened
            #expect(largestDifference(found, try GoldenModels.embeddings("bert-plain")) <= 1e-5)
            let saved = path + "-saved"
            try FileManager.default.createDirectory(atPath: saved, withIntermediateDirectories: true)
            try model.save(to: saved, card: nil)
            let file = try SafetensorsFile(path: saved + "/model.safetensors")
            let names = file.tensors.map(\.name)
            #expect(names.allSatisfy { $0.hasPrefix("bert.") } && names.contains("bert.pooler.dense.weight"))
            let original = try SafetensorsFile(path: Goldens.path("models/bert-plain/model.safetensors"))
            #expect(names.count == original.tensors.count)
            #expect(
                try file.floats("bert.pooler.dense.weight") == original.floats("pooler.dense.weight")
                    && file.floats("bert.embeddings.LayerNorm.gamma") == original.floats("embeddings.LayerNorm.weight"))
            #expect(file.metadata == ["format": "pt"])
            #expect(try SentenceEncoder.load(saved).encode(texts).flattened == found)
        }
    }

    @Test func shardsAndDenseLayersAreRead() throws {
        try GoldenModels.with("bert-dense") { path in
            for folder in [path, path + "/2_Dense"] {
                try FileManager.default.removeItem(atPath: folder + "/model.safetensors")
            }
            for part in 1...2 {
                let name = "pytorch_model-0000\(part)-of-00002.bin"
                try put(name, path + "/" + name)
            }
            try put("pytorch_model.bin.index.json", path + "/pytorch_model.bin.index.json")
            try put("dense.bin", path + "/2_Dense/pytorch_model.bin")
            let found = try SentenceEncoder.load(path).encode(GoldenModels.texts())
            #expect(largestDifference(found.flattened, try GoldenModels.embeddings("bert-dense")) <= 1e-5)
        }
    }

    @Test func aPickleThatCallsAFunctionIsRefused() throws {
        try GoldenModels.with("bert-plain") { path in
            try FileManager.default.removeItem(atPath: path + "/model.safetensors")
            try put("function.bin", path + "/pytorch_model.bin")
            let error = #expect(throws: TuttiError.self) { try SentenceEncoder.load(path) }
            #expect(error?.kind == .data && error?.problem.contains("posix.system") == true)
        }
    }

    @Test func tiedTensorsOfSafetensorsAreOneParameter() throws {
        try GoldenModels.with("bert-plain") { path in
            let file = try SafetensorsFile(path: path + "/model.safetensors")
            let word = "embeddings.word_embeddings.weight"
            func write(_ second: UnsafeRawBufferPointer) throws {
                var tensors: [SafetensorsWriter.Tensor] = []
                for info in file.tensors {
                    tensors.append((info.name, info.dtype, info.shape, try file.rawBytes(info.name)))
                }
                tensors.append(("bert." + word, .f32, try #require(file.info(word)).shape, second))
                try SafetensorsWriter.write(path: path + "/model.safetensors", tensors: tensors)
            }
            try write(try file.rawBytes(word))
            let found = try SentenceEncoder.load(path).encode(GoldenModels.texts())
            #expect(largestDifference(found.flattened, try GoldenModels.embeddings("bert-plain")) <= 1e-5)
            let other = try file.floats(word).map { $0 + 1 }
            try other.withUnsafeBytes { try write($0) }
            let error = #expect(throws: TuttiError.self) { try SentenceEncoder.load(path) }
            #expect(error?.problem.contains("is the same parameter as") == true)
        }
    }

    @Test(arguments: [
        ("BertModel", "", "mean"), ("LlamaForCausalLM", "", "lasttoken"),
        ("LlamaForCausalLM", "\"is_causal\": false,", "mean"),
        ("LlamaForCausalLM", "\"is_causal\": true,", "lasttoken"),
    ])
    func poolingOfPlainFoldersIsThatOfTheirClass(_ name: String, _ causal: String, _ mode: String) throws {
        try GoldenModels.with("bert-plain") { path in
            let text = try String(contentsOfFile: path + "/config.json", encoding: .utf8)
            #expect(text.contains("\"BertModel\""))
            try AtomicWrite.file(
                path: path + "/config.json",
                text: text.replacing("\"BertModel\"", with: "\"\(name)\"").replacing(
                    "{\n", with: "{\n" + causal, maxReplacements: 1))
            let model = try SentenceEncoder.load(path)
            #expect(model.poolingModes == [mode])
            #expect(model.notices.contains { $0.contains(mode == "mean" ? "mean pooling" : "last token") })
        }
    }
}
