// SentencePiece models and the tokenizer classes built on them, against transformers: the folders and ids of
// Tests/Golden/tokenizer_classes_unigram.py. And models that are damaged.

import Foundation
import TestSupport
import Testing
import TuttiFormats
import TuttiGround
import TuttiText

@Suite struct SentencePieceTests {
    /// A folder of files, and the ids of each text.
    struct Case: Sendable, CustomTestStringConvertible {
        let name: String
        let files: [String: [UInt8]]
        let ids: [[Int32]]
        let texts: [String]
        var testDescription: String { name }
    }

    static func cases() throws -> [Case] {
        let document = try JSONValue.parse(file: Goldens.path("tokenizer-classes-unigram.json"))
        let texts = (document["texts"]?.array ?? []).compactMap(\.string)
        return try (document["cases"]?.array ?? []).map { value in
            var files: [String: [UInt8]] = [:]
            for (name, content) in value["files"]?.object ?? JSONObject() {
                if let asset = content["asset"]?.string {
                    let packed = try #require(document["assets"]?[asset]?.string)
                    files[name] = Array(try #require(Data(base64Encoded: packed)))
                } else {
                    files[name] = Array((content.string ?? "").utf8)
                }
            }
            let ids = (value["ids"]?.array ?? []).map { row in
                (row.array ?? []).compactMap { $0.int.flatMap { Int32(exactly: $0) } }
            }
            return Case(name: value["name"]?.string ?? "", files: files, ids: ids, texts: texts)
        }
    }

    static func load(_ files: [String: [UInt8]]) throws -> Tokenizer {
        try withTemporaryDirectory { folder in
            for (name, bytes) in files { try AtomicWrite.file(path: folder + "/" + name, bytes: bytes) }
            return try Tokenizer.load(directory: folder)
        }
    }

    static func asset(_ name: String) throws -> [UInt8] {
        let document = try JSONValue.parse(file: Goldens.path("tokenizer-classes-unigram.json"))
        let packed = try #require(document["assets"]?[name]?.string)
        return Array(try #require(Data(base64Encoded: packed)))
    }

    private func failure(_ files: [String: [UInt8]]) throws -> TuttiError {
        do {
            _ = try Self.load(files)
        } catch let error as TuttiError {
            return error
        }
        throw TuttiError(.usage, "test", "", "loading should have failed")
    }

    @Test func thereAreCases() throws {
        let cases = try Self.cases()
        #expect(cases.count >= 40)
        #expect(cases.allSatisfy { $0.ids.count == $0.texts.count && $0.texts.count >= 15 })
        #expect(Set(cases.map { $0.ids.description }).count >= 25, "most cases differ in some id")
    }

    @Test(arguments: try cases()) func idsAreThoseOfTheClass(_ sample: Case) throws {
        let tokenizer = try Self.load(sample.files)
        for (text, ids) in zip(sample.texts, sample.ids) {
            #expect(tokenizer.encode(text) == ids, "\(sample.name): \(text.debugDescription)")
        }
    }

    @Test(arguments: try cases()) func aSavedFolderGivesTheSameIds(_ sample: Case) throws {
        // transformers heeds add_bos_token only where there is no tokenizer.json.
        if sample.name == "ALBERT model, boundaries by flags" { return }
        let loaded = try Self.load(sample.files)
        var files: [String: [UInt8]] = ["config.json": sample.files["config.json"] ?? []]
        for (name, bytes) in loaded.files { files[name] = bytes }
        #expect(files["tokenizer.json"] != nil)
        let again = try Self.load(files)
        for (text, ids) in zip(sample.texts, sample.ids) {
            // CamembertTokenizer adds these three only to a tokenizer.json.
            if sample.name == "CamemBERT model", text.contains("NOTUSED") { continue }
            #expect(again.encode(text) == ids, "\(sample.name): \(text.debugDescription)")
        }
    }

    @Test func aNoticeSaysWhatTheClassReplaces() throws {
        let cases = try Self.cases()
        func notices(_ name: String) throws -> [String] {
            try Self.load(try #require(cases.first { $0.name == name }).files).notices
        }
        #expect(try notices("XLM-R file").isEmpty)
        #expect(try notices("XLM-R older file").first?.contains("the normalizer and the pre-tokenizer") == true)
        #expect(try notices("XLM-R file followed").isEmpty)
    }

    @Test func brokenModelsAreNamed() throws {
        let model = try Self.asset("plain.model")
        let config = Array(#"{"model_type":"xlm-roberta"}"#.utf8)
        func problem(_ bytes: [UInt8]) throws -> TuttiError {
            try failure(["config.json": config, "sentencepiece.bpe.model": bytes])
        }
        let cut = try problem(Array(model.dropLast(10)))
        #expect(cut.kind == .data && cut.subject.contains("sentencepiece.bpe.model: byte"))
        #expect(try problem([]).problem.contains("no pieces"))
        #expect(try problem(Array("not a model".utf8)).kind == .data)
        // A piece with the score NaN, one of an unknown type, and one that is not UTF-8.
        #expect(try problem([0x0A, 0x08, 0x0A, 0x01, 0x61, 0x15, 0, 0, 0xC0, 0x7F]).problem.contains("not finite"))
        #expect(try problem([0x0A, 0x05, 0x0A, 0x01, 0x61, 0x18, 0x09]).problem.contains("unknown type 9"))
        #expect(try problem([0x0A, 0x03, 0x0A, 0x01, 0xFF]).problem.contains("UTF-8"))
        let bert = try failure(["config.json": Array(#"{"model_type":"bert"}"#.utf8), "spiece.model": model])
        #expect(bert.problem.contains("SentencePiece"))
    }

    @Test func aFolderWithNothingIsMissing() throws {
        let error = try failure(["config.json": Array("{}".utf8)])
        #expect(error.kind == .missingFile && error.problem.contains("sentencepiece.bpe.model"))
    }
}
