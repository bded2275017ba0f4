// Every broken folder is told with its kind, file and place.

import Foundation
import TestSupport
import Testing
import TuttiFormats
import TuttiGround
import TuttiModels

@Suite struct ModelErrorTests {
    /// Loads a golden folder after `change` and returns the error.
    private func failure(
        _ name: String = "bert-mean-normalize", overrides: JSONObject? = nil, _ change: (String) throws -> Void
    ) throws -> TuttiError? {
        try GoldenModels.with(name) { path in
            try change(path)
            do {
                _ = try SentenceEncoder.load(path, configOverrides: overrides)
                return nil
            } catch let error as TuttiError { return error }
        }
    }

    private func edit(_ path: String, _ old: String, _ new: String) throws {
        let text = String(decoding: FileManager.default.contents(atPath: path) ?? Data(), as: UTF8.self)
        #expect(text.contains(old))
        try AtomicWrite.file(path: path, text: text.replacingOccurrences(of: old, with: new))
    }

    @Test(arguments: ["config.json", "model.safetensors", "tokenizer.json", "1_Pooling/config.json"])
    func missingFile(_ name: String) throws {
        let error = try failure { try FileManager.default.removeItem(atPath: $0 + "/" + name) }
        #expect(error?.kind == .missingFile && error?.description.contains(name) == true)
    }

    @Test func pickleThatIsNone() throws {
        let error = try failure {
            try FileManager.default.moveItem(atPath: $0 + "/model.safetensors", toPath: $0 + "/pytorch_model.bin")
        }
        #expect(error?.kind == .data && error?.problem.contains("not a torch checkpoint") == true)
        #expect(error?.subject.hasSuffix("pytorch_model.bin") == true && error?.hint != nil)
    }

    @Test func truncatedWeights() throws {
        let error = try failure { path in
            let bytes = FileManager.default.contents(atPath: path + "/model.safetensors") ?? Data()
            try bytes.prefix(bytes.count / 2).write(to: URL(fileURLWithPath: path + "/model.safetensors"))
        }
        #expect(error?.kind == .data && error?.description.contains("model.safetensors") == true)
    }

