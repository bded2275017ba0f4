// Files of separated values that are not written as their extension says, and what is said of odd cells.

import Testing
import TuttiCorpus
import TuttiFormats
import TuttiGround

@Suite struct ReaderOptionsTests {
    private let scratch: Scratch

    init() throws { scratch = try Scratch() }

    private func options(_ json: String) throws -> ReaderOptions {
        let object = try #require(try JSONValue.parse(json).object)
        return try ReaderOptions({ object[$0] }, error: { TuttiError(.usage, "test", $0, $1, hint: $2) })
    }

    private func table(_ name: String, _ text: String, _ json: String, columns: [String]? = nil) throws -> Table {
        try loadTable(
            DatasetSpecification(path: try scratch.file(name, text), columns: columns, options: try options(json)))
    }

    private let bare = "genre\tscore\ta\tb\nnews\t5.0\tone\ttwo\nnews\t3.2\t\"Fine,\" he said.\tA \"big\" one\n"

    @Test func quotesMayBeOrdinaryCharacters() throws {
        let columns = ["a", "b", "score"]
        let error = failure { try self.table("t.tsv", bare, "{}", columns: columns) }
        #expect(error?.kind == .data && error?.hint?.contains("quote: none") == true)
        let table = try self.table("t.tsv", bare, #"{"quote": "none"}"#, columns: columns)
        #expect(rows(table) == [["one", "two"], ["\"Fine,\" he said.", "A \"big\" one"]])
        #expect(table.label(row: 1) == .float(3.2) && table.notices.isEmpty)
        let single = try self.table("s.csv", "a;b\n'x;y';z\n", #"{"delimiter": ";", "quote": "'"}"#)
        #expect(rows(single) == [["x;y", "z"]])
    }

    @Test func fieldsMayBeNamedByTheConfiguration() throws {
        let text = "1\tfirst text\n2\tsecond text\n"
        let named = try table("t.tsv", text, #"{"header": ["id", "text"]}"#, columns: ["text"])
        #expect(rows(named) == [["first text"], ["second text"]])
        let all = try table("t.tsv", text, #"{"header": false}"#, columns: ["id", "text"])
        #expect(all.columnNames == ["id", "text"] && all.rowCount == 2)
        #expect(failure { try table("t.tsv", text, #"{"header": false}"#) }?.hint?.contains("columns: [...]") == true)
        let ragged = failure { try table("t.tsv", text, #"{"header": false}"#, columns: ["text"]) }
        #expect(ragged?.kind == .data && ragged?.hint?.contains("header: [...]") == true)
        // A delimiter makes a table of a file whose extension says nothing.
        #expect(try table("t.txt", "a|b\nx|y\n", #"{"delimiter": "|"}"#).columnNames == ["a", "b"])
        #expect(
            try loadTextColumn(
                scratch.file("u.tsv", text), column: "text", options: options(#"{"header": ["id", "text"]}"#)) == [
                    "first text", "second text",
                ])
    }

    @Test(arguments: [
        (#"{"delimiter": "ab"}"#, "delimiter"), (#"{"quote": 3}"#, "quote"), (#"{"header": "x"}"#, "header"),
        (#"{"delimiter": ",", "quote": ","}"#, "quote"), (#"{"header": []}"#, "header"),
    ])
    func valuesThatMeanNothingAreRefused(json: String, key: String) {
        #expect(failure { try options(json) }?.subject == key)
    }

    @Test func optionsOfSeparatedValuesAreNotForJSON() throws {
        let error = failure { try table("t.jsonl", #"{"a": "x"}"#, #"{"quote": "none"}"#) }
        #expect(error?.kind == .usage && error?.problem.contains("JSON") == true)
        #expect(try options(#"{"delimiter": "tab"}"#).delimiter == "\t")
        #expect(try options(#"{"quote": null, "header": true}"#) == ReaderOptions())
    }

    @Test func cellsThatSwallowRowsAreNoticed() throws {
        let text = "a\tb\tscore\n\"Open quote\tb\t1.0\nsecond\tends here\"\tthird\t0.5\nfoo\tbar\t0.2\n"
        let notices = try scratch.table("t.tsv", text).notices
        #expect(notices.count == 1 && notices[0].contains("quote: none") && notices[0].contains("line 2"))
        let comma = "a,b,c\n\"x,y,z\nu,v,w\nr\",s,t\n"
        #expect(try scratch.table("t.csv", comma).notices.count == 1)
        // Texts of several lines, with commas, are what quotes are for.
        let fine = "question,answer\nwhy,\"Well, so.\nYes, and no.\"\n\"One,\ntwo\",three\n"
        #expect(try scratch.table("f.csv", fine).notices.isEmpty)
        #expect(try scratch.table("f.tsv", "a\tb\n\"two\nlines\"\tx\n").notices.isEmpty)
    }

    @Test func textsThatAreProbablyMissingAreCounted() throws {
        let notices = try scratch.table("t.csv", "a,b\nx,\nNaN,y\nNA,null\nnation,  \n").notices
        #expect(notices.count == 1)
        #expect(notices[0].contains("2 empty texts (first in row 1)"))
        #expect(notices[0].contains("3 texts like NaN, NA or null (first in row 2)"))
        #expect(try scratch.table("u.csv", "a,b\nx,y\nnation,nulls\n").notices.isEmpty)
    }

    @Test func labelsMayBeTextsOfNumbers() throws {
        let table = try scratch.table("t.jsonl", #"{"a": "x", "label": "0"}"# + "\n" + #"{"a": "y", "label": "1"}"#)
        #expect(table.label(row: 0) == .integer(0) && table.label(row: 1) == .integer(1))
        #expect(try scratch.flaw("u.jsonl", #"{"a": "x", "label": "yes"}"#)?.problem.contains("not a number") == true)
    }

    @Test func columnsThatAreNoTextsAreFound() throws {
        let count = 120
        let table = try Table(columns: [
            ("ticket", (0..<count).map { "\(10_000 + $0)" }), ("agent", (0..<count).map { $0 % 2 == 0 ? "Ann" : "Bo" }),
            ("status", [String](repeating: "closed", count: count)), ("text", (0..<count).map { "text \($0)" }),
            ("years", (0..<count).map { $0 % 4 == 0 ? "in \($0)" : "\(1900 + $0)" }),
        ])
        let contents = ColumnContents(table)
        #expect(contents.numbers == ["ticket"])
        #expect(contents.recurring.map(\.name) == ["agent", "status"] && contents.recurring.map(\.values) == [2, 1])
        let lines = contents.warnings("data.csv")
        #expect(lines.count == 3 && lines.allSatisfy { $0.contains("columns: [...]") })
        #expect(lines[2].contains("the same text in every row"))
        // A few rows say nothing.
        #expect(ColumnContents(try Table(columns: [("a", ["1", "2"]), ("b", ["x", "x"])])).warnings("d").isEmpty)
    }
}
