// `tutti inspect PATH`: describes a model, a data set, a retrieval collection or a run.

import ArgumentParser
import Foundation
import TuttiCorpus
import TuttiFormats
import TuttiGround
import TuttiModels

struct InspectCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "inspect", abstract: "Describe a model, a data set or a run.",
        discussion: """
            A folder with tutti_run.json is a run, one with config.json or modules.json a model, one with corpus.jsonl a \
            retrieval collection (BEIR); a file is a data set.
            """)

    @Argument(help: ArgumentHelp("Model folder, hub id, data file or output_dir of a run.", valueName: "path"))
    var path: String

    @Flag(help: "List every parameter of a model.")
    var parameters = false

    @Option(help: ArgumentHelp("Texts of a batch that memory to train is told for.", valueName: "texts"))
    var batch = 32

    @Option(help: ArgumentHelp("Tokens of each, by default the longest text up to 128.", valueName: "tokens"))
    var length: Int?

    @OptionGroup(title: "Table format") var table: TableOptions

    @Flag(help: "Print one JSON object.")
    var json = false

    func run() throws {
        let facts = try facts()
        if json {
            try Output.line(JSONValue.object(facts).serialized(indent: 2))
        } else {
            try Output.show(facts)
        }
    }

    private func facts() throws -> JSONObject {
        let files = FileManager.default
        var isDirectory: ObjCBool = false
        guard files.fileExists(atPath: path, isDirectory: &isDirectory) else {
            guard let folder = try cachedModel() else {
                throw TuttiError(
                    .missingFile, "inspect", path,
                    "no such file or folder, and no such model in the local cache")
            }
            return try modelFacts(folder)
        }
        guard isDirectory.boolValue else { return try dataset() }
        func holds(_ name: String) -> Bool { files.fileExists(atPath: path + "/" + name) }
        if holds("tutti_run.json") { return try trainingRun() }
        if holds("config.json") || holds("modules.json") { return try modelFacts(path) }
        if holds("corpus.jsonl") || holds("queries.jsonl") { return try collection() }
        if DatasetReaders.hasTables(path) { return try dataset() }
        throw TuttiError(
            .data, "inspect", path, "is neither a run, a model, a retrieval collection, nor a folder of tables",
            hint: "Expected tutti_run.json, config.json or modules.json, corpus.jsonl and queries.jsonl, or data files."
        )
    }

    /// The folder of a hub id in the local cache.
    private func cachedModel() throws(TuttiError) -> String? {
        do throws(TuttiError) {
            return try ModelHub.resolve(path)
        } catch {
            guard error.kind == .missingFile else { throw error }
            return nil
        }
    }

    private func collection() throws -> JSONObject {
        var facts: JSONObject = ["kind": .string("retrieval collection"), "path": .string(path)]
        for (key, name) in [("documents", "corpus.jsonl"), ("queries", "queries.jsonl")] {
            let table = try loadTable(DatasetSpecification(path: path + "/" + name))
            facts[key] = .integer(Int64(table.rowCount))
        }
        let folder = path + "/qrels"
        var judgements: [String] = FileManager.default.fileExists(atPath: path + "/qrels.tsv") ? ["qrels.tsv"] : []
        if FileManager.default.fileExists(atPath: folder) {
            let names = try FileManager.default.contentsOfDirectory(atPath: folder).sorted()
            judgements += names.filter { $0.hasSuffix(".tsv") }.map { "qrels/" + $0 }
        }
        facts["qrels"] = .array(judgements.map { .string($0) })
        return facts
    }

    private func dataset() throws -> JSONObject {
        let table = try loadTable(DatasetSpecification(path: path, options: try table.readerOptions()))
        for line in table.notices { TableOptions.notice(line) }
        var facts: JSONObject = ["kind": .string("data set"), "path": .string(path)]
        facts["rows"] = .integer(Int64(table.rowCount))
        var columns = JSONObject()
        for (index, name) in table.columnNames.enumerated() {
            let lengths = (0..<table.rowCount).map { table.text(row: $0, column: index).unicodeScalars.count }.sorted()
            var column: JSONObject = ["example": .string(String(table.text(row: 0, column: index).prefix(120)))]
            column["shortest"] = .integer(Int64(lengths.first ?? 0))
            column["median"] = .integer(Int64(lengths[lengths.count / 2]))
            column["longest"] = .integer(Int64(lengths.last ?? 0))
            column["empty"] = .integer(Int64(lengths.prefix { $0 == 0 }.count))
            columns[name] = .object(column)
        }
        facts["text_columns"] = .object(columns)
        if let label = table.labelName {
            facts["label_column"] = .string(label)
            facts["first_label"] = table.label(row: 0).map { .string("\($0)") } ?? .null
        }
        return facts
    }

    private func trainingRun() throws -> JSONObject {
        let file = try JSONValue.parse(file: path + "/tutti_run.json")
        var facts: JSONObject = ["kind": .string("run"), "path": .string(path)]
        for key in ["status", "tutti_version", "identity", "configuration"] { facts[key] = file.object?[key] ?? .null }
        let names = try FileManager.default.contentsOfDirectory(atPath: path).sorted()
        facts["checkpoints"] = .array(names.filter { $0.hasPrefix("checkpoint-") }.map { .string($0) })
        facts["final"] = .bool(names.contains("final"))
        let log = path + "/metrics.jsonl"
        if FileManager.default.fileExists(atPath: log) {
            // A run that was killed may have left half a line.
            for line in try MappedFile(path: log).text.split(separator: "\n").reversed() where line.last == "}" {
                facts["last_line"] = try JSONValue.parse(String(line), source: log)
                break
            }
        }
        return facts
    }
}
