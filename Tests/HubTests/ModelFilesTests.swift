// Which files of a repository belong to a model, over layouts that occur on the hub.

import TestSupport
import Testing
import TuttiGround
import TuttiHub

@Suite struct ModelFilesTests {
    /// The names that are downloaded of a model of the files `files`.
    private func chosen(_ files: [String: String]) throws -> Set<String> {
        var names: [String] = []
        try withHub(["org/tiny": files]) { hub in
            names = try hub.downloader().model(HubReference(id: "org/tiny", revision: nil)).files
        }
        return Set(names)
    }

    @Test func shards() throws {
        let files = [
            "config.json": "{}", "model.safetensors.index.json": "{}", "model-00001-of-00002.safetensors": "a",
            "model-00002-of-00002.safetensors": "b", "pytorch_model.bin.index.json": "{}",
            "pytorch_model-00001-of-00001.bin": "c", "sentencepiece.bpe.model": "d", "model.fp16.safetensors": "e",
        ]
        #expect(
            try chosen(files) == [
                "config.json", "model.safetensors.index.json", "model-00001-of-00002.safetensors",
                "model-00002-of-00002.safetensors", "sentencepiece.bpe.model",
            ])
    }

    @Test func torchAlone() throws {
        let files = ["config.json": "{}", "pytorch_model.bin": "a", "rust_model.ot": "b", "flax_model.msgpack": "c"]
        #expect(try chosen(files) == ["config.json", "pytorch_model.bin"])
    }

    @Test func adapters() throws {
        let files = ["adapter_config.json": "{}", "adapter_model.safetensors": "a", "adapter_model.bin": "b"]
        #expect(try chosen(files) == ["adapter_config.json", "adapter_model.safetensors"])
    }

    @Test func foldersOfModulesAndOfARouter() throws {
        let old = [
            "modules.json": #"[{"path": "0_Transformer"}, {"path": "1_Pooling"}]"#, "0_Transformer/config.json": "{}",
            "0_Transformer/pytorch_model.bin": "a", "1_Pooling/config.json": "{}", "2_Other/config.json": "{}",
        ]
        #expect(try chosen(old) == Set(old.keys).subtracting(["2_Other/config.json"]))
        let router = [
            "modules.json": #"[{"path": ""}]"#,
            "router_config.json": #"{"types": {"query_0_X": "a", "document_0_X": "b"}}"#,
            "query_0_X/config.json": "{}", "query_0_X/model.safetensors": "a", "document_0_X/tokenizer.json": "{}",
            "runs/events.json": "{}",
        ]
        #expect(try chosen(router) == Set(router.keys).subtracting(["runs/events.json"]))
    }

    @Test func noModel() throws {
        let found = failure { () throws(HubFailure) in
            do { _ = try chosen(["picture.png": "a"]) } catch let error as HubFailure { throw error } catch {}
        }
        #expect(found?.error.kind == .data)
    }
}
