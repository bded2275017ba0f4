// Token ids of Unigram tokenizers against the goldens of Tests/Golden/tokenizers_unigram.py: more than 6,000 strings in 28
// classes, seven tokenizers. Goldens hold the number of ids and a digest of them; the generator prints the ids.

import Foundation
import TestSupport
import Testing
import TuttiFormats
import TuttiGround
import TuttiText

@Suite struct UnigramGoldenTests {
    static let names = ["xlm-roberta", "older", "albert", "deberta-v2", "t5", "byte-fallback", "by-hand"]

    static func texts() throws -> [String] {
        try ["tokenizers", "unigram"].flatMap { folder in
            let path = Goldens.path(folder) + "/texts.jsonl"
            return try MappedFile(path: path).contents.split(separator: UInt8(ascii: "\n")).map { line in
                try #require(JSONValue.parse(Array(line), source: path)["text"]?.string)
            }
        }
    }

    static func lines(_ name: String) throws -> [String] {
        let file = try MappedFile(path: Goldens.path("unigram") + "/\(name)/ids.txt")
        return String(decoding: file.contents, as: UTF8.self).split(separator: "\n").map(String.init)
    }

    /// The number of ids and the start of their digest, as the generator writes them.
    static func line(_ ids: [Int32]) -> String {
        let digest = ids.map(\.littleEndian).withUnsafeBytes { Digest.of($0) }
        return "\(ids.count) \(digest.hexadecimal.prefix(8))"
    }

    @Test func thereAreEnoughTexts() throws {
        #expect(try Self.texts().count >= 6500)
        #expect(try Set(Self.lines("xlm-roberta")).count > 4000)
    }

    @Test(arguments: names) func idsAreTheReferences(_ name: String) throws {
        let tokenizer = try Tokenizer.load(directory: Goldens.path("unigram") + "/" + name)
        var scratch = TokenizerScratch()
        var ids: [Int32] = []
        let texts = try Self.texts()
        let lines = try Self.lines(name)
        #expect(texts.count == lines.count)
        var wrong: [String] = []
        for (text, line) in zip(texts, lines) {
            ids.removeAll(keepingCapacity: true)
            tokenizer.encode(text, maximumLength: nil, appendingTo: &ids, scratch: &scratch)
            if Self.line(ids) != line { wrong.append("\(text.debugDescription): \(ids)") }
        }
        #expect(wrong.isEmpty, "\(wrong.count) texts differ, first \(wrong.prefix(3))")
    }

    @Test func aWrongTokenizerIsNoticed() throws {
        let tokenizer = try Tokenizer.load(directory: Goldens.path("unigram") + "/older")
        let lines = try Self.lines("xlm-roberta")
        let different = try zip(Self.texts(), lines).filter { Self.line(tokenizer.encode($0)) != $1 }
        #expect(different.count > 100)
    }

    @Test func truncationStopsEarly() throws {
        let tokenizer = try Tokenizer.load(directory: Goldens.path("unigram") + "/xlm-roberta")
        for text in try Self.texts().prefix(400) {
            let whole = tokenizer.encode(text)
            let cut = tokenizer.encode(text, maximumLength: 9)
            #expect(cut == (whole.count <= 9 ? whole : Array(whole.prefix(8)) + [whole[whole.count - 1]]))
        }
    }
}
