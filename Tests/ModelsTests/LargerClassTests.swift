// Checkpoints of classes that hold an encoder and more (a decoder, a language model's head): what is saved is the encoder,
// and config.json says so, as in the reference.

import Foundation
import TestSupport
import Testing
import TuttiFormats
import TuttiGround
import TuttiModels

@Suite struct LargerClassTests {
    /// The names in a saved folder, and its config.json, of the golden family `family` whose file also holds `others` and
    /// whose encoder's names begin with `prefix`.
    private func saved(
        _ family: String, _ others: [String], prefix: String = "", architecture: String
    ) throws -> (names: [String], own: [String], configuration: JSONObject) {
        try withTemporaryDirectory { folder in
            let (source, target) = (folder + "/source", folder + "/target")
            try FileManager.default.copyItem(atPath: Goldens.path("families/\(family)/model"), toPath: source)
            try FileManager.default.createDirectory(atPath: target, withIntermediateDirectories: true)
            let file = try SafetensorsFile(path: source + "/model.safetensors")
            let own = file.tensors.map { prefix + $0.name }
            let extra = [Float](repeating: 1, count: 6)
            try extra.withUnsafeBytes { extra in
                var tensors: [SafetensorsWriter.Tensor] = []
                for info in file.tensors {
                    tensors.append((prefix + info.name, info.dtype, info.shape, try file.rawBytes(info.name)))
                }
                for name in others { tensors.append((name, .f32, [2, 3], extra)) }
                try SafetensorsWriter.write(path: folder + "/more.safetensors", tensors: tensors)
            }
            try FileManager.default.removeItem(atPath: source + "/model.safetensors")
            try FileManager.default.moveItem(
                atPath: folder + "/more.safetensors", toPath: source + "/model.safetensors")
            var configuration = try #require(try JSONValue.parse(file: source + "/config.json").object)
            configuration["architectures"] = .array([.string(architecture)])
            try AtomicWrite.file(path: source + "/config.json", text: JSONValue.object(configuration).serialized())
            try SentenceEncoder.load(source).save(to: target, card: nil)
            let names = try SafetensorsFile(path: target + "/model.safetensors").tensors.map(\.name)
            return (names, own, try #require(try JSONValue.parse(file: target + "/config.json").object))
        }
    }

    /// Half of a T5 is a decoder.
    @Test(arguments: [("t5", "T5EncoderModel"), ("mt5", "MT5EncoderModel"), ("umt5", "UMT5EncoderModel")])
    func aDecoderIsNotSaved(_ family: String, _ encoder: String) throws {
        let others = [
            "decoder.block.0.layer.0.SelfAttention.q.weight", "decoder.final_layer_norm.weight", "lm_head.weight",
        ]
        let result = try saved(family, others, architecture: "T5ForConditionalGeneration")
        #expect(result.names.sorted() == result.own.sorted())
        #expect(result.configuration["architectures"] == .array([.string(encoder)]))
    }

    @Test func aHeadIsNotSaved() throws {
        let result = try saved("bert", ["cls.predictions.bias"], prefix: "bert.", architecture: "BertForMaskedLM")
        #expect(result.names.sorted() == result.own.sorted())
        #expect(result.configuration["architectures"] == .array([.string("BertModel")]))
    }

    /// A file of the encoder alone keeps its configuration, and what it holds beside the parameters.
    @Test func anEncoderKeepsWhatItHolds() throws {
        let result = try saved("t5", [], architecture: "HouseModel")
        #expect(result.configuration["architectures"] == .array([.string("HouseModel")]))
        let pooled = try saved("bert", ["pooler.extra.weight"], architecture: "HouseModel")
        #expect(pooled.names.contains("pooler.extra.weight"))
        #expect(pooled.configuration["architectures"] == .array([.string("HouseModel")]))
    }
}
