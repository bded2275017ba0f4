// Token ids against the goldens of Tests/Golden/tokenizers.py: more than 5,000 strings in sixteen classes, three models.

import TestSupport
import Foundation
import Testing
import TuttiFormats
import TuttiGround
import TuttiText

/// One line of texts.jsonl.
struct GoldenText: Sendable {
    let kind: String
    let text: String
    let ids: [String: [Int32]]

    static let folder = Goldens.path("tokenizers")

    static func all() throws -> [GoldenText] {
        let path = folder + "/texts.jsonl"
        let file = try MappedFile(path: path)
        var texts: [GoldenText] = []
        for line in file.bytes.split(separator: UInt8(ascii: "\n")) {
            let row = try JSONValue.parse(Array(line), source: path)
            var ids: [String: [Int32]] = [:]
            for name in ["uncased", "cased", "mpnet", "cut"] {
                ids[name] = try #require(row[name]?.array).map { Int32(try #require($0.int)) }
            }
            texts.append(
                GoldenText(
                    kind: try #require(row["class"]?.string), text: try #require(row["text"]?.string), ids: ids))
        }
        return texts
    }
}

@Suite struct GoldenTokenizerTests {
    @Test func thereAreEnoughTextsOfEachClass() throws {
        let counts = Dictionary(grouping: try GoldenText.all(), by: \.kind).mapValues(\.count)
        #expect(counts.values.reduce(0, +) >= 5000)
        #expect(counts.count >= 12)
        #expect(counts.values.allSatisfy { $0 >= 300 })
    }

    @Test(arguments: ["uncased", "cased", "mpnet"]) func idsAreTheReferences(model: String) throws {
        let tokenizer = try Tokenizer.load(directory: GoldenText.folder + "/" + model)
        var scratch = TokenizerScratch()
        var ids: [Int32] = []
        for text in try GoldenText.all() {
            ids.removeAll()
            tokenizer.encode(text.text, maximumLength: nil, appendingTo: &ids, scratch: &scratch)
            #expect(ids == text.ids[model], "\(text.kind): \(text.text.debugDescription)")
        }
    }

    @Test func truncatedIdsAreTheReferences() throws {
        let tokenizer = try Tokenizer.load(directory: GoldenText.folder + "/uncased")
        for text in try GoldenText.all() {
            #expect(tokenizer.encode(text.text, maximumLength: 12) == text.ids["cut"], "\(text.text.debugDescription)")
        }
    }

    @Test func aWrongTokenizerIsNoticed() throws {
        let tokenizer = try Tokenizer.load(directory: GoldenText.folder + "/cased")
        let different = try GoldenText.all().filter { tokenizer.encode($0.text) != $0.ids["uncased"] }
        #expect(different.count > 500)
    }

    @Test func threadsShareOneTokenizer() throws {
        let tokenizer = try Tokenizer.load(directory: GoldenText.folder + "/uncased")
        let texts = try GoldenText.all()
        let wrong = Counter()
        DispatchQueue.concurrentPerform(iterations: 4) { part in
            var scratch = TokenizerScratch()
            var ids: [Int32] = []
            for index in stride(from: part, to: texts.count, by: 4) {
                ids.removeAll(keepingCapacity: true)
                tokenizer.encode(texts[index].text, maximumLength: nil, appendingTo: &ids, scratch: &scratch)
                if ids != texts[index].ids["uncased"] { wrong.increment() }
            }
        }
        #expect(wrong.value == 0)
    }

    /// A count that several threads raise.
    private final class Counter: @unchecked Sendable {
        private let lock = NSLock()
        private var count = 0
        var value: Int { lock.withLock { count } }
        func increment() { lock.withLock { count += 1 } }
    }
}
