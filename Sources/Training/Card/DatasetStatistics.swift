// What is said of a data set: its columns with statistics of the first rows, and the first rows themselves.
//
// Reference: compute_dataset_metrics and _compute_column_stats in sentence_transformers/base/model_card.py.

import Foundation
import TuttiCorpus
import TuttiEvaluation
import TuttiFormats
import TuttiGround
import TuttiModels
import TuttiReports
import TuttiText

/// The statistics of a data set.
struct DatasetStatistics {
    private let dataset: TrainingDataset
    private let table: Table
    private let model: SentenceEncoder

    /// Rows that statistics are made of, rows that are shown, and rows whose texts are compared with each other.
    private static let (counted, shown, compared) = (100, 3, 10_000)

    /// The statistics of `dataset`; of texts that are drawn anew in each epoch, those of the first.
    init(_ dataset: TrainingDataset, model: SentenceEncoder, seed: UInt64) {
        self.dataset = dataset
        table = dataset.table.drawn(epoch: 0, seed: seed)
        self.model = model
    }

    /// The names of all columns, in the order of the data.
    var names: [String] {
        var names = table.columnNames
        if let label = table.labelName { names.insert(label, at: table.labelPlace) }
        return names
    }

    /// The columns as a model card shows them, in the order of the data; of a stream, which is not read for it, only their names.
    ///
    /// - Parameters:
    ///   - tasks: the task of each text column, which chooses its route.
    ///   - summary: gets what a page says of them.
    /// - Throws: for a text without a route.
    func columns(
        tasks: [String?], into summary: inout DataSummary
    ) throws(TuttiError) -> [ModelCardFacts.Column] {
        guard dataset.stream == nil, table.rowCount > 0 else { return names.map { ModelCardFacts.Column(name: $0) } }
        var (columns, summaries): ([ModelCardFacts.Column], [DataSummary.Column]) = ([], [])
        for column in table.columnNames.indices {
            let (card, summary) = try texts(column, task: tasks[column])
            columns.append(card)
            summaries.append(summary)
        }
        if let name = table.labelName { columns.insert(labels(name), at: table.labelPlace) }
        summary.columns = summaries
        summary.rowsMeasured = min(Self.counted, table.rowCount)
        summary.rowsCompared = min(Self.compared, table.rowCount)
        return columns
    }

    private func texts(
        _ column: Int, task: String?
    ) throws(TuttiError) -> (ModelCardFacts.Column, DataSummary.Column) {
        var card = ModelCardFacts.Column(name: table.columnNames[column])
        card.type = "string"
        let texts = (0..<min(Self.counted, table.rowCount)).map { table.text(row: $0, column: column) }
        let (lengths, unit, cut) = try self.lengths(texts, task: task)
        let mean = Double(lengths.reduce(0, +)) / Double(lengths.count)
        card.details = [
            ("min", "\(lengths.min() ?? 0) \(unit)"), ("mean", "\(CardNumber.rounded(mean, digits: 2)) \(unit)"),
            ("max", "\(lengths.max() ?? 0) \(unit)"),
        ]
        card.examples = texts.prefix(Self.shown).map { text in
            let letters = text.unicodeScalars
            let part = letters.count > 1000 ? String(letters.prefix(1000)) + "..." : text
            return part.replacing("\n", with: "<br>").replacing("|", with: "\\|")
        }
        let summary = DataSummary.Column(
            name: card.name, unit: unit, least: lengths.min() ?? 0, mean: mean, most: lengths.max() ?? 0,
            cutShare: Double(cut) / Double(lengths.count), repeatedShare: repeatedShare(column))
        return (card, summary)
    }

    /// The share of texts that an earlier row has too.
    private func repeatedShare(_ column: Int) -> Double {
        let count = min(Self.compared, table.rowCount)
        var known: Set<ByteKey> = []
        for row in 0..<count { known.insert(ByteKey(table.text(row: row, column: column))) }
        return Double(count - known.count) / Double(count)
    }

    /// The lengths of texts in tokens, and how many texts are cut; in characters where the model adds up its words.
    private func lengths(
        _ texts: [String], task: String?
    ) throws(TuttiError) -> (lengths: [Int], unit: String, cut: Int) {
        let routing = model.directory.routing
        let route: Int
        do {
            route = try routing.route(of: task ?? "document")
        } catch {
            guard task == nil else { throw error }
            route = try routing.route(of: nil)
        }
        guard model.inputs[model.directory.routes[route].input].directory.input.hasTokenVectors else {
            return (texts.map(\.unicodeScalars.count), "characters", 0)
        }
        let reader = model.readers[route]
        var scratch = TokenizerScratch()
        let lengths = texts.map { reader.length(of: $0, &scratch) }
        return (lengths.map(\.tokens), "tokens", lengths.count { $0.isCut })
    }

    private func labels(_ name: String) -> ModelCardFacts.Column {
        var card = ModelCardFacts.Column(name: name)
        let labels = (0..<min(Self.counted, table.rowCount)).compactMap { table.label(row: $0) }
        card.examples = labels.prefix(Self.shown).map(text)
        switch labels.first {
        case nil: break
        case .integer:
            card.type = "int"
            let counts = Dictionary(grouping: labels.compactMap(\.integer)) { $0 }.mapValues(\.count)
            let sign = counts.count > 1 ? "~" : ""
            card.details = counts.sorted { $0.key < $1.key }.map { label, count in
                ("\(label)", sign + String(format: "%.2f%%", Double(count) / Double(labels.count) * 100))
            }
        case .float:
            card.type = "float"
            let values = labels.compactMap(\.float)
            let mean = values.reduce(0, +) / Double(values.count)
            card.details = [("min", values.min() ?? 0), ("mean", mean), ("max", values.max() ?? 0)].map {
                ($0.0, CardNumber.rounded($0.1, digits: 2))
            }
        case .floats(let first):
            card.type = "list"
            card.details = [("size", "\(first.count) elements")]
        }
        return card
    }

    /// A label as a table shows it.
    private func text(_ label: Label) -> String {
        switch label {
        case .integer(let number): return "\(number)"
        case .float(let number): return pythonSpelling(of: number)
        case .floats(let numbers):
            let shown = numbers.prefix(5).map { pythonSpelling(of: $0) }.joined(separator: ", ")
            return "[\(shown)\(numbers.count > 5 ? ", ..." : "")]"
        }
    }
}

extension Label {
    fileprivate var integer: Int? { if case .integer(let value) = self { value } else { nil } }
    fileprivate var float: Double? { if case .float(let value) = self { value } else { nil } }
}
