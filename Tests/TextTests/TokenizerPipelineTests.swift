// BPE, WordLevel and every pre-tokenizer against the digests of Tests/Golden/tokenizers_pipelines.py: more than 5,800
// strings for each of sixteen pipelines, and the places where ninety pre-tokenizers cut.

import Foundation
import TestSupport
import Testing
import TuttiFormats
import TuttiGround
import TuttiText

@Suite struct TokenizerPipelineTests {
    static let folder = Goldens.path("tokenizer-pipelines")
    static let group = 8

    static func golden() throws -> JSONValue { try JSONValue.parse(file: folder + "/ids.json") }

    static func names() throws -> [String] { try golden()["models"]?.object?.keys ?? [] }

    private static func extra() throws -> [String] {
        try JSONValue.parse(file: folder + "/extra.json").array?.compactMap(\.string) ?? []
    }

    private static func texts() throws -> [String] { try GoldenText.all().map(\.text) + extra() }

    /// The digest of the ids of some texts, as the generator forms it.
    private static func digest(_ texts: ArraySlice<String>, _ encode: (String) -> [Int32]) -> String {
        var value: UInt64 = 0xCBF2_9CE4_8422_2325
        for text in texts {
            let ids = encode(text)
            for number in [UInt64(ids.count)] + ids.map({ UInt64($0) }) {
                value = (value ^ number) &* 0x100_0000_01B3
            }
        }
        let folded = String(value >> 32 ^ value & 0xFFFF_FFFF, radix: 16)
        return String(repeating: "0", count: 8 - folded.count) + folded
    }

    /// The first texts of the groups whose ids differ from `digests`.
    private static func differences(_ tokenizer: Tokenizer, _ texts: [String], _ digests: String) throws -> [String] {
        let expected = Array(digests.utf8)
        try #require(expected.count == (texts.count + group - 1) / group * 8)
        var scratch = TokenizerScratch()
        var wrong: [String] = []
        for (place, start) in stride(from: 0, to: texts.count, by: group).enumerated() {
            let part = texts[start..<min(start + group, texts.count)]
            let found = digest(part) { text in
                var ids: [Int32] = []
                tokenizer.encode(text, maximumLength: nil, appendingTo: &ids, scratch: &scratch)
                return ids
            }
            if !found.utf8.elementsEqual(expected[place * 8..<place * 8 + 8]) {
                wrong.append(part.map(\.debugDescription).joined(separator: ", "))
            }
        }
        return wrong
    }

    private func load(_ document: [UInt8]) throws -> Tokenizer {
        try withTemporaryDirectory { folder in
            try AtomicWrite.file(path: folder + "/tokenizer.json", bytes: document)
            return try Tokenizer.load(directory: folder)
        }
    }

    @Test func thereAreEnough() throws {
        #expect(try Self.names().count >= 16)
        #expect(try Self.texts().count >= 5800)
        #expect(try Self.golden()["preTokenizers"]?.array?.count ?? 0 >= 90)
    }

    @Test(arguments: try names()) func idsAreTheReferences(_ name: String) throws {
        let tokenizer = try load(try MappedFile(path: "\(Self.folder)/\(name).json").contents)
        let digests = try #require(try Self.golden()["models"]?[name]?.string)
        let wrong = try Self.differences(tokenizer, try Self.texts(), digests)
        #expect(wrong.isEmpty, "\(name): \(wrong.count) groups of texts differ, the first: \(wrong.prefix(2))")
    }

    @Test func wordsAreCutWhereTheReferenceCuts() throws {
        let texts = try Self.shortTexts()
        for value in try #require(try Self.golden()["preTokenizers"]?.array) {
            let name = value["name"]?.string ?? ""
            let tokenizer = try load(Self.bytesDocument(value["value"] ?? .null))
            let wrong = try Self.differences(tokenizer, texts, value["digests"]?.string ?? "")
            #expect(wrong.isEmpty, "\(name): \(wrong.count) groups of texts differ, the first: \(wrong.prefix(1))")
        }
    }

    @Test func otherTokenizersAreNoticed() throws {
        let tokenizer = try load(try MappedFile(path: "\(Self.folder)/qwen2.json").contents)
        let digests = try #require(try Self.golden()["models"]?["llama3"]?.string)
        #expect(try Self.differences(tokenizer, try Self.texts(), digests).count > 700)
    }

    @Test func oneScratchServesSeveralTokenizers() throws {
        let tokenizers = try ["roberta", "llama2", "word-level"].map {
            try load(try MappedFile(path: "\(Self.folder)/\($0).json").contents)
        }
        var scratch = TokenizerScratch()
        for text in try Self.extra().prefix(200) {
            for tokenizer in tokenizers {
                var ids: [Int32] = []
                tokenizer.encode(text, maximumLength: nil, appendingTo: &ids, scratch: &scratch)
                #expect(ids == tokenizer.encode(text))
            }
        }
    }

    @Test func truncationStopsInsideAText() throws {
        for name in ["roberta", "llama2"] {
            let tokenizer = try load(try MappedFile(path: "\(Self.folder)/\(name).json").contents)
            let text = String(repeating: "the orchestra played. ", count: 50)
            let whole = tokenizer.encode(text, addSpecialTokens: false)
            let around = tokenizer.encode("")
            let cut = tokenizer.encode(text, maximumLength: 20)
            #expect(cut.count == 20 && whole.count > 100)
            #expect(cut.filter { !around.contains($0) } == Array(whole.prefix(20 - around.count)))
        }
    }

    /// A vocabulary of bytes whose words end in "</w>", so that the ids show every cut.
    private static func bytesDocument(_ preTokenizer: JSONValue) -> [UInt8] {
        var vocabulary = JSONObject()
        for byte in 0..<256 {
            let digits = String(byte, radix: 16, uppercase: true)
            vocabulary.set("<0x\(digits.count < 2 ? "0" : "")\(digits)>", .integer(Int64(byte)))
        }
        let model: JSONObject = [
            "type": .string("BPE"), "vocab": .object(vocabulary), "merges": .array([]), "byte_fallback": .bool(true),
            "end_of_word_suffix": .string("</w>"),
        ]
        return Array(JSONValue.object(["pre_tokenizer": preTokenizer, "model": .object(model)]).serialized().utf8)
    }

    private static func shortTexts() throws -> [String] {
        let short = try texts().filter { $0.utf8.count <= 120 }
        let sixth = stride(from: 0, to: short.count, by: 6).map { short[$0] }
        return sixth + (try extra().filter { $0.utf8.count <= 400 })
    }
}
