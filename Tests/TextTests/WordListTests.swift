// The tokenizer of words against the reference (Golden/token_modules.py): white space, case, punctuation, stop words.

import Foundation
import TestSupport
import Testing
import TuttiGround
import TuttiText

@Suite struct WordListTests {
    @Test func idsEqualTheReference() throws {
        let golden = try JSONValue.parse(file: Goldens.path("token-modules/ids.json"))
        let words = try #require(golden["vocab"]?.array).compactMap(\.string)
        let texts = try #require(golden["texts"]?.array).compactMap(\.string)
        let cases = try #require(golden["cases"]?.array)
        #expect(cases.count == 4)
        var seen = 0
        for json in cases {
            let stopWords = json["stop_words"]?.array?.compactMap(\.string) ?? EnglishStopWords.all
            let tokenizer = try Tokenizer.ofWords(
                words, stopWords: stopWords, lowercases: json["do_lower_case"]?.bool ?? false, source: "test")
            for (text, ids) in zip(texts, try #require(json["ids"]?.array)) {
                let wanted = try #require(ids.array).compactMap(\.int).map { Int32($0) }
                #expect(tokenizer.encode(text) == wanted, "\(text) with \(stopWords.count) stop words")
                #expect(tokenizer.encode(text, maximumLength: 2) == Array(wanted.prefix(2)))
                seen += wanted.count
            }
        }
        #expect(seen > 90)
    }

    @Test func aListIsKept() throws {
        let tokenizer = try Tokenizer.ofWords(
            ["a", "b", "c", "b"], stopWords: ["c"], lowercases: false, source: "test")
        #expect(tokenizer.id(of: "b") == 3 && tokenizer.token(1) == "b" && tokenizer.token(4) == nil)
        #expect(tokenizer.vocabularySize == 4 && tokenizer.largestID == 3 && tokenizer.isOfWords)
        try withTemporaryDirectory { folder in
            for (name, bytes) in tokenizer.files {
                try String(decoding: bytes, as: UTF8.self).write(
                    toFile: folder + "/" + name, atomically: true, encoding: .utf8)
            }
            let again = try Tokenizer.loadWords(directory: folder)
            #expect(again.encode("a b c d") == [0, 3] && again.files.map(\.bytes) == tokenizer.files.map(\.bytes))
        }
        #expect(Set(EnglishStopWords.all).count == 386)
    }
}
