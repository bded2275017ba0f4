// Data as they come: compressed, in several files and folders, with lists in their rows, renamed, filtered, shuffled, split.

import Foundation
import TestSupport
import Testing
import TuttiCorpus
import TuttiFormats
import TuttiGround

@Suite struct DatasetShapesTests {
    private let scratch: Scratch
    private static let golden = Goldens.path("columnar")

    init() throws { scratch = try Scratch() }

    /// The table of a data set as a configuration writes it, with paths in the temporary folder for those that begin with "/".
    private func load(_ text: String) throws -> Table {
        let json = try JSONValue.parse(text.replacingOccurrences(of: "\"@", with: "\"" + scratch.path + "/"))
        do throws(OptionProblem) {
            return try loaded(try DatasetSpecification(option: json))
        } catch {
            throw TuttiError(.usage, "read", error.path, error.problem, hint: error.hint)
        }
    }

    private func loaded(_ specification: DatasetSpecification) throws(OptionProblem) -> Table {
        do {
            return try loadTable(specification)
        } catch {
            let error = TuttiError(error)
            throw OptionProblem("\(error.kind) \(error)", hint: error.hint)
        }
    }

    private func flaw(_ text: String) -> String { failure { try load(text) }?.problem ?? "none" }

    private func write(_ name: String, _ text: String) throws {
        let folder = (scratch.path + "/" + name as NSString).deletingLastPathComponent
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        _ = try scratch.file(name, text)
    }

    // MARK: Formats

