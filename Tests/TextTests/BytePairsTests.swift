// BPE files that are odd or broken: which error names what. That ids are right is shown in TokenizerPipelineTests.

import Foundation
import TestSupport
import Testing
import TuttiFormats
import TuttiGround
import TuttiText

@Suite struct BytePairsTests {
    private func load(_ files: [String: String]) throws -> Tokenizer {
        try withTemporaryDirectory { folder in
            for (name, text) in files { try AtomicWrite.file(path: folder + "/" + name, text: text) }
            return try Tokenizer.load(directory: folder)
        }
    }

    private func document(_ model: String, preTokenizer: String = "null") -> [String: String] {
        let vocabulary = ###""vocab":{"a":0,"b":1,"ab":2,"<unk>":3,"#":4,"##":5,"\u2581":6,"\u2581a":7}"###
        return [
            "tokenizer.json": #"{"model":{"type":"BPE",\#(vocabulary),\#(model)},"pre_tokenizer":\#(preTokenizer)}"#
        ]
    }

    @Test(arguments: [
        (#""merges":[["a","c"]]"#, "model.merges", "outside the vocabulary"),
        (#""merges":[["b","a"]]"#, "model.merges", "'b' and 'a'"),
        (#""merges":["a  b"]"#, "model.merges", "'left right'"),
        (#""merges":[["a"]]"#, "model.merges", "merge 0"),
        (#""merges":7"#, "model.merges", "array"),
        (#""merges":[],"dropout":0.1"#, "model.dropout", "random"),
        (#""merges":[],"unk_token":"[UNK]""#, "model.unk_token", "[UNK]"),
        (#""merges":[],"fuse_unk":1"#, "fuse_unk", "true or false"),
        (#""merges":[],"end_of_word_suffix":"\#(String(repeating: "x", count: 300))""#, "end_of_word_suffix", "256"),
    ]) func brokenModelsAreNamed(_ model: String, _ key: String, _ problem: String) throws {
        let error = #expect(throws: TuttiError.self) { try load(document(model)) }
        #expect(
            error?.kind == .data && error?.subject.contains(key) == true && error?.problem.contains(problem) == true)
    }

    @Test func anUntypedModelIsToldByItsFields() throws {
        let files = document(###""merges":["a b","#version: 0.2","# #"],"dropout":0.0"###)
        let untyped = try #require(files["tokenizer.json"]).replacingOccurrences(of: #""type":"BPE","#, with: "")
        #expect(try load(["tokenizer.json": untyped]).encode("abba##") == [2, 1, 0, 5])
    }

    @Test func aVocabularyAndItsMergesAreEnough() throws {
        let vocabulary = ###"{"a":0,"b":1,"ab":2,"#":3,"##":4,"#a":5}"###
        let files = ["vocab.json": vocabulary, "merges.txt": "#version: 0.2\r\na b\r\n# #\r\n# a\r\n"]
        let tokenizer = try load(files)
        #expect(tokenizer.encode("abc###a") == [2, 4, 3, 0])
        #expect(tokenizer.files.map(\.name).contains("merges.txt"))
        let broken = ["vocab.json": vocabulary, "merges.txt": "a b c\n"]
        let error = #expect(throws: TuttiError.self) { try load(broken) }
        #expect(error?.kind == .data && error?.subject.contains("merges") == true)
        let alone = #expect(throws: TuttiError.self) { try load(["vocab.json": vocabulary]) }
        #expect(alone?.kind == .missingFile && alone?.problem.contains("vocab.json and merges.txt") == true)
    }

    @Test(.timeLimit(.minutes(1))) func longWordsAndTheirMergesAreCheap() throws {
        let tokenizer = try load(document(###""merges":[["a","b"],["#","#"],["\u2581","a"]],"unk_token":"<unk>""###))
        let ids = tokenizer.encode(
            String(repeating: "ab", count: 200_000) + "c" + String(repeating: "\u{2581}", count: 200_000))
        #expect(ids.count == 400_001 && ids[199_999] == 2 && ids[200_000] == 3 && ids[200_001] == 6)
    }

    @Test func preTokenizersThatMultiplyTextsAreRefused() throws {
        func steps(_ count: Int, _ step: String) -> String {
            #"{"type":"Sequence","pretokenizers":[\#(Array(repeating: step, count: count).joined(separator: ","))]}"#
        }
        let merges = #""merges":[]"#
        let bytes = document(merges, preTokenizer: steps(5, #"{"type":"ByteLevel"}"#))
        #expect(throws: TuttiError.self) { try load(bytes) }
        let digits = document(merges, preTokenizer: steps(65, #"{"type":"Digits"}"#))
        let error = #expect(throws: TuttiError.self) { try load(digits) }
        #expect(error?.subject.contains("pre_tokenizer") == true && error?.problem.contains("65 steps") == true)
        #expect(try load(document(merges, preTokenizer: steps(64, #"{"type":"Digits"}"#))).encode("ab") == [0, 1])
    }
}
