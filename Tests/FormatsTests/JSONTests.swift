// JSON against Python's spelling of it, its errors with their places, and a fuzz that must never crash.

import Foundation
import FuzzTargets
import TestSupport
import Testing
import TuttiFormats
import TuttiGround

@Suite struct JSONTests {
    @Test func everyKindOfValueIsRead() throws {
        let value = try JSONValue.parse(
            #" { "a" : [ 1 , -2.5e3, 0, -0.0, true, false, null, "x" ] , "b" : { } , "c" : [] } "#)
        let expected: JSONValue = .object([
            "a": .array([
                .integer(1), .number(-2500), .integer(0), .number(-0.0), .bool(true), .bool(false), .null, .string("x"),
            ]),
            "b": .object([:]), "c": .array([]),
        ])
        #expect(value == expected)
        #expect(value.object?.keys == ["a", "b", "c"])
        #expect(value["a"]?.array?[1].int == -2500)
        #expect(value["a"]?.array?[0].double == 1)
        #expect(value["missing"] == nil)
    }

    @Test func escapesAndSurrogatesAreRead() throws {
        let text = #""\" \\ \/ \b\f\n\r\t \u0041\u00e9\u4F60\uD83D\uDE00\u0000""#
        #expect(try JSONValue.parse(text).string == "\" \\ / \u{8}\u{c}\n\r\t Aé你😀\0")
    }

    @Test(arguments: [
        (#"{"a": 1,}"#, "1:9", "key"), ("[1, 2", "1:6", "','"), ("[1 2]", "1:4", "','"), ("{\"a\" 1}", "1:6", "':'"),
        ("", "1:1", "end of the text"), ("[NaN]", "1:2", "NaN"), ("[-Infinity]", "1:2", "Infinity"),
        ("[Infinity]", "1:2", "Infinity"), ("01", "1:1", "zero"), ("1.", "1:3", "digit"), ("1e", "1:3", "digit"),
        ("-", "1:2", "digit"), ("1e999", "1:1", "too large"), ("\"abc", "1:1", "closing quote"),
        ("\"\\x\"", "1:2", "backslash"), ("\"\\ud800\"", "1:2", "surrogate"), ("\"\\udc00x\"", "1:2", "surrogate"),
        ("\"\\ud800\\u0041\"", "1:2", "surrogate"), ("\"\\u00g0\"", "1:2", "hexadecimal"), ("nul", "1:1", "value"),
        ("1 2", "1:3", "end of the text"), ("{\n  \"é\": \"a\tb\"\n}", "2:10", "control character 9"),
        ("[\n\n  tru]", "3:3", "value"), ("'a'", "1:1", "value"), ("[1,\r\n2,\r\n,]", "3:1", "value"),
    ])
    func errorsNameTheirPlace(text: String, place: String, word: String) throws {
        let error = try #require(failure { try JSONValue.parse(text, source: "file.json") })
        #expect(error.kind == .data)
        #expect(error.subject == "file.json:\(place)")
        #expect(error.problem.contains(word), "\(error)")
    }

    @Test func wrongEncodingIsToldWithItsPlace() throws {
        let error = try #require(
            failure { try JSONValue.parse(Array("[\"a\",\n \"caf".utf8) + [0xE9] + Array("\"]".utf8), source: "f") })
        #expect(error.subject == "f:2:6")
        #expect(error.problem.contains("0xE9"))
        #expect(error.hint?.contains("iconv") == true)
    }

    @Test func nestingIsLimited() throws {
        func nested(_ depth: Int) -> String {
            String(repeating: "[", count: depth) + String(repeating: "]", count: depth)
        }
        #expect(failure { try JSONValue.parse(nested(JSONValue.depthLimit)) } == nil)
        #expect(failure { try JSONValue.parse(nested(JSONValue.depthLimit + 1)) }?.problem.contains("deeper") == true)
        #expect(failure { try JSONValue.parse(String(repeating: "[{\"a\":", count: 300_000)) }?.kind == .data)
    }

    @Test func repeatedKeysFollowPythonOrAreRefused() throws {
        let text = #"{"a": 1, "b": 2, "a": 3}"#
        let object = try #require(try JSONValue.parse(text).object)
        #expect(object.keys == ["a", "b"])
        #expect(object["a"] == .integer(3))
        let error = text.utf8.withContiguousStorageIfAvailable { bytes in
            failure { try JSONValue.parse(UnsafeRawBufferPointer(bytes), source: "f", repeatedKeys: .refused) }
        }
        #expect(error??.subject == "f:1:18")
    }

    @Test func largeIntegersStayExact() throws {
        #expect(try JSONValue.parse("9223372036854775807") == .integer(.max))
        #expect(try JSONValue.parse("-9223372036854775808") == .integer(.min))
        #expect(try JSONValue.parse("9223372036854775808") == .number(9_223_372_036_854_775_808))
        #expect(
            try JSONValue.parse("123456789012345678901234567890") == .number(123_456_789_012_345_677_877_719_597_056))
        #expect(try JSONValue.parse("2.0").int == 2)
        #expect(try JSONValue.parse("2.5").int == nil)
    }

