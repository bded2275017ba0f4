// CSV against Python's writer, its errors with their places, and a fuzz.

import Foundation
import FuzzTargets
import TestSupport
import Testing
import TuttiFormats
import TuttiGround

@Suite struct CSVTests {
    private func records(_ text: [UInt8], separator: Unicode.Scalar = ",") throws -> [[String]] {
        try text.withUnsafeBytes { buffer in
            var parser = CSVParser(buffer, source: "f.csv", separator: separator)
            var record = CSVRecord()
            var found: [[String]] = []
            while try parser.next(&record) { found.append(record.fields) }
            return found
        }
    }

    private func records(_ text: String, separator: Unicode.Scalar = ",") throws -> [[String]] {
        try records(Array(text.utf8), separator: separator)
    }

    @Test func quotesLineEndsAndMarksAreRead() throws {
        #expect(try records("a,b\n1,2\r\n3,4\r5,6") == [["a", "b"], ["1", "2"], ["3", "4"], ["5", "6"]])
        #expect(try records("\u{FEFF}a,b\n") == [["a", "b"]])
        #expect(try records("\"a,\"\"b\"\"\",\"two\r\nlines\",\n") == [["a,\"b\"", "two\r\nlines", ""]])
        #expect(try records("a\n\n\r\n\"\"\nb") == [["a"], [""], ["b"]])
        #expect(try records("a\"b,c d \n") == [["a\"b", "c d "]])
        #expect(try records("a\tb,c\n\"x\ty\"\tz", separator: "\t") == [["a", "b,c"], ["x\ty", "z"]])
        #expect(try records(",,\n") == [["", "", ""]])
        #expect(try records("") == [])
    }

    @Test func withoutAQuoteAllCharactersAreText() throws {
        let text = Array("a\tb\n\"x,\" he said\t\"y\n5\"\t\"z\"\n".utf8)
        let found = try text.withUnsafeBytes { buffer in
            var parser = CSVParser(buffer, source: "f.tsv", separator: "\t", quote: nil)
            var record = CSVRecord()
            var found: [[String]] = []
            while try parser.next(&record) {
                found.append(record.fields)
                // What no quote can enclose, no hint proposes to enclose.
                #expect(parser.raggedRow(record, expected: 1).hint?.contains("quote: none") == true)
            }
            return found
        }
        #expect(found == [["a", "b"], ["\"x,\" he said", "\"y"], ["5\"", "\"z\""]])
        #expect(failure { try records("a\n\"x\"y") }?.hint?.contains("quote: none") == true)
    }

    @Test(arguments: [
        ("a,b\n1,\"x\n\ny", "2:3", "closing quote"), ("a\n\"x\"y", "2:4", "after a closing quote"),
        ("a,\"é\" ,c", "1:6", "after a closing quote"),
    ])
    func errorsNameTheirPlace(text: String, place: String, word: String) throws {
        let error = try #require(failure { try records(text) })
        #expect(error.kind == .data && error.subject == "f.csv:\(place)")
        #expect(error.problem.contains(word))
    }

    @Test func wrongEncodingsAreTold() throws {
        let latin = try #require(failure { try records(Array("a,b\nx,caf".utf8) + [0xE9, 0x0A]) })
        #expect(latin.subject == "f.csv:2:6" && latin.hint?.contains("LATIN1") == true)
        let wide = try #require(failure { try records([0xFF, 0xFE, 0x61, 0x00]) })
        #expect(wide.hint?.contains("UTF-16") == true)
        for bad: [UInt8] in [
            [0xC0, 0x80], [0xED, 0xA0, 0x80], [0xF4, 0x90, 0x80, 0x80], [0xE4, 0xBD], [0x80], [0xF8],
        ] {
            #expect(failure { try records(Array("aaaaaaaaa".utf8) + bad) }?.subject == "f.csv:1:10")
        }
    }

    @Test func pythonsFilesAreReadAndWrittenTheSame() throws {
        let text = try bytes(of: golden("table.csv"))
        let rows = try records(text)
        let file = try MappedFile(path: golden("table.jsonl"))
        var lines = try JSONSequence(file.bytes, form: .lines, source: file.path)
        for row in rows.dropFirst() {
            let line = try #require(try lines.next()?.value)
            #expect(line["anchor"]?.string == row[0] && line["positive"]?.string == row[1])
            #expect(line["score"]?.double == Double(row[2]))
        }
        #expect(try lines.next() == nil)
        #expect(rows.count == 301)
        #expect(rows.map { csvLine($0) + "\r\n" }.joined() == String(decoding: text, as: UTF8.self))
    }

    @Test func mutatedTextsAreRecordsOrTypedErrors() throws {
        let original = Array(try bytes(of: golden("table.csv")).prefix(2000))
        var mutator = Mutator(3)
        var counts = (read: 0, told: 0)
        for _ in 0..<4000 {
            let error = failure {
                let rows = try records(mutator.mutate(original, alphabet: Array("\",\r\n é".utf8)))
                let again = try records(rows.map { csvLine($0) }.joined(separator: "\n"))
                #expect(again == rows)
            }
            if let error {
                #expect(error.kind == .data && error.subject.hasPrefix("f.csv:"))
                counts.told += 1
            } else {
                counts.read += 1
            }
        }
        #expect(counts.read > 100 && counts.told > 100, "\(counts)")
    }
}
