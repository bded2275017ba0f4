// Model folders that are damaged on purpose: sizes that no memory holds, ids beyond the table, paths that lead out.
// Each is refused with its file and key; none traps, takes memory, or writes outside of the folder that is saved.

import Foundation
import TestSupport
import Testing
import TuttiFormats
import TuttiGround
import TuttiModels

@Suite struct HostileModelTests {
    /// The error of loading a golden folder after `change`.
    private func failure(_ name: String = "bert-mean-normalize", _ change: (String) throws -> Void) throws
        -> TuttiError?
    {
        try GoldenModels.with(name) { path in
            try change(path)
            return loadingError(path)
        }
    }

    private func loadingError(_ path: String, overrides: JSONObject? = nil) -> TuttiError? {
        do throws(TuttiError) {
            _ = try SentenceEncoder.load(path, configOverrides: overrides)
            return nil
        } catch { return error }
    }

    /// Replaces the value of `key` in the JSON object of a file.
    private func set(_ path: String, _ key: String, _ value: JSONValue) throws {
        guard var object = try JSONValue.parse(file: path).object else { return }
        object[key] = value
        try AtomicWrite.file(path: path, text: object.serialized(indent: 2))
    }

    private func modules(_ path: String, _ paths: [String]) throws {
        let classes = ["Transformer", "Pooling", "Normalize", "Dropout"]
        let list = paths.enumerated().map { index, path in
            JSONValue.object([
                "idx": .integer(Int64(index)), "name": .string("\(index)"), "path": .string(path),
                "type": .string("sentence_transformers.models.\(classes[index])"),
            ])
        }
        try AtomicWrite.file(path: path + "/modules.json", text: JSONValue.array(list).serialized(indent: 2))
    }

    @Test(arguments: [
        "vocab_size", "num_hidden_layers", "intermediate_size", "max_position_embeddings", "type_vocab_size",
        "hidden_size",
    ])
    func sizesBeyondTheWeights(_ key: String) throws {
        for size in [Int64(1) << 31, 1 << 40, Int64.max / 16 * 16] {
            let error = try failure { try set($0 + "/config.json", key, .integer(size)) }
            #expect(error?.kind == .data && error?.description.contains(key) == true, "\(key) \(size): \(error as Any)")
        }
    }

    @Test func sizesOfModulesBeyondTheirWeights() throws {
        let error = try failure("bert-dense") {
            try set($0 + "/2_Dense/config.json", "out_features", .integer(1 << 50))
        }
        #expect(error?.kind == .data && error?.subject.contains("2_Dense/config.json") == true)
        let buckets = try failure("mpnet-mean-normalize") {
            try set($0 + "/config.json", "relative_attention_num_buckets", .integer(1 << 50))
        }
        #expect(buckets?.subject.contains("relative_attention_num_buckets") == true)
    }

    @Test(arguments: [-5, 0]) func truncationToNothing(_ width: Int64) throws {
        let error = try failure { try set($0 + "/config_sentence_transformers.json", "truncate_dim", .integer(width)) }
        #expect(error?.kind == .data && error?.subject.contains("truncate_dim") == true)
    }

    @Test(arguments: [-200, 1 << 20]) func paddingOutsideOfTheTable(_ id: Int64) throws {
        let error = try failure { try set($0 + "/config.json", "pad_token_id", .integer(id)) }
        #expect(error?.kind == .data && error?.subject.contains("pad_token_id") == true)
    }

    @Test func tokenIDsBeyondTheTable() throws {
        for change in [#""[UNK]": 1"#: #""[UNK]": 1, "zzz": 4000"#, #""[CLS]","#: #""[CLS]", "#] {
            let error = try failure { path in
                let file = path + "/tokenizer.json"
                let text = try MappedFile(path: file).text
                #expect(text.contains(change.key))
                let changed = text.replacingOccurrences(of: change.key, with: change.value)
                try AtomicWrite.file(path: file, text: changed)
            }
            if change.key == change.value.trimmingCharacters(in: .whitespaces) {
                #expect(error == nil)
            } else {
                #expect(error?.subject.contains("vocab_size") == true && error?.problem.contains("'zzz'") == true)
            }
        }
        // With another class tokenizer.json's own template counts.
        let template = try failure { path in
            try set(path + "/tokenizer_config.json", "tokenizer_class", .string("PreTrainedTokenizerFast"))
            try set(
                path + "/tokenizer.json", "post_processor",
                .object([
                    "type": .string("BertProcessing"), "sep": .array([.string("[SEP]"), .integer(9999)]),
                    "cls": .array([.string("[CLS]"), .integer(2)]),
                ]))
        }
        #expect(template?.problem.contains("9999") == true)
    }

