// Every reader on good files, and the place and words of every error.

import Foundation
import Testing
import TuttiCorpus
import TuttiFormats
import TuttiGround

@Suite struct ReadersTests {
    private let scratch: Scratch

    init() throws { scratch = try Scratch() }

    /// The same rows in every format.
    private static let forms: [(name: String, text: String)] = [
        ("t.csv", "anchor,positive,label\n\"a, 1\",b,0\n,\"d\n2\",1\n"),
        ("t.tsv", "anchor\tpositive\tlabel\r\na, 1\tb\t0\r\n\t\"d\n2\"\t1\r\n"),
        (
            "t.json",
            #"[{"anchor": "a, 1", "positive": "b", "label": 0}, {"label": 1, "positive": "d\n2", "anchor": ""}]"#
        ),
        ("u.json", #"{"anchor": ["a, 1", ""], "positive": ["b", "d\n2"], "label": [0, 1]}"#),
        (
            "v.json",
            "{\"anchor\": \"a, 1\", \"positive\": \"b\", \"label\": 0}\n{\"anchor\": \"\", \"positive\": \"d\\n2\", \"label\": 1}\n"
        ),
        (
            "t.jsonl",
            "{\"anchor\": \"a, 1\", \"positive\": \"b\", \"label\": 0}\n\n{\"anchor\": \"\", \"positive\": \"d\\n2\", \"label\": 1}"
        ),
        (
            "t.ndjson",
            "\u{FEFF}{\"anchor\": \"a, 1\", \"positive\": \"b\", \"label\": 0}\r\n{\"anchor\": \"\", \"positive\": \"d\\n2\", \"label\": 1}\r\n"
        ),
    ]

    @Test(arguments: forms.indices)
    func everyFormatGivesTheSameRows(form: Int) throws {
        let (name, text) = ReadersTests.forms[form]
        let table = try scratch.table(name, text)
        #expect(table.columnNames == ["anchor", "positive"])
        #expect(rows(table) == [["a, 1", "b"], ["", "d\n2"]])
        #expect(table.labelName == "label")
        #expect((0..<2).map { table.label(row: $0) } == [.integer(0), .integer(1)])
        let first = try scratch.table(ReadersTests.forms[0].name, ReadersTests.forms[0].text)
        #expect(table.contentDigest() == first.contentDigest())
    }

    @Test(arguments: forms.indices)
    func columnsSelectAndOrder(form: Int) throws {
        let (name, text) = ReadersTests.forms[form]
        let table = try scratch.table(name, text, columns: ["positive", "anchor"])
        #expect(table.columnNames == ["positive", "anchor"] && table.labelName == nil && table.label(row: 0) == nil)
        #expect(rows(table)[0] == ["b", "a, 1"])
        let labelled = try scratch.table(name, text, columns: ["label", "positive"])
        #expect(labelled.columnNames == ["positive"] && labelled.label(row: 1) == .integer(1))
        let error = try #require(try scratch.flaw(name, text, columns: ["anchr", "positive"]))
        #expect(error.kind == .data && error.hint?.contains("'anchor'") == true)
    }

    @Test func theRegistryIsWhatIsRead() throws {
        let extensions = Array(DatasetReaders.all.flatMap { $0.extensions }.prefix(5))
        #expect(extensions == ["csv", "tsv", "json", "jsonl", "ndjson"])
        #expect(Set(extensions).count == extensions.count)
        #expect(Set(ReadersTests.forms.map { ($0.name as NSString).pathExtension }) == Set(extensions))
        #expect(DatasetReaders.all.allSatisfy { !$0.summary.isEmpty })
    }

    /// Of a format that the package knows but refuses, or of one that it does not know.
    @Test func aReaderFromOutsideIsUsed() throws {
        let text = "text|label\nx y|1\nz|0\n"
        #expect(try scratch.flaw("a.bar", text)?.problem.contains(".bar are not supported") == true)
        #expect(try scratch.flaw("a.xlsx", text)?.problem.contains(".xlsx files are not supported") == true)
        DatasetReaders.add(BarReader.self)
        for name in ["a.bar", "a.xlsx"] {
            let table = try scratch.table(name, text)
            #expect(rows(table) == [["x y"], ["z"]] && table.label(row: 0) == .integer(1))
            #expect(try scratch.flaw(name, text, columns: ["txt"])?.hint?.contains("'text'") == true)
            #expect(try scratch.flaw(name, "text|label\nx|one\n")?.subject.hasSuffix(":2") == true)
        }
        let path = try scratch.file("b.bar", "text\nx\ny\n")
        #expect(try loadTextColumn(path) == ["x", "y"], "a table, not lines of text")
    }

    @Test func theFirstLabelNameCounts() throws {
        #expect(try scratch.table("a.csv", "score,text,label\nx,y,1\n").columnNames == ["score", "text"])
        #expect(try scratch.table("a.csv", "scores,text\n1,y\n").labelName == "scores")
        #expect(try scratch.table("a.csv", "labels,scores,text\n1,x,y\n").labelName == "labels")
        #expect(try scratch.table("a.csv", "Label,text\n1,y\n").labelName == nil)
    }

    @Test func labelsOfAllKindsAreRead() throws {
        func labels(_ cells: [String]) throws -> [Label?] {
            let text = "text,label\n" + cells.map { csvLine(["x", $0]) + "\n" }.joined()
            let table = try scratch.table("l.csv", text)
            return (0..<table.rowCount).map { table.label(row: $0) }
        }
        #expect(try labels(["1", "-2", " 3 "]) == [.integer(1), .integer(-2), .integer(3)])
        #expect(try labels(["1", "0.5", "2"]) == [.float(1), .float(0.5), .float(2)])
        #expect(try labels(["1e-3", "4"]) == [.float(0.001), .float(4)])
        #expect(try labels(["[1, 0.5]", "[2,3]"]) == [.floats([1, 0.5]), .floats([2, 3])])
        #expect(try labels(["True", "False"]) == [.integer(1), .integer(0)])
        let lists = try scratch.table(
            "l.jsonl", "{\"t\": \"x\", \"scores\": [1, 2.5]}\n{\"t\": \"y\", \"scores\": [3, 4]}")
        #expect(lists.label(row: 1) == .floats([3, 4]))
        let nested = try scratch.table(
            "nested.jsonl",
            "{\"a\": \"x\", \"label\": [[1, 2.5], [3, 4]]}\n{\"a\": \"y\", \"label\": [[5, 6], [7, 8]]}\n")
        #expect(nested.label(row: 0) == .floats([1, 2.5, 3, 4]))
    }

    /// File, content, columns, place, words of the problem.
    private static let flaws: [(String, String, [String]?, String, String)] = [
        ("f.csv", "a,b\n1,2\n3\n", nil, "f.csv:3", "1 fields, the header has 2"),
        ("f.csv", "a,b\n1,\"x\ny\"\n3,4,5\n", nil, "f.csv:4:5", "3 fields"),
        ("f.csv", "a,b\n1,\"x\n", nil, "f.csv:2:3", "closing quote"),
        ("f.csv", "", nil, "f.csv", "empty"),
        ("f.csv", "a,b\n", nil, "f.csv", "no rows"),
        ("f.csv", "a,a\n1,2\n", nil, "f.csv:1", "duplicate column 'a'"),
        ("f.csv", ",a\n0,x\n", nil, "f.csv:1", "column 1 has no name"),
        ("f.csv", "a,label\nx,2\n", ["a", "label", "label"], "f.csv:1", "'label' is there twice"),
        ("f.csv", "label,score\n1,2\n", ["label"], "f.csv:1", "no text column"),
        ("f.csv", "a,label\nx,1\ny,cat\n", nil, "f.csv:3:3", "'cat'"),
        ("f.csv", "a,label\nx,\n", nil, "f.csv:2:3", "not a number"),
        ("f.csv", "a,label\nx,nan\n", nil, "f.csv:2:3", "not a number"),
        ("f.csv", "a,label\nx,inf\n", nil, "f.csv:2:3", "not a number"),
        ("f.csv", "a,label\nx,0x10\n", nil, "f.csv:2:3", "not a number"),
        ("f.csv", "a,label\nx,1\ny,\"[1]\"\n", nil, "f.csv:3:3", "is a list"),
        ("f.csv", "a,label\nx,[1]\ny,2\n", nil, "f.csv:3:3", "is a number"),
        ("f.csv", "a,label\nx,[1]\ny,\"[1,2]\"\n", nil, "f.csv:3:3", "2 numbers"),
        ("f.csv", "a,label\nx,[]\n", nil, "f.csv:2:3", "empty list"),
        ("f.csv", "a,label\nx,\"[[1],[2,3]]\"\n", nil, "f.csv:2:3", "list of numbers"),
        ("f.csv", "a,label\nx,\"[[1],2]\"\n", nil, "f.csv:2:3", "list of numbers"),
        ("f.csv", "a,label\nx,\"[1,\"\"b\"\"]\"\n", nil, "f.csv:2:3", "not a number"),
        ("f.jsonl", "{\"a\": \"x\"}\n{\"a\": 3}\n", nil, "f.jsonl:2", "a number, expected a string"),
        ("f.jsonl", "{\"a\": \"x\"}\n{\"a\": null}\n", nil, "f.jsonl:2", "null, expected a string"),
        ("f.jsonl", "{\"a\": [\"x\", 1]}\n", nil, "f.jsonl:1", "a number in its list, expected a list of strings"),
        ("f.jsonl", "{\"a\": \"x\"}\n{\"a\": [\"y\"]}\n", nil, "f.jsonl:2", "an array, expected a string"),
        ("f.jsonl", "{\"a\": [\"x\"]}\n{\"a\": \"y\"}\n", nil, "f.jsonl:2", "a string, expected a list"),
        ("f.jsonl", "{\"a\": [\"x\"]}\n{\"a\": []}\n", nil, "f.jsonl:2", "'a' is empty"),
        ("f.jsonl", "{\"a\": [\"x\"], \"b\": [\"y\"], \"c\": \"z\"}\n", nil, "f.jsonl:1", "'a' and 'b' hold lists"),
        ("f.jsonl", "{\"negs\": [\"x\"], \"label\": 1}\n", nil, "f.jsonl:1", "lists of negatives only"),
        ("f.jsonl", "{\"a\": \"x\"}\n\n{\"b\": \"y\"}\n", nil, "f.jsonl:3", "'b' that the first row lacks"),
        ("f.jsonl", "{\"a\": \"x\", \"b\": \"y\"}\n{\"a\": \"y\"}\n", nil, "f.jsonl:2", "no column 'b'"),
        ("f.jsonl", "{\"a\": \"x\"}\n[1]\n", nil, "f.jsonl:2", "an array, expected an object"),
        ("f.jsonl", "{\"a\": \"x\"}\n{\"a\": \"y\n", nil, "f.jsonl:2:7", "closing quote"),
        ("f.jsonl", "\n \n", nil, "f.jsonl", "no rows"),
        ("f.jsonl", "{\"a\": \"x\", \"label\": \"no\"}\n", nil, "f.jsonl:1", "'no'"),
        ("f.json", "[]", nil, "f.json", "no rows"),
        ("f.json", "[\n{\"a\": \"x\"},\n{\"a\": true}]", nil, "f.json:3", "true or false, expected a string"),
        ("f.json", "{\"a\": [\"x\"], \"b\": []}", nil, "f.json", "'b' has 0 rows"),
        ("f.json", "{\"a\": {\n\"0\": \"x\"}, \"b\": {\"1\": \"y\"}}", nil, "f.json", "'b' has other rows than 'a'"),
        (
            "f.json", "{\"columns\": [\"a\", \"b\"],\n\"data\": [[\"x\", \"y\"], [\"z\"]]}", nil, "f.json: row 2",
            "a list of 1"
        ),
        (
            "f.json", "{\"data\": [\n{\"a\": \"x\"}, {\"b\": \"y\"}]}", nil, "f.json: row 2",
            "'b' that the first row lacks"
        ),
        ("f.json", "{\"a\": [\"x\", 1]}", nil, "f.json: row 2", "a number, expected a string"),
        ("f.json", "\"text\"", nil, "f.json", "neither"),
        ("f.json", "", nil, "f.json", "neither"),
        ("f.parquet", "PAR1", nil, "f.parquet", "ends too early"),
        ("f.parquet", "a,b\n1,2\n3,4\n", nil, "f.parquet", "is not a Parquet file"),
        ("f.arrow", "a,b\n1,2\n", nil, "f.arrow", "ends too early"),
        ("f.csv.gz", "x", nil, "f.csv.gz", "is not compressed as its name says"),
        ("f.csv.zip", "x", nil, "f.csv.zip", "are not supported"),
        ("f.txt", "", nil, "f.txt", "the file is empty"),
        ("f.xyz", "x", nil, "f.xyz", ".xyz are not supported"),
        ("file", "x", nil, "file", "no extension"),
    ]

    @Test(arguments: flaws.indices)
    func flawsAreToldWithTheirPlace(index: Int) throws {
        let (name, text, columns, place, words) = ReadersTests.flaws[index]
        let error = try #require(try scratch.flaw(name, text, columns: columns))
        #expect(error.kind == .data)
        #expect(error.subject == place, "\(error)")
        #expect(error.problem.contains(words), "\(error)")
    }

    @Test func missingFilesAndWrongEncodingsAreTold() throws {
        let missing = try #require(failure { try loadTable(DatasetSpecification(path: scratch.path + "/none.csv")) })
        #expect(missing.kind == .missingFile && missing.subject == scratch.path + "/none.csv")
        let latin = try scratch.file("l.csv", bytes: Array("a,b\nx,caf".utf8) + [0xE9, 0x0A])
        let error = try #require(failure { try loadTable(DatasetSpecification(path: latin)) })
        #expect(error.kind == .data && error.subject == "\(latin):2:6")
    }

    @Test func rowsSurviveARoundTrip() throws {
        let pieces = ["", " ", "a", "\"", ",", "\n", "\r\n", "é", "\u{301}", "👩‍💻", "\t", "x\u{0}y", "[1]", "'"]
        var generator = CounterRandom(seed: 3, epoch: 0, purpose: 0)
        var expected: [[String]] = []
        for _ in 0..<400 {
            expected.append((0..<3).map { _ in (0..<3).map { _ in pieces.randomElement(using: &generator)! }.joined() })
        }
        let names = ["one", "two", "three"]
        let csv = ([names] + expected).map { csvLine($0) }.joined(separator: "\n")
        let tsv = ([names] + expected).map { csvLine($0, separator: "\t") }.joined(separator: "\r\n")
        let objects = expected.map { row -> JSONValue in
            var object = JSONObject()
            for (name, text) in zip(names, row) { object[name] = .string(text) }
            return .object(object)
        }
        #expect(rows(try scratch.table("r.csv", csv)) == expected)
        #expect(rows(try scratch.table("r.tsv", tsv)) == expected)
        #expect(rows(try scratch.table("r.json", JSONValue.array(objects).serialized(indent: 1))) == expected)
        #expect(rows(try scratch.table("r.jsonl", objects.map { $0.serialized() }.joined(separator: "\n"))) == expected)
        var digests = Set<String>()
        for row in 0..<5 {
            var changed = expected
            changed[row][1] += "!"
            let table = try Table(columns: names.enumerated().map { place, name in (name, changed.map { $0[place] }) })
            digests.insert(table.contentDigest())
        }
        #expect(digests.count == 5)
    }

    @Test func textsToEncodeAreLinesOrAColumn() throws {
        #expect(
            try loadTextColumn(scratch.file("t.txt", "one\r\n\ntwo words\nlast")) == ["one", "", "two words", "last"])
        #expect(try loadTextColumn(scratch.file("t", "one\n")) == ["one"])
        #expect(try loadTextColumn(scratch.file("t.csv", "text,label\na,1\nb,2\n")) == ["a", "b"])
        let two = try scratch.file("two.jsonl", "{\"q\": \"x\", \"a\": \"y\"}\n{\"q\": \"z\", \"a\": \"w\"}")
        #expect(try loadTextColumn(two, column: "a") == ["y", "w"])
        #expect(failure { try loadTextColumn(two) }?.kind == .usage)
        #expect(failure { try loadTextColumn(two, column: "b") }?.kind == .data)
        #expect(failure { try loadTextColumn(scratch.file("t.txt", "x"), column: "a") }?.kind == .usage)
        #expect(failure { try loadTextColumn(scratch.file("e.txt", "")) }?.kind == .data)
        #expect(failure { try loadTextColumn(scratch.path + "/none.txt") }?.kind == .missingFile)
        #expect(
            failure { try loadTextColumn(scratch.file("l.txt", bytes: [0x61, 0x0A, 0xFF])) }?.subject.hasSuffix(
                "l.txt:2:1") == true)
    }

    @Test func retrievalFilesAreRead() throws {
        let corpus = try RetrievalFiles.corpus(
            scratch.file(
                "corpus.jsonl",
                #"{"_id": "d1", "title": "Wings", "text": "lift "}"# + "\n"
                    + #"{"_id": 2, "title": "", "text": " drag"}"# + "\n"
                    + #"{"_id": "d3", "text": "heat", "metadata": {}}"#))
        #expect(corpus.ids == ["d1", "2", "d3"] && corpus.texts == ["Wings lift", "drag", "heat"])
        let queries = try RetrievalFiles.queries(scratch.file("q.jsonl", #"{"_id": "q1", "text": " what? "}"#))
        #expect(queries.ids == ["q1"] && queries.texts == [" what? "])
        let judged = try RetrievalFiles.judgements(
            scratch.file("qrels.tsv", "query-id\tcorpus-id\tscore\nq1\td1\t1\nq1\t2\t0\n"))
        #expect(judged == [.init(query: "q1", document: "d1", score: 1), .init(query: "q1", document: "2", score: 0)])
        let ungraded = try RetrievalFiles.judgements(scratch.file("bare.tsv", "query-id\tcorpus-id\nq1\td1\n"))
        #expect(ungraded == [.init(query: "q1", document: "d1", score: 1)])
    }

    @Test func flawedRetrievalFilesAreTold() throws {
        func place(_ name: String, _ text: String) throws -> String {
            let path = try scratch.file(name, text)
            let error = failure {
                name.hasSuffix("tsv")
                    ? (try RetrievalFiles.judgements(path).count) : (try RetrievalFiles.corpus(path).ids.count)
            }
            return error.map { String($0.subject.dropFirst(scratch.path.count + 1)) } ?? "none"
        }
        #expect(try place("c.jsonl", "{\"_id\": \"a\", \"text\": \"x\"}\n{\"text\": \"x\"}") == "c.jsonl:2")
        #expect(try place("c.jsonl", "{\"_id\": \"a\", \"text\": 1}") == "c.jsonl:1")
        #expect(
            try place("c.jsonl", "{\"_id\": \"a\", \"text\": \"x\"}\n{\"_id\": \"a\", \"text\": \"y\"}") == "c.jsonl:2")
        #expect(try place("c.jsonl", "") == "c.jsonl")
        #expect(try place("q.tsv", "query-id\tscore\nq\t1\n") == "q.tsv:1")
        #expect(try place("q.tsv", "query-id\tcorpus-id\tscore\nq\td\thigh\n") == "q.tsv:2:5")
        #expect(try place("q.tsv", "query-id\tcorpus-id\tscore\nq\td\n") == "q.tsv:2")
        #expect(try place("q.tsv", "query-id\tcorpus-id\tscore\n") == "q.tsv")
    }
}

/// A reader written outside the package: cells between bars.
private enum BarReader: DatasetReader {
    static let extensions = ["bar", "xlsx"]
    static let summary = "cells between bars, a header line"

    static func read(_ file: MappedFile, columns: [String]?, options: ReaderOptions) throws(TuttiError) -> Table {
        let lines = file.text.split(separator: "\n").map { $0.split(separator: "|").map(String.init) }
        let selection = try ColumnSelection(header: lines[0], columns: columns, source: "\(file.path):1")
        var builder = selection.builder(source: file.path)
        for (number, cells) in lines.enumerated().dropFirst() {
            for column in selection.texts { builder.append(text: cells[column]) }
            guard let column = selection.label else { continue }
            let place = "\(file.path):\(number + 1)"
            guard let label = Int(cells[column]) else { throw TuttiError(.data, "read table", place, "no number") }
            try builder.append(label: .integer(label), place: place)
        }
        return try builder.table()
    }
}
