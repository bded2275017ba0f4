// `tutti split DATA`: train, dev and test files of one data set, or a retrieval collection of its held-out pairs.

import ArgumentParser
import Foundation
import TuttiCorpus
import TuttiFormats
import TuttiGround

struct SplitCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "split", abstract: "Split a data set into train, dev and test files.",
        discussion: """
            Rows with the same text in a --group column stay together, by default the first text column: no anchor of \
            the dev file is in the train file. The files are JSON lines. With --beir the dev and test pairs become \
            retrieval collections as well (corpus.jsonl with the second column's texts of all rows, queries.jsonl, \
            qrels.tsv), for InformationRetrievalEvaluator.
            """)

    @Argument(help: ArgumentHelp("Data set: a file that `tutti train` reads.", valueName: "file"))
    var data: String

    @Option(help: ArgumentHelp("Folder for the files; created.", valueName: "folder"))
    var output: String

    @Option(help: ArgumentHelp("Share of the rows for dev.jsonl.", valueName: "share"))
    var dev = 0.1

    @Option(help: ArgumentHelp("Share of the rows for test.jsonl.", valueName: "share"))
    var test = 0.0

    @Option(help: ArgumentHelp("Columns to write, comma-separated; label included.", valueName: "names"))
    var columns: String?

    @Option(help: ArgumentHelp("Columns whose equal texts stay together, or none.", valueName: "names|none"))
    var group: String?

    @Flag(help: "Also write dev-beir/ and test-beir/.")
    var beir = false

    @Option(help: ArgumentHelp("Seed of the draw.", valueName: "n"))
    var seed: UInt64 = 42

    @Flag(help: "Replace files that exist.")
    var overwrite = false

    @OptionGroup(title: "Table format") var table: TableOptions

    func validate() throws {
        for (name, share) in [("--dev", dev), ("--test", test)] where !(0..<1).contains(share) {
            throw ValidationError("\(name) \(share): a share of the rows is from 0 to below 1")
        }
        guard dev + test < 1 else { throw ValidationError("--dev and --test leave no rows to train on") }
        guard dev + test > 0 else { throw ValidationError("--dev and --test are both 0: nothing to split") }
    }

    func run() throws {
        func names(_ text: String?) -> [String]? { text?.split(separator: ",").map { String($0) } }
        let rows = try loadTable(
            DatasetSpecification(path: data, columns: names(columns), options: try table.readerOptions()))
        rows.notices.forEach(TableOptions.notice)
        let together = group == "none" ? [] : try (names(group) ?? [rows.columnNames[0]]).map(rows.column)
        try RowSplit(
            rows: rows, folder: output, dev: dev, test: test, together: together, beir: beir, seed: seed,
            overwrites: overwrite
        ).write()
    }
}

/// A data set that is being dealt to train, dev and test files.
struct RowSplit {
    let rows: Table
    /// Where the files go.
    let folder: String
    /// Shares of the rows.
    let dev, test: Double
    /// Columns whose equal texts stay together.
    let together: [Int]
    /// Whether dev and test become retrieval collections too.
    let beir: Bool
    var seed: UInt64 = 42
    let overwrites: Bool

    /// Writes the files, and says what they hold.
    func write() throws(TuttiError) {
        if beir, rows.columnNames.count < 2 {
            throw TuttiError(
                .usage, "split", rows.source,
                "has one text column, and a retrieval collection needs queries and documents",
                hint: "Choose two with --columns, or leave out --beir.")
        }
        let parts = [("train", 1 - dev - test), ("dev", dev), ("test", test)].filter { $0.1 > 0 }
        let split = GroupedSplit(rows, shares: parts.map(\.1), columns: together, seed: seed)
        for ((name, share), part) in zip(parts, split.parts) where part.isEmpty {
            throw TuttiError(
                .data, "split", rows.source,
                "\(rows.rowCount) rows in \(split.groupCount) groups leave none for \(name)",
                hint: "Raise --\(name) (now \(share)), or group by fewer columns.")
        }
        try prepare(parts.map(\.0))
        for ((name, _), part) in zip(parts, split.parts) {
            let path = "\(folder)/\(name).jsonl"
            try AtomicWrite.file(path: path, text: part.map { rows.line($0) + "\n" }.joined())
            try Output.line("\(path): \(part.count) rows")
            if beir, name != "train" { try writeCollection(part, "\(folder)/\(name)-beir") }
        }
    }

    /// Creates the folder; refuses one that holds such files already.
    private func prepare(_ names: [String]) throws(TuttiError) {
        let present = names.flatMap { ["\($0).jsonl", "\($0)-beir"] }.first {
            FileManager.default.fileExists(atPath: "\(folder)/\($0)")
        }
        if let present, !overwrites {
            throw TuttiError(
                .usage, "split", "\(folder)/\(present)", "exists", hint: "Choose another --output, or pass --overwrite."
            )
        }
        try Output.makeFolder(folder)
    }

    /// The pairs `part` as queries with their documents among those of all rows.
    private func writeCollection(_ part: [Int], _ folder: String) throws(TuttiError) {
        try Output.makeFolder(folder)
        let documents = Numbered(rows.texts(column: 1))
        let queries = Numbered(part.map { rows.text(row: $0, column: 0) })
        var judgements = "query-id\tcorpus-id\tscore\n"
        var seen: Set<[Int]> = []
        for row in part {
            let pair = [
                queries.number(of: rows.text(row: row, column: 0)),
                documents.number(of: rows.text(row: row, column: 1)),
            ]
            if seen.insert(pair).inserted { judgements += "q\(pair[0])\td\(pair[1])\t1\n" }
        }
        func lines(_ texts: [String], _ letter: String) -> String {
            texts.enumerated().map { number, text in
                let object: JSONObject = ["_id": .string("\(letter)\(number)"), "text": .string(text)]
                return JSONValue.object(object).serialized() + "\n"
            }.joined()
        }
        try AtomicWrite.file(path: folder + "/corpus.jsonl", text: lines(documents.texts, "d"))
        try AtomicWrite.file(path: folder + "/queries.jsonl", text: lines(queries.texts, "q"))
        try AtomicWrite.file(path: folder + "/qrels.tsv", text: judgements)
        try Output.line("\(folder): \(queries.texts.count) queries, \(documents.texts.count) documents")
    }
}

/// Distinct texts, numbered by their first appearance.
private struct Numbered {
    private(set) var texts: [String] = []
    private var numbers: [String: Int] = [:]

    init(_ all: [String]) {
        for text in all where numbers[text] == nil {
            numbers[text] = texts.count
            texts.append(text)
        }
    }

    /// The number of one of the texts.
    func number(of text: String) -> Int { numbers[text, default: -1] }
}

extension Table {
    /// A row as a JSON object: texts and label under their names.
    fileprivate func line(_ row: Int) -> String {
        var object = JSONObject()
        for (column, name) in columnNames.enumerated() { object[name] = .string(text(row: row, column: column)) }
        if let labelName {
            object[labelName] =
                switch label(row: row) {
                case .integer(let number): .integer(Int64(number))
                case .float(let number): .number(number)
                case .floats(let numbers): .array(numbers.map { .number($0) })
                case nil: nil
                }
        }
        return JSONValue.object(object).serialized()
    }
}
