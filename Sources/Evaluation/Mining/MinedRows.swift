// Rows of the output in each of the reference's forms.
//
//   triplet       anchor, positive, negative                        [+ scores: [positive, negative]]
//   n-tuple       anchor, positive, negative_1 ... negative_n       [+ scores: [positive, negative_1 ...]]
//   labeled-pair  anchor, text, label                               [or score in place of label]
//   labeled-list  anchor, [positive, negatives ...], labels         [or scores in place of labels]
//
// A query's rows stand together, its positives in the order of their first appearance. A triplet needs one negative, a
// tuple all of them, a list at least one; pairs of positives stand there in any case.
//
// Reference: sentence_transformers/util/hard_negatives.py (6.2), from "if output_format ==" on.

import TuttiFormats
import TuttiGround

/// What mining found for one query.
struct MinedQuery {
    let anchor: String
    let positives: [(text: String, score: Float)]
    let negatives: [(text: String, score: Float)]
}

/// Turns what was found into rows.
struct MinedRows {
    private let format: MinedFormat
    private let writesScores: Bool
    private let negatives: Int
    /// The names of the columns.
    let columns: [String]

    /// Rows of the form that `options` ask for, with the data set's names for anchor and positive.
    ///
    /// Throws: `.usage` when such a name is also that of a column that mining adds.
    init(_ options: MiningOptions, anchorName: String, positiveName: String) throws(TuttiError) {
        format = options.format
        writesScores = options.writesScores
        negatives = options.negatives
        let added: [String]
        switch options.format {
        case .triplet: added = ["negative"] + (writesScores ? ["scores"] : [])
        case .tuple, .scoredTuple:
            added = (1...options.negatives).map { "negative_\($0)" } + (writesScores ? ["scores"] : [])
        case .labeledPair: added = [writesScores ? "score" : "label"]
        case .labeledList: added = [writesScores ? "scores" : "labels"]
        }
        for name in [anchorName, positiveName] where added.contains(name) {
            throw TuttiError(
                .usage, "plan the mining", "column '\(name)'",
                "has the name of a column that the format \(options.format.rawValue) adds", hint: "Rename it.")
        }
        columns = [anchorName, positiveName] + added
    }

    /// The rows of one query.
    func rows(_ query: MinedQuery) -> [[JSONValue]] {
        let anchor = JSONValue.string(query.anchor)
        switch format {
        case .triplet:
            return query.positives.flatMap { positive in
                query.negatives.map { negative in
                    [anchor, .string(positive.text), .string(negative.text)]
                        + scores([positive.score, negative.score])
                }
            }
        case .tuple, .scoredTuple:
            guard query.negatives.count == negatives else { return [] }
            return query.positives.map { positive in
                [anchor, .string(positive.text)] + query.negatives.map { .string($0.text) }
                    + scores([positive.score] + query.negatives.map(\.score))
            }
        case .labeledPair:
            func row(_ found: (text: String, score: Float), _ label: Int64) -> [JSONValue] {
                [anchor, .string(found.text), writesScores ? .number(Double(found.score)) : .integer(label)]
            }
            return query.positives.map { row($0, 1) } + query.negatives.map { row($0, 0) }
        case .labeledList:
            guard !query.negatives.isEmpty else { return [] }
            return query.positives.map { positive in
                let found = [positive] + query.negatives
                let labels = found.indices.map { JSONValue.integer($0 == 0 ? 1 : 0) }
                let values = writesScores ? found.map { .number(Double($0.score)) } : labels
                return [anchor, .array(found.map { .string($0.text) }), .array(values)]
            }
        }
    }

    private func scores(_ scores: [Float]) -> [JSONValue] {
        writesScores ? [.array(scores.map { .number(Double($0)) })] : []
    }
}

/// The file formats of the output.
enum MinedFileFormat {
    case csv, jsonLines

    /// The format by the extension of `path`.
    ///
    /// Throws: `.usage` for any other extension than .csv and .jsonl.
    init(path: String) throws(TuttiError) {
        if path.hasSuffix(".csv") {
            self = .csv
        } else if path.hasSuffix(".jsonl") {
            self = .jsonLines
        } else {
            throw TuttiError(
                .usage, "plan the mining", "--output \(path)", "the extension must be .csv or .jsonl")
        }
    }

    /// What stands before the rows.
    func head(_ columns: [String]) -> String { self == .csv ? csvLine(columns) + "\n" : "" }

    /// One row as a line. Lists are JSON arrays in a cell of CSV.
    func line(_ columns: [String], _ row: [JSONValue]) -> String {
        switch self {
        case .csv: return csvLine(row.map { $0.string ?? $0.serialized() }) + "\n"
        case .jsonLines:
            var object = JSONObject()
            for (column, value) in zip(columns, row) { object.set(column, value) }
            return object.serialized() + "\n"
        }
    }
}
