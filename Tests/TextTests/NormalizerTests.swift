// Normalizers of SentencePiece tokenizers: character maps and the clusters they replace, nmt, patterns, forms.

import Foundation
import TestSupport
import Testing
import TuttiFormats
import TuttiGround
import TuttiText

@Suite struct NormalizerTests {
    /// Tokens are the bytes themselves, so that ids spell what the normalizer wrote.
    private func load(_ normalizer: String) throws -> Tokenizer {
        let bytes = (0..<256).map { #"["<0x\#(String(format: "%02X", $0))>",-1]"# }.joined(separator: ",")
        let document = """
            {"normalizer":\(normalizer),"pre_tokenizer":null,"post_processor":null,"added_tokens":[],
             "model":{"type":"Unigram","unk_id":256,"byte_fallback":true,"vocab":[\(bytes),["?",-1]]}}
            """
        return try withTemporaryDirectory { folder in
            try AtomicWrite.file(path: folder + "/tokenizer.json", text: document)
            return try Tokenizer.load(directory: folder)
        }
    }

    private func text(_ normalizer: String, _ text: String) throws -> String {
        String(decoding: try load(normalizer).encode(text).map { UInt8(truncatingIfNeeded: $0) }, as: UTF8.self)
    }

    /// A double array with the keys of one byte or more, in base64.
    private func charsmap(_ pairs: [(key: String, value: String)]) -> String {
        // Node at slot 256 * n for key prefix n; every key byte leads from its base to base ^ byte, leaves to base ^ 0.
        var prefixes: [[UInt8]: Int] = [[]: 0]
        for (key, _) in pairs {
            for count in 1...key.utf8.count {
                let prefix = Array(key.utf8.prefix(count))
                if prefixes[prefix] == nil { prefixes[prefix] = prefixes.count }
            }
        }
        var units = [UInt32](repeating: 0, count: 256 * (prefixes.count + 1))
        var strings: [UInt8] = []
        func base(_ number: Int) -> UInt32 { UInt32(256 * (number + 1)) }
        func place(_ prefix: [UInt8]) -> UInt32 {
            guard let last = prefix.last, let parent = prefixes[Array(prefix.dropLast())] else { return 0 }
            return base(parent) ^ UInt32(last)
        }
        for (prefix, number) in prefixes {
            let at = place(prefix)
            units[Int(at)] = (at ^ base(number)) << 10 | UInt32(prefix.last ?? 0)
        }
        for (key, value) in pairs {
            guard let number = prefixes[Array(key.utf8)] else { continue }
            units[Int(place(Array(key.utf8)))] |= 0x100
            units[Int(base(number))] = 0x8000_0000 | UInt32(strings.count)
            strings += Array(value.utf8) + [0]
        }
        var bytes: [UInt8] = []
        for word in [UInt32(units.count * 4)] + units {
            bytes += (0..<4).map { UInt8(truncatingIfNeeded: word >> ($0 * 8)) }
        }
        return Data(bytes + strings).base64EncodedString()
    }

    private func precompiled(_ pairs: [(key: String, value: String)]) -> String {
        #"{"type":"Precompiled","precompiled_charsmap":"\#(charsmap(pairs))"}"#
    }

    @Test func aMapReplacesByClusters() throws {
        let map = precompiled([("ﬁ", "fi"), ("e\u{301}", "é"), ("A", "a"), ("\u{200B}", " "), ("\r\n", "|")])
        #expect(try text(map, "ﬁn Ae") == "fin ae")
        #expect(try text(map, "e\u{301}e") == "ée")
        // A cluster of fewer than 6 bytes is replaced as a whole, and loses its accent; a longer one code point by code point.
        #expect(try text(map, "ﬁ\u{301}") == "fi")
        #expect(try text(map, "ﬁ\u{301}\u{301}") == "fi\u{301}\u{301}")
        #expect(try text(map, "a\u{200B}b\u{200D}") == "a b\u{200D}")
        #expect(try text(map, "a\r\nb\rc\n") == "a|b\rc\n")
    }

    @Test func theShortestMatchWins() throws {
        let map = precompiled([("a", "1"), ("a\u{301}", "2"), ("\u{D6}", "O")])
        #expect(try text(map, "a\u{301}") == "1")
        #expect(try text(map, "ab\u{D6}") == "1bO")
    }

    @Test func brokenMapsAreRefused() throws {
        for (data, problem) in [
            ("", "character map"), ("!", "base64"), (Data([8, 0, 0, 0, 1, 2]).base64EncodedString(), "character map"),
            (Data([4, 0, 0, 0, 0, 0, 0, 0, 0xFF]).base64EncodedString(), "UTF-8"),
            (Data([0, 0, 0, 0]).base64EncodedString(), "character map"),
        ] {
            #expect(throws: TuttiError.self, "\(problem)") {
                do {
                    _ = try load(#"{"type":"Precompiled","precompiled_charsmap":"\#(data)"}"#)
                } catch let error as TuttiError {
                    #expect(error.kind == .data && error.description.contains(problem), "\(error)")
                    throw error
                }
            }
        }
        // Offsets beyond the table, and places inside of a code point, match nothing.
        let wild = Data([4, 0, 0, 0, 0, 0xFC, 0xFF, 0x7F]).base64EncodedString()
        #expect(try text(#"{"type":"Precompiled","precompiled_charsmap":"\#(wild)"}"#, "abc é") == "abc é")
    }

    @Test func nmtDropsAndBlanks() throws {
        #expect(try text(#"{"type":"Nmt"}"#, "a\u{1}b\tc\u{200B}d\u{FEFF}\u{7F}e\u{2581}\u{85}") == "ab c d e \u{85}")
    }

    @Test func patternsAreReplaced() throws {
        func replaced(_ pattern: String, _ content: String, _ value: String) throws -> String {
            try text(#"{"type":"Replace","pattern":\#(pattern),"content":"\#(content)"}"#, value)
        }
        #expect(try replaced(#"{"Regex":" {2,}"}"#, "▁", "a  b c   ") == "a▁b c▁")
        let blanks = #"{"Regex":"\\s{2,}|[\\n\\r\\t]"}"#
        #expect(try replaced(blanks, " ", "a\nb \u{3000}c\u{A0}d\t") == "a b c\u{A0}d ")
        #expect(try replaced(#"{"String":"``"}"#, "'", "```a``") == "'`a'")
        #expect(try replaced(#"{"Regex":"[0-9]+"}"#, "$0", "a12b3") == "a$0b$0")
    }

    @Test func formsComposeAcrossCodePoints() throws {
        #expect(try text(#"{"type":"NFC"}"#, "e\u{301}a\u{323}\u{302} 각\u{1100}\u{1161}\u{11A8}") == "éậ 각각")
        #expect(try text(#"{"type":"NFD"}"#, "éậ각") == "e\u{301}a\u{323}\u{302}\u{1100}\u{1161}\u{11A8}")
        #expect(try text(#"{"type":"NFKC"}"#, "ﬁ①ｶﾞ\u{2126}") == "fi1ガΩ")
        #expect(try text(#"{"type":"NFKD"}"#, "ﬁé㎏") == "fie\u{301}kg")
        #expect(try text(#"{"type":"NFC"}"#, "x\u{301}\u{344}\u{302E}\u{1D165}").isEmpty == false)
    }

    @Test func caseIsMappedWithoutContext() throws {
        #expect(try text(#"{"type":"Lowercase"}"#, "ΟΔΟΣ İ ÉA") == "οδοσ i\u{307} éa")
    }

    @Test func endsAreStripped() throws {
        #expect(try text(#"{"type":"Strip","strip_left":false,"strip_right":true}"#, "\u{3000} a \n") == "\u{3000} a")
        #expect(try text(#"{"type":"Strip"}"#, " \u{85}") == "")
    }

    @Test func mapsThatMultiplyTextsAreRefused() throws {
        let long = String(repeating: "x", count: 1200)
        do {
            _ = try load(precompiled([("a", long)]))
            Issue.record("should have been refused")
        } catch let error as TuttiError {
            #expect(error.problem.contains("1200 times"))
        }
    }
}
