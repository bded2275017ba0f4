// Tokenizer files that are complete, odd, or broken: what is read, and which error names what.

import Foundation
import Testing
import TuttiFormats
import TuttiGround
import TuttiText

@Suite struct TokenizerFileTests {
    /// Writes `files` into a new folder, loads it, and removes it.
    private func load(_ files: [String: String]) throws -> Tokenizer {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString)
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        for (name, text) in files {
            try Data(text.utf8).write(to: folder.appendingPathComponent(name))
        }
        return try Tokenizer.load(directory: folder.path)
    }

    private func failure(_ files: [String: String]) throws -> TuttiError {
        do {
            _ = try load(files)
        } catch let error as TuttiError {
            return error
        }
        throw TuttiError(.usage, "test", "", "loading should have failed")
    }

    private func document(
        model: String? = nil, normalizer: String = "null", preTokenizer: String = #"{"type":"WhitespaceSplit"}"#,
        post: String = "null", added: String = "[]", truncation: String = "null"
    ) -> String {
        let standard = """
            {"type":"WordPiece","unk_token":"[UNK]","continuing_subword_prefix":"##","max_input_chars_per_word":5,
             "vocab":{"[UNK]":0,"a":1,"##b":2,"ab":3,"é":4,"e\u{301}":5,"!":6,"-":7,"A":8,"##":9,"x":10,"##x":11}}
            """
        return """
            {"truncation":\(truncation),"added_tokens":\(added),"normalizer":\(normalizer),
             "pre_tokenizer":\(preTokenizer),"post_processor":\(post),"model":\(model ?? standard)}
            """
    }

    private func ids(_ document: String, _ text: String, limit: Int? = nil) throws -> [Int32] {
        try load(["tokenizer.json": document]).encode(text, maximumLength: limit)
    }

    @Test func wordPieceIsGreedyAndGivesUpOnTheWholeWord() throws {
        #expect(try ids(document(), "ab abb abc a") == [3, 3, 2, 0, 1])
        #expect(try ids(document(), "xxxxx xxxxxx ##b ") == [10, 11, 11, 11, 11, 0, 2])
    }

    @Test func canonicallyEquivalentTokensAreDifferent() throws {
        #expect(try ids(document(), "é e\u{301}") == [4, 5])
        #expect(try ids(document(normalizer: #"{"type":"NFC"}"#), "é e\u{301}") == [4, 4])
        #expect(try ids(document(normalizer: #"{"type":"NFD"}"#), "é e\u{301}") == [5, 5])
    }

    @Test func normalizersCompose() throws {
        let steps =
            #"{"type":"Sequence","normalizers":[{"type":"NFKD"},{"type":"StripAccents"},{"type":"Lowercase"},"#
            + #"{"type":"Replace","pattern":{"String":"zz"},"content":"b"},{"type":"Strip","strip_left":true}]}"#
        #expect(try ids(document(normalizer: steps, preTokenizer: "null"), " ÁZZ ") == [3])
    }

    /// The oldest files leave out types, which follow from the keys, as in tokenizers 0.23.
    @Test func partsWithoutTypes() throws {
        func same(_ normalizer: String, _ typed: String, _ text: String) throws {
            let (a, b) = (document(normalizer: normalizer), document(normalizer: typed))
            #expect(try ids(a, text) == ids(b, text))
            #expect(try ids(a, text) != ids(document(), text), "the normalizer changes nothing of '\(text)'")
        }
        let bert = #""clean_text":true,"handle_chinese_chars":true,"strip_accents":null,"lowercase":true}"#
        try same("{" + bert, #"{"type":"BertNormalizer","# + bert, "AB e\u{301}")
        let replace = #""pattern":{"String":"-"},"content":"a"}"#
        try same("{" + replace, #"{"type":"Replace","# + replace, "- ab")
        try same(#"{"prepend":"x"}"#, #"{"type":"Prepend","prepend":"x"}"#, "x")
        try same(
            #"{"normalizers":[{\#(replace),{"type":"NFC"}]}"#,
            #"{"type":"Sequence","normalizers":[{"type":"Replace",\#(replace),{"type":"NFC"}]}"#, "- e\u{301}")
        #expect(try ids(document(post: #"{"sep":["x",10],"cls":["A",8]}"#), "a") == [8, 1, 10])
        // Keys that fit no type are refused, as there.
        for normalizer in [#"{"lowercase":true}"#, #"{"strip_left":true}"#, "{}", #"{"type":null}"#] {
            #expect(try failure(["tokenizer.json": document(normalizer: normalizer)]).kind == .data)
        }
        #expect(try failure(["tokenizer.json": document(preTokenizer: #"{"delimiter":"-"}"#)]).kind == .data)
    }

    /// A class that would build its own pipeline in the reference is refused by name; an unknown one follows the file.
    @Test(arguments: [
        "XLNetTokenizer", "MBart50TokenizerFast", "NllbTokenizer", "PegasusTokenizerFast", "BigBirdTokenizer",
    ])
    func classesOfOtherPipelines(_ name: String) throws {
        let files = ["tokenizer.json": document(), "tokenizer_config.json": #"{"tokenizer_class":"\#(name)"}"#]
        let error = try failure(files)
        #expect(error.kind == .data && error.subject.hasSuffix("tokenizer_class") && error.hint != nil, "\(error)")
        var pieces = files
        pieces["tokenizer.json"] = nil
        pieces["spiece.model"] = "no model"
        #expect(try failure(pieces).subject.hasSuffix("tokenizer_class"))
        for other in ["PreTrainedTokenizerFast", "HouseTokenizer"] {
            let followed = [
                "tokenizer.json": document(), "tokenizer_config.json": #"{"tokenizer_class":"\#(other)"}"#,
            ]
            #expect(try load(followed).encode("ab") == [3])
        }
    }

    @Test func preTokenizersCut() throws {
        #expect(try ids(document(preTokenizer: #"{"type":"Whitespace"}"#), "a!! a-a") == [1, 0, 1, 7, 1])
        #expect(try ids(document(preTokenizer: #"{"type":"BertPreTokenizer"}"#), "a!!a") == [1, 6, 6, 1])
        let both = #"{"type":"Sequence","pretokenizers":[{"type":"WhitespaceSplit"},{"type":"Punctuation"}]}"#
        #expect(try ids(document(preTokenizer: both), "a! -a") == [1, 6, 7, 1])
    }

    @Test func truncationKeepsSpecialTokensAndTheFilesSide() throws {
        let post = #"{"type":"BertProcessing","sep":["x",10],"cls":["A",8]}"#
        let left = #"{"direction":"Left","max_length":4,"strategy":"LongestFirst","stride":0}"#
        #expect(try ids(document(post: post), "a ab a -", limit: 4) == [8, 1, 3, 10])
        #expect(try ids(document(post: post, truncation: left), "a ab a -", limit: 4) == [8, 1, 7, 10])
        #expect(try ids(document(post: post), "", limit: 4) == [8, 10])
    }

    @Test func addedTokensMatchLongestFirst() throws {
        let added = #"[{"content":"aa"},{"content":"aaa","special":true},{"content":"é!","normalized":true}]"#
        let text = document(normalizer: #"{"type":"Lowercase"}"#, added: added)
        #expect(try ids(text, "aaaaa É!") == [13, 12, 14])
    }

    @Test func vocabularyAloneLowercasesAndIsCompletedForSaving() throws {
        let vocabulary = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nhello\n##s\nHello\n"
        let tokenizer = try load(["vocab.txt": vocabulary])
        #expect(tokenizer.encode("Hellos [MASK]") == [2, 5, 6, 4, 3])
        let cased = try load(["vocab.txt": vocabulary, "tokenizer_config.json": #"{"do_lower_case":false}"#])
        #expect(cased.encode("Hellos") == [2, 7, 6, 3])
        let file = try #require(tokenizer.files.first { $0.name == "tokenizer.json" })
        let again = try load(["tokenizer.json": String(decoding: file.bytes, as: UTF8.self)])
        #expect(again.encode("Hellos [MASK]") == tokenizer.encode("Hellos [MASK]"))
        #expect(tokenizer.vocabularySize == 8)
        #expect(tokenizer.token(5) == "hello")
        #expect(tokenizer.id(of: "##s") == 6)
        #expect(tokenizer.id(of: "nowhere") == nil)
    }

    @Test func absurdMaximumLengthIsNone() throws {
        let files = ["tokenizer.json": document(), "tokenizer_config.json": #"{"model_max_length":1e30}"#]
        #expect(try load(files).modelMaximumLength == nil)
        let short = ["tokenizer.json": document(), "tokenizer_config.json": #"{"model_max_length":512}"#]
        #expect(try load(short).modelMaximumLength == 512)
    }

    @Test func brokenFilesAreNamed() throws {
        #expect(try failure([:]).kind == .missingFile)
        let truncated = try failure(["tokenizer.json": String(document().dropLast(40))])
        #expect(truncated.kind == .data)
        #expect(truncated.subject.contains("tokenizer.json:"))
        let noVocabulary = try failure(["tokenizer.json": document(model: #"{"type":"WordPiece"}"#)])
        #expect(noVocabulary.subject.contains("vocab"))
        let noUnknown = try failure(["tokenizer.json": document(model: #"{"type":"WordPiece","vocab":{"a":0}}"#)])
        #expect(noUnknown.problem.contains("[UNK]"))
        #expect(try failure(["vocab.txt": ""]).kind == .data)
    }

    @Test(arguments: ["Bytes", "wordpiece"]) func unknownModelsAreRefusedByName(type: String) throws {
        let error = try failure(["tokenizer.json": document(model: #"{"type":"\#(type)","vocab":{}}"#)])
        #expect(error.kind == .data)
        #expect(error.description.contains(type) && error.description.contains("WordPiece"))
    }

    @Test func unknownComponentsAreRefusedByName() throws {
        let odd = #"{"type":"Hyperspace"}"#
        for text in [document(normalizer: odd), document(preTokenizer: odd), document(post: odd)] {
            #expect(try failure(["tokenizer.json": text]).description.contains("Hyperspace"))
        }
    }

    @Test func idsThatAreNoneAreRefused() throws {
        let vocabulary = #"{"type":"WordPiece","vocab":{"[UNK]":0,"a":-1}}"#
        #expect(try failure(["tokenizer.json": document(model: vocabulary)]).subject.contains("model.vocab"))
        let negative = #"{"type":"BertProcessing","sep":["x",-3],"cls":["A",8]}"#
        #expect(try failure(["tokenizer.json": document(post: negative)]).subject.contains("post_processor.sep"))
        let huge = #"{"type":"WordPiece","vocab":{"[UNK]":0,"a":2147483647}}"#
        let full = document(model: huge, added: #"[{"content":"a"},{"content":"new"}]"#)
        #expect(try failure(["tokenizer.json": full]).subject.contains("added_tokens"))
    }

    @Test func normalizersThatMultiplyTextsAreRefused() throws {
        func steps(_ contents: [(String, String)]) -> String {
            let list = contents.map { #"{"type":"Replace","pattern":{"String":"\#($0.0)"},"content":"\#($0.1)"}"# }
            return #"{"type":"Sequence","normalizers":[\#(list.joined(separator: ","))]}"#
        }
        let doubled = steps(Array(repeating: ("a", "aa"), count: 34))
        let error = try failure(["tokenizer.json": document(normalizer: doubled)])
        #expect(error.kind == .data && error.problem.contains("17179869184 times") && error.problem.contains("1024"))
        let turned = steps([("ab", "baba"), ("ba", "abab")] + Array(repeating: ("ab", "abab"), count: 20))
        #expect(try failure(["tokenizer.json": document(normalizer: turned)]).kind == .data)
        let prefix = #"{"type":"Prepend","prepend":"\#(String(repeating: "x", count: 5000))"}"#
        #expect(try failure(["tokenizer.json": document(normalizer: prefix)]).problem.contains("4096"))
        // Many replacements that do not feed each other are no growth, and a few that do are allowed.
        let many = steps((0..<40).map { (String(UnicodeScalar(0x4E00 + $0)!), "\($0) of 40") })
        #expect(try ids(document(normalizer: many), "a") == [1])
        #expect(try ids(document(normalizer: steps([("y", "xx"), ("x", "xx")])), "y") == [10, 11, 11, 11])
    }

    @Test(.timeLimit(.minutes(1))) func longRunsOfMarksAreSorted() throws {
        // Two marks of classes 216 and 224 in turn: sorting them by insertion would take minutes.
        let marks = String(repeating: "\u{302E}\u{1D165}", count: 200_000)
        for normalizer in [#"{"type":"NFC"}"#, #"{"type":"BertNormalizer"}"#] {
            let tokenizer = try load(["tokenizer.json": document(normalizer: normalizer)])
            #expect(tokenizer.encode("a" + marks) == [0])
        }
    }
}