    @Test func doublesAreReadAndSpelledAsInPython() throws {
        let file = try MappedFile(path: golden("doubles.jsonl"))
        var lines = try JSONSequence(file.bytes, form: .lines, source: file.path)
        var count = 0
        while let (line, _) = try lines.next() {
            let bits = try #require(line["bits"]?.string.flatMap { UInt64($0, radix: 16) })
            let value = Double(bitPattern: bits)
            #expect(line["value"]?.double?.bitPattern == bits)
            #expect(pythonSpelling(of: value) == line["text"]?.string)
            count += 1
        }
        #expect(count > 1500)
    }

    @Test func textsAreSpelledAsJsonDumpsSpellsThem() throws {
        let file = try JSONValue.parse(file: golden("spellings.json"))
        let document = try #require(file["document"])
        #expect(document.serialized() == file["plain"]?.string)
        #expect(document.serialized(sortKeys: true) == file["sorted"]?.string)
        #expect(document.serialized(indent: 2) == file["indented"]?.string)
        #expect(document.serialized(indent: 4, asciiOnly: true) == file["ascii"]?.string)
        #expect(JSONValue.array([.number(.nan), .number(.infinity)]).serialized() == "[null, null]")
    }

    @Test func objectsKeepTheirOrderAndFindTheirKeys() {
        var object = JSONObject()
        for number in 0..<40 { object["key\(number)"] = .integer(Int64(number)) }
        object["key7"] = .string("changed")
        #expect(object.remove("key3") == .integer(3))
        #expect(object.remove("key3") == nil)
        #expect(object.count == 39)
        #expect(object.keys == (0..<40).filter { $0 != 3 }.map { "key\($0)" })
        #expect(object["key7"] == .string("changed"))
        #expect(object["key39"] == .integer(39))
        for number in 0..<36 { object["key\(number)"] = nil }
        #expect(object.keys == ["key36", "key37", "key38", "key39"])
        #expect(object["key38"] == .integer(38) && object["key1"] == nil)
        object["key1"] = .null
        var reordered: JSONObject = ["key1": .null]
        for number in (36..<40).reversed() { reordered["key\(number)"] = .integer(Int64(number)) }
        #expect(object == reordered)
        reordered["key1"] = .bool(false)
        #expect(object != reordered)
    }

    @Test(.timeLimit(.minutes(1))) func largeObjectsLoseTheirKeysOneByOne() throws {
        let count = 100_000
        let text = "{" + (0..<count).map { "\"key\($0)\": \($0)" }.joined(separator: ", ") + "}"
        var object = try #require(try JSONValue.parse(text, source: "text").object)
        #expect(object.count == count)
        for index in 0..<count where index % 5 != 2 { object.remove("key\(index)") }
        #expect(object.count == count / 5 && object.keys.first == "key2" && object["key3"] == nil)
        object["key3"] = .bool(true)
        #expect(object.keys.last == "key3" && object["key7"] == .integer(7) && object.values.count == object.count)
        for key in object.keys { object.remove(key) }
        #expect(object.isEmpty && object.serialized() == "{}" && object == JSONObject())
    }

    @Test func sequencesGiveValuesWithTheirLines() throws {
        func values(_ text: String, _ form: JSONSequence.Form) throws -> [String] {
            let bytes = Array(text.utf8)
            return try bytes.withUnsafeBytes { buffer in
                var sequence = try JSONSequence(buffer, form: form, source: "f")
                var found: [String] = []
                while let (value, line) = try sequence.next() { found.append("\(line):\(value.serialized())") }
                return found
            }
        }
        #expect(try values("{\"a\":1}\r\n\n  \n[2]\n3", .lines) == ["1:{\"a\": 1}", "4:[2]", "5:3"])
        #expect(try values("\u{FEFF} [\n1, {\"a\":\n2},\n\n[]]\n", .array) == ["2:1", "2:{\"a\": 2}", "5:[]"])
        #expect(try values("[]", .array) == [])
        #expect(try values("", .lines) == [])
        #expect(failure { try values("[1,]", .array) }?.subject == "f:1:4")
        #expect(failure { try values("[1] x", .array) }?.subject == "f:1:5")
        #expect(failure { try values("[1 2]", .array) }?.subject == "f:1:4")
        #expect(failure { try values("{}", .array) }?.subject == "f:1:1")
        #expect(failure { try values("1\n2\n{", .lines) }?.subject == "f:3:2")
    }

    @Test func mutatedTextsAreValuesOrTypedErrors() throws {
        let original = try bytes(of: golden("spellings.json")).prefix(900) + Array("\"]}".utf8)
        let whole = Array(try JSONValue.parse(file: golden("spellings.json")).serialized().utf8)
        var mutator = Mutator(1)
        var counts = (values: 0, errors: 0)
        for round in 0..<6000 {
            let text = mutator.mutate(
                round % 2 == 0 ? Array(original) : whole, alphabet: Array("{}[]\",:\\u0dDe+-.1 \n".utf8))
            let error = failure {
                let value = try JSONValue.parse(text, source: "fuzz")
                let again = try JSONValue.parse(value.serialized())
                #expect(again == value)
            }
            if let error {
                #expect(error.kind == .data && error.subject.hasPrefix("fuzz:"))
                counts.errors += 1
            } else {
                counts.values += 1
            }
        }
        #expect(counts.values > 100 && counts.errors > 1000, "\(counts)")
    }
}