    @Test func wrongShape() throws {
        let error = try failure(overrides: ["intermediate_size": .integer(64)]) { _ in }
        #expect(
            error?.kind == .data && error?.problem.contains("[48") == true && error?.problem.contains("[64") == true)
    }

    @Test func missingTensors() throws {
        let error = try failure(overrides: ["num_hidden_layers": .integer(3)]) { _ in }
        #expect(error?.kind == .data && error?.problem.contains("16 of") == true)
        #expect(error?.problem.contains("encoder.layer.2.") == true)
    }

    @Test func weightsThatAreNotNumbers() throws {
        let error = try failure { path in
            let file = try SafetensorsFile(path: path + "/model.safetensors")
            var values = try file.floats("encoder.layer.1.output.dense.weight")
            values[2 * 48 + 5] = .nan
            let bytes = try Dictionary(
                uniqueKeysWithValues: file.tensors.map { ($0.name, Array(try file.rawBytes($0.name))) })
            try values.withUnsafeBytes { changed in
                var tensors: [SafetensorsWriter.Tensor] = []
                for info in file.tensors {
                    let kept = UnsafeMutableRawBufferPointer.allocate(
                        byteCount: bytes[info.name]?.count ?? 0, alignment: 8)
                    kept.copyBytes(
                        from: info.name == "encoder.layer.1.output.dense.weight"
                            ? Array(changed) : bytes[info.name] ?? [])
                    tensors.append((info.name, info.dtype, info.shape, UnsafeRawBufferPointer(kept)))
                }
                try SafetensorsWriter.write(path: path + "/model.safetensors", tensors: tensors)
                for tensor in tensors { tensor.bytes.deallocate() }
            }
        }
        #expect(error?.kind == .data && error?.problem.contains("encoder.layer.1.output.dense.weight") == true)
        #expect(error?.problem.contains("[2, 5]") == true)
    }

    @Test func unknownNames() throws {
        let architecture = try failure {
            try edit($0 + "/config.json", "\"model_type\": \"bert\"", "\"model_type\": \"bart\"")
        }
        #expect(architecture?.kind == .data && architecture?.description.contains("mpnet") == true)
        let pooling = try failure { try edit($0 + "/1_Pooling/config.json", "\"mean\"", "\"meen\"") }
        #expect(pooling?.kind == .data && pooling?.hint?.contains("'mean'") == true)
        let module = try failure { try edit($0 + "/modules.json", "Normalize\"", "Normalise\"") }
        #expect(module?.kind == .data && module?.hint?.contains("Normalize") == true)
        let similarity = try failure { try edit($0 + "/config_sentence_transformers.json", "\"cosine\"", "\"cosin\"") }
        #expect(similarity?.kind == .data && similarity?.hint?.contains("cosine") == true)
    }

    @Test func unknownOverride() throws {
        let error = try failure(overrides: ["hidden_dropout": .number(0)]) { _ in }
        #expect(error?.kind == .usage && error?.hint?.contains("hidden_dropout_prob") == true)
    }

    /// Every key of a family is refused with file and key where its value is of another type or out of its bounds.
    @Test(arguments: [
        ("vocab_size", JSONValue.string("many"), "expected a whole number"), ("vocab_size", .null, "is missing"),
        ("num_hidden_layers", .integer(0), "0 is below 1"), ("layer_norm_eps", .integer(0), "is not a positive number"),
        ("layer_norm_eps", .string("1e-12"), "expected a number"), ("hidden_dropout_prob", .integer(1), "below 1"),
        ("hidden_act", .string("prelu"), "unknown activation 'prelu'"),
        ("type_vocab_size", .integer(0), "0 is below 1"),
        ("position_embedding_type", .string("relative_key"), "only \"absolute\" can be computed"),
        ("is_decoder", .bool(true), "only encoders"), ("add_cross_attention", .bool(true), "only encoders"),
        ("pad_token_id", .integer(-1), "outside of the vocabulary"),
    ])
    func wrongValues(_ key: String, _ value: JSONValue, _ problem: String) throws {
        let error = try failure(overrides: [key: value]) { _ in }
        #expect(error?.kind == .data && error?.subject.hasSuffix("config.json: \(key)") == true, "\(error as Any)")
        #expect(error?.problem.contains(problem) == true, "\(error as Any)")
    }

    @Test func keysOfTheFamilyCanBeOverridden() throws {
        let known = try failure(overrides: ["initializer_range": .number(0.5)]) {
            try edit($0 + "/config.json", "\"initializer_range\": 0.02,", "")
        }
        #expect(known == nil, "the file leaves the key out, but its family has it")
        let error = try failure("mpnet-mean-normalize", overrides: ["type_vocab_sise": .integer(2)]) { _ in }
        #expect(error?.kind == .usage && error?.subject == "config_overrides.type_vocab_sise")
    }

    @Test func hubIdentifiers() throws {
        try withTemporaryDirectory { cache in
            let snapshot = cache + "/models--sentence-transformers--tiny/snapshots/abc"
            try FileManager.default.createDirectory(atPath: snapshot, withIntermediateDirectories: true)
            let references = cache + "/models--sentence-transformers--tiny/refs"
            try FileManager.default.createDirectory(atPath: references, withIntermediateDirectories: true)
            try AtomicWrite.file(path: references + "/main", text: "abc\n")
            let offline = ["HF_HUB_CACHE": cache, "HF_HUB_OFFLINE": "1"]
            #expect(try ModelHub.resolve("tiny", environment: offline) == snapshot)
            #expect(throws: TuttiError.self) {
                try ModelHub.resolve("org/absent", environment: offline)
            }
        }
    }
}
