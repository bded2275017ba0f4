// The files of a retrieval data set in the BEIR layout.
//
// corpus.jsonl: {"_id", "title" (optional), "text"}; queries.jsonl: {"_id", "text"}; qrels/*.tsv: a header line
// "query-id corpus-id score", then one judgement per line; without a score column every judgement counts 1. TREC's format,
// four fields without a header line (query, an unused field, document, grade), is told by its first line. All may be
// compressed. All may also be Parquet or Arrow files with columns of these names, as the hub has them; a query's documents
// may then be a list. A document is title and text joined by a space, as users of the reference's InformationRetrievalEvaluator join them.
// Reference: beir-cellar/beir, GenericDataLoader.

import Foundation
import TuttiFormats
import TuttiGround

/// Texts with ids.
package struct NamedTexts: Sendable {
    /// The unique ids, in file order.
    package let ids: [String]
    /// The texts, in the same order.
    package let texts: [String]

    /// Texts with ids; both of the same length.
    package init(ids: [String], texts: [String]) {
        precondition(ids.count == texts.count, "NamedTexts: \(ids.count) ids for \(texts.count) texts")
        self.ids = ids
        self.texts = texts
    }
}

/// A relevance judgement of a document for a query.
package struct RelevanceJudgement: Sendable, Equatable {
    /// The query id.
    package let query: String
    /// The document id.
    package let document: String
    /// The grade; zero means not relevant.
    package let score: Int

    /// Makes a judgement from its parts.
    package init(query: String, document: String, score: Int) {
        self.query = query
        self.document = document
        self.score = score
    }
}