    @Test func columnarFilesBecomeTables() throws {
        let wanted = try load(
            "{\"path\": \"\(Self.golden)/texts~pyarrow-dictionary-snappy-v1-1048576.parquet\", "
                + "\"columns\": [\"anchor\", \"label\"]}")
        #expect(wanted.columnNames == ["anchor"] && wanted.labelName == "label" && wanted.rowCount == 40)
        for name in ["pyarrow-view-zstd.arrow", "polars-zstd.parquet", "duckdb-snappy-v2.parquet", "feather-lz4.arrow"]
        {
            let table = try load("{\"path\": \"\(Self.golden)/texts~\(name)\", \"columns\": [\"anchor\", \"label\"]}")
            #expect(table.contentDigest() == wanted.contentDigest(), "\(name)")
        }
        let path = "\(Self.golden)/texts~polars-zstd.parquet"
        let absent = flaw("{\"path\": \"\(path)\", \"columns\": [\"anchor\", \"positive\"]}")
        #expect(absent.contains("column 'positive' is null, expected a string") && absent.contains(": row "))
        #expect(absent.contains("filter: {empty: true}"))
        let kept = try load(
            "{\"path\": \"\(path)\", \"columns\": [\"anchor\", \"positive\"], \"filter\": [\"empty\"]}")
        #expect(kept.rowCount < 40 && rows(kept).allSatisfy { $0.allSatisfy { !$0.isEmpty } })
        #expect(kept.notices.contains { $0.contains("the filter leaves out \(40 - kept.rowCount) of 40 rows") })
        #expect(flaw("\"\(path)\"").contains("column 'label' is a number") == false)
        #expect(flaw("{\"path\": \"\(path)\", \"quote\": \"none\"}").contains("do not apply to Parquet"))
        let lists = try load(
            "{\"path\": \"\(Self.golden)/lists~polars-zstd.parquet\", \"columns\": [\"query\", \"label\"]}")
        guard case .floats(let label) = lists.label(row: 0) else { return #expect(Bool(false), "no list") }
        #expect(label.count == 4)
    }

    @Test(arguments: ["gz", "zst", "bz2", "xz"])
    func compressedFilesAreRead(_ ending: String) throws {
        let packed = [UInt8](try Data(contentsOf: URL(fileURLWithPath: "\(Self.golden)/rows.csv.\(ending)")))
        let expected = [["a, 1", "café"], ["c", "d\n2"]]
        // By the extension, by another case, and by the first bytes where the name does not say it.
        for name in ["rows.csv.\(ending)", "ROWS.CSV.\(ending.uppercased())", "rows.csv"] {
            let path = try scratch.file(name, bytes: packed)
            let table = try loadTable(DatasetSpecification(path: path))
            #expect(rows(table) == expected && table.label(row: 1) == .integer(1), "\(name)")
        }
        #expect(try loadTextColumn("\(Self.golden)/rows.csv.\(ending)", column: "positive") == ["café", "d\n2"])
        for end in 1..<packed.count {
            let path = try scratch.file("cut.csv.\(ending)", bytes: Array(packed[..<end]))
            let error = failure { try loadTable(DatasetSpecification(path: path)) }
            // Between its two members a file is whole, and holds the first.
            if error == nil { #expect(try loadTable(DatasetSpecification(path: path)).rowCount == 1) }
            #expect(error?.kind ?? .data == .data && error?.subject ?? path == path, "\(end) bytes: \(error as Any)")
        }
        var refused = 0
        for place in 0..<packed.count {
            var changed = packed
            changed[place] ^= 0x20
            let path = try scratch.file("bad.csv.\(ending)", bytes: changed)
            if let error = failure({ try loadTable(DatasetSpecification(path: path)) }) {
                #expect(error.kind == .data, "byte \(place): \(error)")
                refused += 1
            }
        }
        #expect(refused > packed.count / 2)
    }

    @Test func shapesOfJSONAreRead() throws {
        let expected = [["x", "y"], ["z", "w"]]
        for text in [
            #"{"data": [{"a": "x", "b": "y"}, {"a": "z", "b": "w"}], "version": 1}"#,
            "{\"version\": 1,\n\"data\": [{\"a\": \"x\", \"b\": \"y\"},\n{\"a\": \"z\", \"b\": \"w\"}]}",
            #"{"a": {"0": "x", "1": "z"}, "b": {"0": "y", "1": "w"}}"#,
            #"{"a": ["x", "z"], "b": ["y", "w"]}"#,
            #"{"columns": ["a", "b"], "index": [0, 1], "data": [["x", "y"], ["z", "w"]]}"#,
        ] {
            try write("s.json", text)
            let table = try load("\"@s.json\"")
            #expect(table.columnNames == ["a", "b"] && rows(table) == expected, "\(text)")
        }
        try write("one.json", #"{"query": "q", "pos": ["a", "b"], "neg": ["x"]}"#)
        #expect(rows(try load("\"@one.json\"")) == [["q", "a", "x"], ["q", "b", "x"]], "a single row of JSON lines")
    }

    @Test func linesOfTextAreTextsAndMayBeUsedTwice() throws {
        try write("t.txt", "one\r\n\ntwo words\n")
        #expect(rows(try load("\"@t.txt\"")) == [["one"], [""], ["two words"]])
        let twice = try load(#"{"path": "@t.txt", "columns": ["text", "text"], "filter": {"empty": true}}"#)
        #expect(
            twice.columnNames == ["text", "text_2"] && rows(twice) == [["one", "one"], ["two words", "two words"]])
        try write("t.csv", "text,text_2\na,b\n")
        let named = try load(#"{"path": "@t.csv", "columns": ["text", "text", "text_2"]}"#)
        #expect(named.columnNames == ["text", "text_3", "text_2"] && rows(named) == [["a", "a", "b"]])
        try write("t.jsonl", #"{"text": "a"}"#)
        #expect(rows(try load(#"{"path": "@t.jsonl", "columns": ["text", "text"]}"#)) == [["a", "a"]])
    }

    // MARK: Rows

    @Test func columnsAreRenamedBeforeTheyAreChosen() throws {
        try write(
            "r.jsonl",
            "{\"q\": \"x\", \"a\": \"y\", \"similarity\": 0.5}\n{\"q\": \"z\", \"a\": \"w\", \"similarity\": 1}")
        let table = try load(
            #"{"path": "@r.jsonl", "rename": {"q": "anchor", "similarity": "score"}, "columns": ["a", "anchor", "score"]}"#
        )
        #expect(table.columnNames == ["a", "anchor"] && table.label(row: 0) == .float(0.5))
        try write("r.csv", "q,a\nx,y\n")
        #expect(try load(#"{"path": "@r.csv", "rename": {"q": "anchor"}}"#).columnNames == ["anchor", "a"])
        #expect(flaw(#"{"path": "@r.csv", "rename": {"qq": "anchor"}}"#).contains("rename: no such column 'qq'"))
        #expect(flaw(#"{"path": "@r.csv", "rename": {"q": "a"}}"#).contains("duplicate column 'a'"))
        #expect(flaw(#"{"path": "@r.csv", "rename": {"q": 1}}"#).contains("is not a name"))
    }

    @Test func rowsAreChosenFilteredAndShuffled() throws {
        let texts = ["aa", "b", "aa", " ", "dddd", "é", "aa"]
        try write("f.csv", "text,label\n" + texts.enumerated().map { "\"\($0.element)\",\($0.offset / 6)\n" }.joined())
        func first(_ options: String) throws -> [String] {
            rows(try load("{\"path\": \"@f.csv\", \(options)}")).map { $0[0] }
        }
        #expect(try first(#""rows": "1:3""#) == ["b", "aa"])
        #expect(try first(#""rows": 2"#) == ["aa", "b"])
        #expect(try first(#""rows": "5:""#) == ["é", "aa"])
        #expect(try first(#""filter": {"duplicate": true}"#) == ["aa", "b", " ", "dddd", "é", "aa"], "labels differ")
        #expect(try first(#""filter": {"duplicate": true}, "rows": ":6""#) == ["aa", "b", " ", "dddd", "é"])
        #expect(try first(#""filter": {"min_length": 2, "max_length": 3}"#) == ["aa", "aa", "aa"])
        #expect(try first(#""filter": {"max_length": 1, "empty": true}"#) == ["b", "é"], "characters, not bytes")
        let shuffled = try first(#""shuffle": 7"#)
        #expect(shuffled.sorted() == texts.sorted() && shuffled != texts)
        #expect(try first(#""shuffle": 7"#) == shuffled && first(#""shuffle": 8"#) != shuffled)
        let table = try load(#"{"path": "@f.csv", "shuffle": 7}"#)
        for row in 0..<7 where table.text(row: row, column: 0) == "dddd" {
            #expect(table.label(row: row) == .integer(0))
        }
        #expect(flaw(#"{"path": "@f.csv", "rows": "9:12"}"#).contains("has 7 rows"))
        #expect(flaw(#"{"path": "@f.csv", "rows": "3:3"}"#).contains("ends at 3"))
        #expect(flaw(#"{"path": "@f.csv", "rows": "a:3"}"#).contains("is not a row number"))
        #expect(flaw(#"{"path": "@f.csv", "filter": {"min_length": 9}}"#).contains("no row passes"))
        #expect(flaw(#"{"path": "@f.csv", "filter": {"shortest": 9}}"#).contains("unknown key"))
        #expect(flaw(#"{"path": "@f.csv", "filter": {"min_length": 9, "max_length": 3}}"#).contains("below min_length"))
        #expect(flaw(#"{"path": "@f.csv", "validation_split": 1.5}"#).contains("not between 0 and 1"))
    }

    @Test func equalAnchorsStayTogetherInAValidationSplit() throws {
        let anchors = (0..<400).map { "anchor \($0 % 130)" }
        let table = try Table(
            columns: [("anchor", anchors), ("positive", (0..<400).map { "text \($0)" })],
            labels: (0..<400).map { .integer($0) })
        let (training, validation) = try table.validationSplit(0.1)
        #expect(training.rowCount + validation.rowCount == 400 && (37...43).contains(validation.rowCount))
        let (a, b) = (Set(training.texts(column: 0)), Set(validation.texts(column: 0)))
        #expect(a.isDisjoint(with: b) && a.count + b.count == 130)
        for part in [training, validation] {
            for row in 0..<part.rowCount {
                guard case .integer(let number) = part.label(row: row) else { return #expect(Bool(false)) }
                #expect(part.text(row: row, column: 1) == "text \(number)", "rows stay whole")
            }
        }
        #expect(try table.validationSplit(0.1).validation.contentDigest() == validation.contentDigest())
        let one = try Table(columns: [("anchor", ["x", "x"]), ("positive", ["a", "b"])])
        #expect(failure { try one.validationSplit(0.5) }?.problem.contains("1 different anchors") == true)
    }

    // MARK: Lists

    private static let flagEmbedding = """
        {"query": "q1", "pos": ["a", "b"], "neg": ["x", "y", "z"]}
        {"query": "q2", "pos": ["c"], "neg": ["u", "v"]}
        """

    @Test func listsBecomeRowsAndColumns() throws {
        try write("l.jsonl", Self.flagEmbedding)
        let all = try load("\"@l.jsonl\"")
        #expect(all.columnNames == ["query", "pos", "neg_1", "neg_2"])
        #expect(rows(all) == [["q1", "a", "x", "y"], ["q1", "b", "x", "y"], ["q2", "c", "u", "v"]])
        #expect(all.notices.contains { $0.contains("'neg' has 2 to 3 texts; 2 of each row are used") })
        let first = try load(#"{"path": "@l.jsonl", "negatives": {"first": 1}}"#)
        #expect(first.columnNames == ["query", "pos", "neg"] && rows(first).map { $0[2] } == ["x", "x", "u"])
        #expect(flaw(#"{"path": "@l.jsonl", "negatives": {"first": 3}}"#).contains("row 3: 'neg' has 2 texts"))
        #expect(flaw(#"{"path": "@l.jsonl", "negatives": {"frist": 3}}"#).contains("{sample: N}"))
        #expect(
            flaw(#"{"path": "@l.jsonl", "columns": ["query", "pos"], "negatives": "all"}"#).contains(
                "no column has lists"))
        try write("p.csv", "a,b\nx,y\n")
        #expect(flaw(#"{"path": "@p.csv", "negatives": {"sample": 1}}"#).contains("no column has lists"))
        // Passages of Tevatron, and another column between.
        try write(
            "t.jsonl",
            #"{"query": "q", "positive_passages": [{"docid": "1", "title": "T", "text": "body"}], "#
                + #""negative_passages": [{"title": "", "text": "n"}], "label": 3}"#)
        let passages = try load("\"@t.jsonl\"")
        #expect(rows(passages) == [["q", "T body", "n"]] && passages.label(row: 0) == .integer(3))
        let both = try load(#"{"path": ["@l.jsonl", "@m.jsonl"]}"#.replacingOccurrences(of: "@m", with: "@l"))
        #expect(both.rowCount == 6 && rows(both)[3...] == rows(all)[...])
        let chosen = try load(#"{"path": "@l.jsonl", "rows": "1:", "shuffle": 1}"#)
        #expect(rows(chosen).sorted { $0[1] < $1[1] } == [["q1", "b", "x", "y"], ["q2", "c", "u", "v"]])
    }

    @Test func sampledNegativesAreDrawnAnewInEachEpoch() throws {
        let pool = (0..<6).map { "n\($0)" }
        let lines = (0..<40).map { row in
            #"{"query": "q\#(row)", "pos": ["p\#(row)"], "neg": [\#(pool.map { "\"\($0)-\(row)\"" }.joined(separator: ", "))]}"#
        }
        try write("s.jsonl", lines.joined(separator: "\n"))
        let table = try load(#"{"path": "@s.jsonl", "negatives": {"sample": 2}}"#)
        #expect(table.columnNames == ["query", "pos", "neg_1", "neg_2"] && table.isDrawn)
        let epochs = (0..<60).map { rows(table.drawn(epoch: $0, seed: 5)) }
        #expect(epochs[3] == rows(table.drawn(epoch: 3, seed: 5)) && epochs[3] != epochs[4])
        #expect(epochs[3] != rows(table.drawn(epoch: 3, seed: 6)))
        var counts: [String: Int] = [:]
        for drawn in epochs {
            for (row, cells) in drawn.enumerated() {
                #expect(cells[0] == "q\(row)" && cells[1] == "p\(row)" && cells[2] != cells[3])
                for cell in cells[2...] {
                    #expect(cell.hasSuffix("-\(row)"))
                    counts[String(cell.prefix(2)), default: 0] += 1
                }
            }
        }
        // 4800 draws of six: 800 each, with a standard deviation of about 26.
        #expect(counts.count == 6 && counts.values.allSatisfy { (690...910).contains($0) }, "\(counts)")
        let short = try load(#"{"path": "@s.jsonl", "negatives": {"sample": 8}}"#).drawn(epoch: 1, seed: 1)
        let drawn = rows(short)[0][2...]
        #expect(Set(drawn).count == 6 && Set(drawn.prefix(6)).count == 6, "all once before any twice")
        #expect(try load(#"{"path": "@s.jsonl", "negatives": {"first": 2}}"#).isDrawn == false)
        let one = try load(#"{"path": "@s.jsonl", "negatives": {"sample": 1}}"#)
        #expect(one.columnNames == ["query", "pos", "neg"])
        #expect(one.contentDigest() != table.contentDigest())
    }

    // MARK: Files

    @Test func severalFilesPatternsAndFoldersAreOneDataSet() throws {
        try write("d/train-00000-of-00002.csv", "a,b\n1,2\n")
        try write("d/train-00001-of-00002.csv", "a,b\n3,4\n")
        try write("d/dev.csv", "a,b\n5,6\n")
        try write("d/README.md", "text")
        func first(_ text: String) throws -> [String] { rows(try load(text)).map { $0[0] } }
        #expect(try first(#"["@d/dev.csv", "@d/train-00000-of-00002.csv"]"#) == ["5", "1"])
        #expect(try first(#""@d/train-*.csv""#) == ["1", "3"])
        #expect(try first(#""@d/*.csv""#) == ["5", "1", "3"], "a pattern asks for all that it matches")
        #expect(try first(#"{"path": "@d/*.csv", "split": "dev"}"#) == ["5"])
        #expect(try first(#""@d""#) == ["1", "3"], "train by default")
        #expect(try first(#"{"path": "@d", "split": "validation"}"#) == ["5"])
        #expect(flaw(#"{"path": "@d", "split": "test"}"#).contains("has no split 'test'"))
        #expect(flaw(#"{"path": "@d/dev.csv", "split": "test"}"#).contains("this is one file"))
        #expect(flaw(#""@d/x*.csv""#).contains("no file matches"))
        try write("e/data/part-1.jsonl", #"{"a": "x", "b": "y"}"#)
        #expect(try first(#""@e""#) == ["x"])
        #expect(flaw(#"["@d/dev.csv", "@f.csv"]"#).contains("no such file"))
        try write("g.csv", "a,c\n1,2\n")
        #expect(flaw(#"["@d/dev.csv", "@g.csv"]"#).contains("has the columns a, c, but"))
        try write("m/train.csv", "a,b\n1,2\n")
        try write("m/more.csv", "a,b\n3,4\n")
        try write("m/facts.json", "{}")
        #expect(flaw(#""@m""#).contains("more.csv does not"), "no file is left out without a word")
        #expect(try first(#"{"path": "@m", "split": "train"}"#) == ["1"])
        try write("h/notes.md", "x")
        #expect(flaw(#""@h""#).contains("has no tables"))
        try write("k/train/a.csv", "a,b\n7,8\n")
        try write("k/test/a.csv", "a,b\n9,0\n")
        #expect(try first(#""@k""#) == ["7"] && first(#"{"path": "@k", "split": "test"}"#) == ["9"])
    }

    @Test func foldersOfDatasetsAreRead() throws {
        let arrow = [UInt8](
            try Data(contentsOf: URL(fileURLWithPath: "\(Self.golden)/texts~pyarrow-large-stream.arrow")))
        for split in ["train", "test"] {
            try write("saved/\(split)/dataset_info.json", "{}")
            try write(
                "saved/\(split)/state.json",
                #"{"_data_files": [{"filename": "data-00000-of-00002.arrow"}, {"filename": "data-00001-of-00002.arrow"}]}"#
            )
            for number in 0..<2 {
                _ = try scratch.file("saved/\(split)/data-0000\(number)-of-00002.arrow", bytes: arrow)
            }
        }
        try write("saved/dataset_dict.json", #"{"splits": ["train", "test"]}"#)
        let columns = #""columns": ["anchor", "label"]"#
        #expect(try load("{\"path\": \"@saved\", \(columns)}").rowCount == 80)
        #expect(try load("{\"path\": \"@saved\", \"split\": \"test\", \(columns)}").rowCount == 80)
        #expect(try load("{\"path\": \"@saved/train\", \(columns)}").rowCount == 80)
        try write("saved/test/state.json", #"{"_data_files": [{"filename": "../x.arrow"}]}"#)
        #expect(flaw(#"{"path": "@saved", "split": "test"}"#).contains("is not in its folder"))
    }

    @Test func retrievalFoldersBecomePairs() throws {
        try write(
            "b/corpus.jsonl",
            "{\"_id\": \"d1\", \"title\": \"T\", \"text\": \"one\"}\n{\"_id\": \"d2\", \"text\": \"two\"}")
        try write("b/queries.jsonl", "{\"_id\": \"q1\", \"text\": \"first\"}\n{\"_id\": \"q2\", \"text\": \"second\"}")
        try write("b/qrels/train.tsv", "query-id\tcorpus-id\tscore\nq1\td1\t1\nq1\td2\t2\nq2\td1\t0\n")
        try write("b/qrels/test.tsv", "q2 0 d2 1\nq1 0 d1 0\n")
        let pairs = try load("\"@b\"")
        #expect(pairs.columnNames == ["query", "document"] && rows(pairs) == [["first", "T one"], ["first", "two"]])
        #expect(rows(try load(#"{"path": "@b", "split": "test"}"#)) == [["second", "two"]], "TREC's format")
        #expect(rows(try load(#"{"path": "@b", "columns": ["document", "query"]}"#))[0] == ["T one", "first"])
        try write("b/qrels/dev.tsv", "q2 0 d9 1\n")
        #expect(flaw(#"{"path": "@b", "split": "dev"}"#).contains("the document 'd9', which has no text"))
        try write("b/qrels/dev.tsv", "q2 0 d2 1\nq2 0 d2\n")
        #expect(flaw(#"{"path": "@b", "split": "dev"}"#).contains("not a line of a TREC file"))
    }

    @Test func hubNamesAreToldFromFiles() throws {
        for name in ["sentence-transformers/all-nli", "all-nli", "owner/set.v2"] {
            let error = flaw("\"\(name)\"")
            #expect(
                error.contains("no such file or folder") && error.contains("tutti download --dataset \(name)"))
        }
        for name in ["train.csv", "data/train.parquet", "./all-nli", "/a/b", "a/b/c"] {
            #expect(!flaw("\"\(name)\"").contains("hub"), "\(name)")
        }
    }
}