    @Test func repeatedLinesOfAVocabulary() throws {
        let error = try failure { path in
            let vocabulary = try #require(
                try JSONValue.parse(file: path + "/tokenizer.json")["model"]?["vocab"]?.object)
            let words = vocabulary.sorted { ($0.value.int ?? 0) < ($1.value.int ?? 0) }.map(\.key)
            try FileManager.default.removeItem(atPath: path + "/tokenizer.json")
            try AtomicWrite.file(path: path + "/vocab.txt", text: (words + words).map { $0 + "\n" }.joined())
        }
        #expect(error?.kind == .data && error?.subject.contains("vocab_size") == true)
    }

    @Test func aTemplateLongerThanTheModel() throws {
        let error = try failure { path in
            try set(path + "/tokenizer_config.json", "tokenizer_class", .string("PreTrainedTokenizerFast"))
            let special = JSONValue.object(["SpecialToken": .object(["id": .string("[CLS]"), "type_id": .integer(0)])])
            let text = JSONValue.object(["Sequence": .object(["id": .string("A"), "type_id": .integer(0)])])
            try set(
                path + "/tokenizer.json", "post_processor",
                .object([
                    "type": .string("TemplateProcessing"), "single": .array([special, text]),
                    "special_tokens": .object([
                        "[CLS]": .object(["ids": .array(Array(repeating: .integer(2), count: 400))])
                    ]),
                ]))
        }
        #expect(error?.kind == .data && error?.problem.contains("400 special tokens") == true)
    }

    @Test(arguments: [
        ["", "../victim", "2_Normalize"], ["", "", "2_Normalize"], ["", "1_Pooling", "1_Pooling/"],
        ["", "1_Pooling", "./1_Pooling"], ["", "/tmp/victim", "2_Normalize"], ["", "1_Pooling", "config.json"],
        ["", "1_Pooling", "a/../../victim"], ["", "1_Pooling", "2_Normalize\u{0}/x"],
        ["..", "1_Pooling", "2_Normalize"],
        ["", "1_Pooling", "out"], ["", "1_Pooling", "in"], ["", "1_Pooling", "out/deeper"],
    ])
    func pathsOfModules(_ paths: [String]) throws {
        let error = try failure { path in
            let victim = path + "/../victim/deeper"
            try FileManager.default.createDirectory(atPath: victim, withIntermediateDirectories: true)
            try FileManager.default.createSymbolicLink(atPath: path + "/out", withDestinationPath: path + "/../victim")
            try FileManager.default.createSymbolicLink(atPath: path + "/in", withDestinationPath: "1_Pooling")
            try modules(path, paths)
        }
        #expect(error?.kind == .data && error?.subject.contains("modules.json: [") == true, "\(paths)")
    }

    @Test func linkedFilesAreReadAndNeverWrittenThrough() throws {
        try GoldenModels.with("bert-mean-normalize") { path in
            let snapshot = path + "/../snapshots/main"
            let files = FileManager.default
            try files.createDirectory(atPath: snapshot, withIntermediateDirectories: true)
            var names: [String] = []
            for name in try files.subpathsOfDirectory(atPath: path).sorted() {
                var isDirectory: ObjCBool = false
                if files.fileExists(atPath: path + "/" + name, isDirectory: &isDirectory), isDirectory.boolValue {
                    try files.createDirectory(atPath: snapshot + "/" + name, withIntermediateDirectories: true)
                } else {
                    names.append(name)
                }
            }
            for name in names {
                try files.createSymbolicLink(atPath: snapshot + "/" + name, withDestinationPath: path + "/" + name)
            }
            let before = try names.map { try MappedFile(path: path + "/" + $0).contents }
            let model = try SentenceEncoder.load(snapshot)
            model.encoder.parameters.values.update(repeating: 0.25)
            try model.save(to: snapshot, card: "a card")  // in place: links become files of their own
            for (name, bytes) in zip(names, before) {
                #expect(try MappedFile(path: path + "/" + name).contents == bytes)
            }
            let again = try SentenceEncoder.load(snapshot)
            let isSaved = withExtendedLifetime(again) { again.encoder.parameters.values.contains(0.25) }
            #expect(isSaved)
            let target = path + "/../saved"
            try files.createDirectory(atPath: target, withIntermediateDirectories: true)
            try files.createSymbolicLink(atPath: target + "/1_Pooling", withDestinationPath: path + "/1_Pooling")
            #expect(throws: TuttiError.self) { try model.save(to: target, card: nil) }
        }
    }

    @Test func weightsThatAreTooLargeGiveNoEmbeddings() throws {
        try GoldenModels.with("bert-mean-normalize") { path in
            let model = try SentenceEncoder.load(path)
            model.encoder.parameters.values.update(repeating: 3.4e38)
            do {
                _ = try model.encode(["a", "b c"])
                Issue.record("NaN was given out")
            } catch let error as TuttiError {
                #expect(error.kind == .diverged && error.problem.contains("not finite"))
            }
        }
    }

    @Test(.timeLimit(.minutes(1))) func pipesAreRefusedAndNotWaitedFor() throws {
        for name in ["config.json", "model.safetensors", "tokenizer.json", "modules.json"] {
            let error = try failure { path in
                unlink(path + "/" + name)
                #expect(mkfifo(path + "/" + name, 0o600) == 0)
            }
            #expect(error?.kind == .data && error?.problem.contains("pipe") == true, "\(name)")
        }
    }

    @Test func aLimitAboveTheSavedOneIsKept() throws {
        for (name, positions) in [("bert-mean-normalize", 40), ("mpnet-mean-normalize", 0)] {
            try GoldenModels.with(name) { path in
                try AtomicWrite.file(path: path + "/sentence_bert_config.json", text: #"{"max_seq_length": 8}"#)
                let model = try SentenceEncoder.load(path)
                #expect(model.maximumLength == 8)
                if positions > 0 { #expect(model.encoder.longestSequence >= positions) }
                let text = String(repeating: "a ", count: 200)
                let short = try model.encode([text]).flattened
                model.maximumLength = model.encoder.longestSequence
                #expect(model.tokenizer.encode(text, maximumLength: model.maximumLength).count == model.maximumLength)
                #expect(try model.encode([text]).flattened != short)
                let saved = path + "/../saved-\(name)"
                try FileManager.default.createDirectory(atPath: saved, withIntermediateDirectories: true)
                try model.save(to: saved, card: nil)
                #expect(try SentenceEncoder.load(saved).maximumLength == model.encoder.longestSequence)
            }
        }
    }
}
