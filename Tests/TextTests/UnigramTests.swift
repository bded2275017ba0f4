// Unigram by hand: ties, unknown runs, byte fallback, and what is refused.

import Foundation
import TestSupport
import Testing
import TuttiFormats
import TuttiGround
import TuttiText

@Suite struct UnigramTests {
    private func load(
        _ vocabulary: String, unknown: String = "0", fallback: Bool = false, normalizer: String = "null",
        preTokenizer: String = "null"
    ) throws -> Tokenizer {
        let document = """
            {"normalizer":\(normalizer),"pre_tokenizer":\(preTokenizer),"post_processor":null,"added_tokens":[],
             "model":{"type":"Unigram","unk_id":\(unknown),"byte_fallback":\(fallback),"vocab":[\(vocabulary)]}}
            """
        return try withTemporaryDirectory { folder in
            try AtomicWrite.file(path: folder + "/tokenizer.json", text: document)
            return try Tokenizer.load(directory: folder)
        }
    }

    private func failure(_ vocabulary: String, unknown: String = "0", normalizer: String = "null") throws -> TuttiError
    {
        do {
            _ = try load(vocabulary, unknown: unknown, normalizer: normalizer)
        } catch let error as TuttiError {
            return error
        }
        throw TuttiError(.usage, "test", "", "loading should have failed")
    }

    @Test func amongEqualSumsTheLongestLastPieceWins() throws {
        let pair = try load(#"["?",0],["a",-1],["b",-1],["ab",-2]"#)
        #expect(pair.encode("ab") == [3])
        let run = try load(#"["?",0],["a",-1],["aa",-2],["aaa",-3]"#)
        #expect(run.encode("aaaa") == [1, 3])
        #expect(run.encode("aaaaa") == [2, 3])
    }

    @Test func laterDuplicatesWin() throws {
        let model = try load(#"["?",0],["a",-1],["b",-9],["a",-5]"#)
        #expect(model.encode("ab") == [3, 2])
        #expect(model.id(of: "a") == 3)
        #expect(model.vocabularySize == 4)
    }

    @Test func unknownRunsAreOneToken() throws {
        let model = try load(#"["?",0],["a",-1],["xy",-2]"#)
        #expect(model.encode("axyzza") == [1, 2, 0, 1])
        #expect(model.encode("zzz") == [0])
        // The unknown piece itself joins a run; a run that is a piece by chance is that piece.
        #expect(model.encode("z?z") == [0])
        #expect(try load(#"["?",0],["a",-1],["zq",-100]"#).encode("azq") == [1, 2])
    }

    @Test func bytesStandInOnlyIfAllExist() throws {
        let both = try load(#"["?",0],["a",-1],["<0xC3>",-2],["<0xA9>",-2]"#, fallback: true)
        #expect(both.encode("aé") == [1, 2, 3])
        #expect(both.encode("éé") == [2, 3, 2, 3])
        #expect(both.encode("éü") == [0])
        #expect(both.encode("ü") == [0])
        #expect(try load(#"["?",0],["<0xC3>",-2],["<0xA9>",-2]"#).encode("é") == [0])
    }

    @Test func scoresDecideAndMayBePositive() throws {
        let model = try load(#"["?",0],["a",1.5],["b",1.5],["ab",2.9999]"#)
        #expect(model.encode("ab") == [1, 2])
        #expect(model.encode("") == [])
    }

    @Test func anUnknownCharacterMayBeCheaperInsideALongerPiece() throws {
        // x is unknown at min - 10 = -30; "xy" as a piece costs 20.
        #expect(try load(#"["?",0],["y",-1],["xy",-20]"#).encode("xy") == [2])
        #expect(try load(#"["?",0],["y",-1],["xy",-20],["z",-5]"#).encode("x") == [0])
    }

    @Test func marksComeByScheme() throws {
        func ids(_ scheme: String, _ split: Bool, _ text: String) throws -> [Int32] {
            let marks = #"{"type":"Metaspace","replacement":"▁","prepend_scheme":"\#(scheme)","split":\#(split)}"#
            return try load(
                #"["?",-9],["▁",-1],["a",-1],["▁a",-3],["a▁a",-1],["<s>",0]"#, preTokenizer: marks
            ).encode(text)
        }
        #expect(try ids("always", true, "a a") == [1, 2, 1, 2])
        #expect(try ids("never", true, "a a") == [2, 1, 2])
        #expect(try ids("never", false, "a a") == [4])
        #expect(try ids("always", false, "a a") == [1, 4])
        #expect(try ids("first", true, " a") == [1, 2])
        #expect(try ids("always", true, "▁a") == [1, 2])
        #expect(try ids("always", true, "a  ") == [1, 2, 1, 1])
    }

    @Test func marksAreReadAndRefused() throws {
        func problem(_ fields: String) throws -> String {
            do {
                _ = try load(#"["?",0],["a",-1]"#, preTokenizer: #"{"type":"Metaspace",\#(fields)}"#)
                return ""
            } catch let error as TuttiError {
                return error.description
            }
        }
        #expect(try problem(#""replacement":"▁","add_prefix_space":false"#).isEmpty)
        #expect(try problem(#""replacement":"▁","str_rep":"x","add_prefix_space":true"#).isEmpty)
        #expect(try problem(#""replacement":"▁","add_prefix_space":false,"prepend_scheme":"first""#).contains("first"))
        #expect(try problem(#""replacement":"▁▁""#).contains("one character"))
        #expect(try problem(#""replacement":"▁","prepend_scheme":"sometimes""#).contains("always, first, never"))
        #expect(try problem(#""add_prefix_space":true"#).contains("replacement"))
    }

    @Test func brokenModelsAreNamed() throws {
        #expect(try failure("").subject.contains("model.vocab"))
        #expect(try failure(#"["a",0]"#, unknown: "1").problem.contains("found 1"))
        #expect(try failure(#"["a",0]"#, unknown: "null").hint?.contains("outside of the vocabulary") == true)
        #expect(try failure(#"["a"]"#).problem.contains("entry 0"))
        #expect(try failure(#"["a","b"]"#).kind == .data)
        let long = String(repeating: "x", count: 5000)
        #expect(try failure(#"["\#(long)",0]"#).problem.contains("4096"))
    }

    @Test(.timeLimit(.minutes(1))) func longTextsTakeLinearTime() throws {
        let long = String(repeating: "a", count: 4000)
        let model = try load(#"["?",0],["a",-1],["\#(long)",-9]"#)
        #expect(model.encode(String(repeating: "b", count: 2_000_000)) == [0])
        #expect(model.encode(String(repeating: "a", count: 40_000)).count == 10)
    }
}
