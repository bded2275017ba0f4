// Tokenizer classes against transformers: the folders and ids of Tests/Golden/tokenizer_classes.py and
// tokenizer_classes_bpe.py.

import Foundation
import TestSupport
import Testing
import TuttiFormats
import TuttiGround
import TuttiText

@Suite struct TokenizerClassTests {
    /// A folder of files, and the ids of each text.
    struct Case: Sendable, CustomTestStringConvertible {
        let name: String
        let files: [String: String]
        let ids: [[Int32]]
        let texts: [String]
        var testDescription: String { name }
    }

    /// The goldens, one a generator.
    static let goldens = ["tokenizer-classes.json", "tokenizer-classes-bpe.json"]

    static func cases() throws -> [Case] { try goldens.flatMap { try cases(Goldens.path($0)) } }

    private static func cases(_ path: String) throws -> [Case] {
        let document = try JSONValue.parse(file: path)
        let texts = (document["texts"]?.array ?? []).compactMap(\.string)
        return (document["cases"]?.array ?? []).map { value in
            var files: [String: String] = [:]
            for (name, text) in value["files"]?.object ?? JSONObject() { files[name] = text.string }
            let ids = (value["ids"]?.array ?? []).map { row in
                (row.array ?? []).compactMap { $0.int.flatMap { Int32(exactly: $0) } }
            }
            return Case(name: value["name"]?.string ?? "", files: files, ids: ids, texts: texts)
        }
    }

    private func load(_ files: [String: String]) throws -> Tokenizer {
        try withTemporaryDirectory { folder in
            for (name, text) in files { try AtomicWrite.file(path: folder + "/" + name, text: text) }
            return try Tokenizer.load(directory: folder)
        }
    }

    @Test func thereAreCases() throws {
        #expect(try Self.cases().count >= 66)
        #expect(try Self.cases().allSatisfy { $0.ids.count == $0.texts.count && $0.texts.count >= 9 })
    }

    @Test(arguments: try cases()) func idsAreThoseOfTheClass(_ sample: Case) throws {
        let tokenizer = try load(sample.files)
        for (text, ids) in zip(sample.texts, sample.ids) {
            #expect(tokenizer.encode(text) == ids, "\(sample.name): \(text.debugDescription)")
        }
    }

    @Test(arguments: try cases()) func aSavedFolderGivesTheSameIds(_ sample: Case) throws {
        var files: [String: String] = ["config.json": sample.files["config.json"] ?? "{}"]
        for (name, bytes) in try load(sample.files).files { files[name] = String(decoding: bytes, as: UTF8.self) }
        #expect(files["tokenizer.json"] != nil)
        let tokenizer = try load(files)
        for (text, ids) in zip(sample.texts, sample.ids) { #expect(tokenizer.encode(text) == ids) }
    }

    @Test func aNoticeSaysWhereTheConfigurationWins() throws {
        let cases = try Self.cases()
        func notices(_ name: String) throws -> [String] {
            try load(try #require(cases.first { $0.name == name }).files).notices
        }
        let kept = try notices("file: the configuration keeps case")
        #expect(kept.count == 1 && kept[0].contains("lowercase false"))
        #expect(try notices("file: as configured").isEmpty)
        #expect(try notices("file: PreTrainedTokenizerFast follows it").isEmpty)
    }

    @Test func theOlderLayoutsLowerCaseComesFirst() throws {
        let files = [
            "config.json": #"{"model_type": "bert"}"#, "tokenizer_config.json": #"{"do_lower_case": false}"#,
            "vocab.txt": "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nhello\nHello\n",
        ]
        try withTemporaryDirectory { folder in
            for (name, text) in files { try AtomicWrite.file(path: folder + "/" + name, text: text) }
            #expect(try Tokenizer.load(directory: folder).encode("Hello") == [2, 6, 3])
            #expect(try Tokenizer.load(directory: folder, lowercases: true).encode("Hello") == [2, 5, 3])
        }
    }
}