/// The readers of the BEIR layout.
package enum RetrievalFiles {
    /// Reads documents, title and text joined by a space.
    ///
    /// Throws: `.missingFile`; `.data` naming file and line.
    package static func corpus(_ path: String) throws(TuttiError) -> NamedTexts {
        try namedTexts([path], hasTitles: true)
    }

    /// Whether the first line of a .jsonl file is a document: an object with an "_id" and a "text".
    ///
    /// Throws: `.missingFile`; `.data` for a line that is not JSON.
    package static func isCorpus(_ path: String) throws(TuttiError) -> Bool {
        let file = try MappedFile(path: path)
        guard DatasetReaders.fileExtension(of: path) == "jsonl" else { return false }
        var rows = try JSONSequence(file.bytes, form: .lines, source: path)
        let first = try rows.next()?.value
        return withExtendedLifetime(file) { first?["_id"] != nil && first?["text"] != nil }
    }

    /// Reads queries.
    ///
    /// Throws: `.missingFile`; `.data` naming file and line.
    package static func queries(_ path: String) throws(TuttiError) -> NamedTexts { try queries([path]) }

    /// Reads the queries of several files, one after the other.
    ///
    /// Throws: `.missingFile`; `.data` naming file and line.
    package static func queries(_ paths: [String]) throws(TuttiError) -> NamedTexts {
        try namedTexts(paths, hasTitles: false)
    }

    /// Reads judgements, including zero grades, in file order.
    ///
    /// Throws: `.missingFile`; `.data` naming file, line and column.
    package static func judgements(_ path: String) throws(TuttiError) -> [RelevanceJudgement] {
        let file = try MappedFile.unpacked(path: path)
        if let refusal = DatasetReaders.refusal(of: path) { throw refusal }
        if var rows = try ColumnarObjects(file, columns: ["query-id", "corpus-id", "score"]) {
            return try judgements(&rows, path)
        }
        if let judgements = try trecJudgements(file) { return judgements }
        var parser = CSVParser(file.bytes, source: path, separator: "\t")
        var record = CSVRecord()
        guard try parser.next(&record) else { throw TuttiError(.data, "read judgements", path, "the file is empty") }
        let header = record.fields
        var places: [Int] = []
        for name in ["query-id", "corpus-id"] {
            guard let place = header.firstIndex(of: name) else {
                throw TuttiError(
                    .data, "read judgements", "\(path):1", "no such column '\(name)'",
                    hint: "The header line must be query-id, corpus-id and, with grades, score, separated by tabs.")
            }
            places.append(place)
        }
        let scorePlace = header.firstIndex(of: "score")
        var judgements: [RelevanceJudgement] = []
        while try parser.next(&record) {
            guard record.count == header.count else { throw parser.raggedRow(record, expected: header.count) }
            var score = 1
            if let scorePlace {
                guard let grade = Int(record[scorePlace]) else {
                    throw TuttiError(
                        .data, "read judgements", parser.place(of: scorePlace, in: record),
                        "the score '\(record[scorePlace])' is not a whole number")
                }
                score = grade
            }
            judgements.append(
                RelevanceJudgement(query: record[places[0]], document: record[places[1]], score: score))
        }
        guard !judgements.isEmpty else { throw TuttiError(.data, "read judgements", path, "has no judgements") }
        return withExtendedLifetime(file) { judgements }
    }

    /// The file `name` in `folder`, which may be compressed there.
    static func file(_ name: String, in folder: String) -> String {
        let plain = "\(folder)/\(name)"
        let all = [plain] + FileCompression.allCases.map { "\(plain).\($0.fileExtension)" }
        return all.first { FileManager.default.fileExists(atPath: $0) } ?? plain
    }

    /// Judgements in TREC's format; nil if the first line is not of it.
    private static func trecJudgements(_ file: MappedFile) throws(TuttiError) -> [RelevanceJudgement]? {
        let first = file.bytes.prefix { $0 != 0x0A }.split { $0 == 0x20 || $0 == 0x09 || $0 == 0x0D }
        guard first.count == 4, Int(String(decoding: first[3], as: UTF8.self)) != nil else { return nil }
        var judgements: [RelevanceJudgement] = []
        for (number, line) in try PlainTextReader.lines(of: file).enumerated() {
            let fields = line.split { $0 == " " || $0 == "\t" }.map(String.init)
            if fields.isEmpty { continue }
            guard fields.count == 4, let grade = Int(fields[3]) else {
                throw TuttiError(
                    .data, "read judgements", "\(file.path):\(number + 1)",
                    "is not a line of a TREC file of judgements",
                    hint: "A line is: query, an unused field, document, a whole number; separated by spaces or tabs.")
            }
            judgements.append(RelevanceJudgement(query: fields[0], document: fields[2], score: grade))
        }
        return judgements
    }

    /// The judgements of the rows of a file that stores columns.
    private static func judgements(
        _ rows: inout ColumnarObjects, _ path: String
    ) throws(TuttiError) -> [RelevanceJudgement] {
        var judgements: [RelevanceJudgement] = []
        var row = 0
        while let object = try rows.next() {
            row += 1
            func flawed(_ column: String, _ words: String) -> TuttiError {
                let found = object[column].map { "has \($0.kindName) in the column" } ?? "has no column"
                return TuttiError(
                    .data, "read judgements", "\(path): row \(row)", "\(found) '\(column)'",
                    hint: "Columns are query-id, corpus-id (ids, or lists of them) and, with grades, score; \(words).")
            }
            guard let query = object["query-id"].flatMap(id) else {
                throw flawed("query-id", "an id is a text or a whole number")
            }
            let cell = object["corpus-id"]
            let documents = cell?.array?.map(id) ?? [cell.flatMap(id)]
            guard documents.allSatisfy({ $0 != nil }) else {
                throw flawed("corpus-id", "an id is a text or a whole number")
            }
            var score = 1
            if let grade = object["score"] {
                guard let whole = grade.int ?? grade.double.flatMap({ Int(exactly: $0) }) else {
                    throw flawed("score", "a score is a whole number")
                }
                score = whole
            }
            for case let document? in documents {
                judgements.append(RelevanceJudgement(query: query, document: document, score: score))
            }
        }
        guard !judgements.isEmpty else { throw TuttiError(.data, "read judgements", path, "has no judgements") }
        return judgements
    }

    /// The text of an id.
    private static func id(_ value: JSONValue) -> String? { value.string ?? value.int.map(String.init) }

    private static func namedTexts(_ paths: [String], hasTitles: Bool) throws(TuttiError) -> NamedTexts {
        var ids: [String] = []
        var texts: [String] = []
        var seen: Set<String> = []
        func add(_ value: JSONValue, _ place: String, _ unit: String) throws(TuttiError) {
            func flawed(_ problem: String) -> TuttiError { TuttiError(.data, "read texts", place, problem) }
            guard let id = value["_id"].flatMap(id) else { throw flawed("the \(unit) has no \"_id\"") }
            guard let text = value["text"]?.string else { throw flawed("the \(unit) has no string \"text\"") }
            guard seen.insert(id).inserted else { throw flawed("duplicate \"_id\" \"\(id)\"") }
            ids.append(id)
            texts.append(hasTitles ? joined(title: value["title"]?.string ?? "", text: text) : text)
        }
        for path in paths {
            let file = try MappedFile.unpacked(path: path)
            if let refusal = DatasetReaders.refusal(of: path) { throw refusal }
            if var rows = try ColumnarObjects(file, columns: ["_id", "text"] + (hasTitles ? ["title"] : [])) {
                var row = 0
                while let object = try rows.next() {
                    row += 1
                    try add(.object(object), "\(path): row \(row)", "row")
                }
            } else {
                var rows = try JSONSequence(file.bytes, form: .lines, source: path)
                while let (value, line) = try rows.next() { try add(value, "\(path):\(line)", "line") }
                withExtendedLifetime(file) {}
            }
        }
        guard !ids.isEmpty else {
            throw TuttiError(.data, "read texts", paths.joined(separator: ", "), "the file holds no texts")
        }
        return NamedTexts(ids: ids, texts: texts)
    }

    /// Python's `(title + " " + text).strip()`.
    static func joined(title: String, text: String) -> String {
        let scalars = (title + " " + text).unicodeScalars
        guard let first = scalars.firstIndex(where: { !$0.properties.isWhitespace }),
            let last = scalars.lastIndex(where: { !$0.properties.isWhitespace })
        else { return "" }
        return String(scalars[first...last])
    }
}
