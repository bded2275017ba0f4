// Regular expressions: what is refused and why, and that no pattern takes more than bounded work. What patterns match is
// compared with the reference's in TokenizerPipelineTests.

import Foundation
import TestSupport
import Testing
import TuttiFormats
import TuttiGround
import TuttiText

@Suite struct RegularExpressionTests {
    private func matches(_ pattern: String, _ text: String) throws -> [String] {
        let bytes = Array(text.utf8)
        return try RegularExpression(pattern).matches(in: text).map { String(decoding: bytes[$0], as: UTF8.self) }
    }

    @Test func theFirstWayThatMatchesCounts() throws {
        #expect(try matches("a|ab|abc", "abc") == ["a"])
        #expect(try matches("ab?c??", "abcabc") == ["ab", "ab"])
        #expect(try matches("(?:a|ab)(?:c|bcd)", "abcd") == ["abcd"])
        #expect(try matches(#"\s+(?!\S)|\s+"#, "a   b ") == ["  ", " ", " "])
        #expect(try matches("a{2}+", "aaaaa") == ["aaaa"])
        #expect(try matches("a{2}?b", "aab b") == ["aab", "b"])
        #expect(try matches(#"\p{Alphabetic}+|\p{Uppercase}"#, "ab1\u{E9}") == matches("[[:alpha:]]+", "ab1\u{E9}"))
        #expect(try matches("(?i:'S)|k", "'ſ'S\u{212A}k") == ["'ſ", "'S", "k"])
    }

    @Test(arguments: [
        ("(a", "has no ')'"), ("a)", "has no '('"), ("[a", "']'"), ("*a", "nothing to repeat"),
        ("(?<=a)b", "lookbehind"),
        ("(?<!a)b", "lookbehind"), (#"(a)\1"#, #"\1"#), ("(?>a)b", "atomic"), ("(?=a+)b", "unlimited"),
        ("(?:a*)*", "match nothing"), ("(?:ab)++", "possessive"), (#"\p{Nope}"#, "Nope"), ("(?i:é)", "ASCII"),
        ("(?i:ss)", "one code point"), ("a{2000}", "1000"), ("[b-a]", "empty"), ("(?x: a)", "(?x"), ("a{3,2}", "{3,2}"),
        (#"\x{110000}"#, "hexadecimal"), ("\\", "ends"), ("(?:(?:a{99}){99}){99}", "instructions"), ("^*", "place"),
    ]) func whatIsNotSupportedIsRefused(_ pattern: String, _ reason: String) throws {
        let error = #expect(throws: RegexProblem.self) { try RegularExpression(pattern) }
        #expect(error?.problem.contains(reason) == true, "\(pattern): \(error?.problem ?? "")")
    }

    @Test func aRefusalNamesTheFileAndThePattern() throws {
        let document =
            #"{"model":{"type":"WordLevel","vocab":{"a":0},"unk_token":"a"},"pre_tokenizer":"#
            + #"{"type":"Split","pattern":{"Regex":"(?<=a)b"},"behavior":"Isolated"}}"#
        try withTemporaryDirectory { folder in
            try AtomicWrite.file(path: folder + "/tokenizer.json", text: document)
            let error = #expect(throws: TuttiError.self) { try Tokenizer.load(directory: folder) }
            #expect(error?.kind == .data && error?.subject.contains("tokenizer.json: pre_tokenizer.pattern") == true)
            #expect(error?.problem.contains("(?<=a)b") == true && error?.problem.contains("lookbehind") == true)
        }
    }

    /// Patterns that take exponential or cubic time by plain backtracking, and texts that bring it about.
    @Test(
        .timeLimit(.minutes(1)),
        arguments: [
            ("(?:a|aa)+$b", "a"), ("(?:a+)+b", "a"), ("(?:a|b|ab)+c", "ab"), ("a*a*a*a*b", "a"), ("(?:a*b|a)", "a"),
            ("(?:x+x+)+y", "x"), (#"(?:\w+\s?)+z"#, "ab "), (#"(?:(?:a?b?){1,9})+c"#, "ab"), ("a++b|a", "a"),
            ("(?:a|a|a|a)+?b", "a"), (#"\s*[\r\n]+|\s+(?!\S)"#, " "), ("(?:(?=aaa)a|aa)+b", "a"),
        ]) func hostilePatternsTakeBoundedWork(_ pattern: String, _ unit: String) throws
    {
        let expression: RegularExpression
        do {
            expression = try RegularExpression(pattern)
        } catch {
            return  // refusing is as good
        }
        let text = String(repeating: unit, count: 20_000)
        _ = expression.matches(in: text)
        _ = expression.matches(in: text + "!")
    }

    @Test func rememberingChangesNoMatch() throws {
        // The text is long enough to use up the steps of the plain program in its middle.
        let pattern = "(?:a|aa)+b|(?:a|b)c|."
        let part = String(repeating: "a", count: 40) + "cab!"
        let short = try matches(pattern, part)
        let long = try matches(pattern, String(repeating: part, count: 50))
        #expect(short.count == 42 && long == Array(repeating: short, count: 50).flatMap { $0 })
    }
}
