// What a model card says of a data set: its size, its columns with statistics of the first rows, and three rows.
//
// Reference: compute_dataset_metrics and _compute_column_stats in sentence_transformers/base/model_card.py.

import Foundation
import TuttiCorpus
import TuttiFormats
import TuttiGround
import TuttiModels
import TuttiText

/// The card of a data set.
struct DatasetCard {
    private let dataset: TrainingDataset
    private let table: Table
    private let model: SentenceEncoder

    /// Rows that statistics are made of, and rows that are shown.
    private static let (counted, shown) = (100, 3)

    /// The card of `dataset`; of texts that are drawn anew in each epoch, those of the first.
    init(_ dataset: TrainingDataset, model: SentenceEncoder, seed: UInt64) {
        self.dataset = dataset
        table = dataset.table.drawn(epoch: 0, seed: seed)
        self.model = model
    }

    /// The columns; of a stream, which is not read for a card, only their names.
    ///
    /// - Parameter tasks: the task of each text column, which chooses its route.
    /// - Throws: for a text without a route.
    func columns(tasks: [String?]) throws(TuttiError) -> [ModelCardFacts.Column] {
        let names = table.columnNames + (table.labelName.map { [$0] } ?? [])
        guard dataset.stream == nil, table.rowCount > 0 else { return names.map { ModelCardFacts.Column(name: $0) } }
        var columns: [ModelCardFacts.Column] = []
        for column in table.columnNames.indices { columns.append(try texts(column, task: tasks[column])) }
        if let name = table.labelName { columns.append(labels(name)) }
        return columns
    }

    private func texts(_ column: Int, task: String?) throws(TuttiError) -> ModelCardFacts.Column {
        var card = ModelCardFacts.Column(name: table.columnNames[column])
        card.type = "string"
        let texts = (0..<min(Self.counted, table.rowCount)).map { table.text(row: $0, column: column) }
        let (lengths, unit) = try self.lengths(texts, task: task)
        let mean = Double(lengths.reduce(0, +)) / Double(lengths.count)
        card.details = [
            ("min", "\(lengths.min() ?? 0) \(unit)"), ("mean", "\(CardNumber.rounded(mean, digits: 2)) \(unit)"),
            ("max", "\(lengths.max() ?? 0) \(unit)"),
        ]
        card.examples = texts.prefix(Self.shown).map { text in
            let letters = text.unicodeScalars
            let cut = letters.count > 1000 ? String(letters.prefix(1000)) + "..." : text
            return cut.replacing("\n", with: "<br>").replacing("|", with: "\\|")
        }
        return card
    }

    /// The lengths of texts in tokens; in characters where the model adds up its words.
    private func lengths(_ texts: [String], task: String?) throws(TuttiError) -> ([Int], unit: String) {
        let routing = model.directory.routing
        let route: Int
        do {
            route = try routing.route(of: task ?? "document")
        } catch {
            guard task == nil else { throw error }
            route = try routing.route(of: nil)
        }
        guard model.inputs[model.directory.routes[route].input].directory.input.hasTokenVectors else {
            return (texts.map(\.unicodeScalars.count), "characters")
        }
        let collator = Collator(readers: model.readers, routes: [route])
        var (ids, scratch) = ([Int32](), TokenizerScratch())
        let lengths = texts.map { text in
            ids.removeAll(keepingCapacity: true)
            collator.read(text, column: 0, appendingTo: &ids, &scratch)
            return ids.count
        }
        return (lengths, "tokens")
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
