// What a data set can train: the order of its columns, a loss that fits them, and an evaluator for held-out rows.
// `tutti init` writes a configuration from it.

import TuttiCorpus
import TuttiFormats
import TuttiGround
import TuttiObjectives

/// The shape of a data set, and what it can train.
package struct DataShape: Sendable {
    /// An evaluator of a configuration.
    package struct Judge: Sendable {
        package let name: String
        /// The columns that it reads, label included.
        package let columns: [String]
    }

    /// Text columns in use, in the order in which the loss sees them.
    package let texts: [String]
    /// The label column in use.
    package let label: String?
    /// Columns that are left out, with the reason.
    package let leftOut: [(name: String, reason: String)]
    /// The loss, with its options as written in a configuration.
    package let loss: JSONObject
    /// Other losses that take the same columns.
    package let alternatives: [String]
    /// A sampler that the loss needs, or gains by.
    package let sampler: String?
    /// Whether the evaluator searches for the second column with the first, and what judges held-out rows otherwise.
    package let isSearchable: Bool
    package let judge: Judge?
    package let learningRate: Double

    /// All columns in use, label last.
    package var columns: [String] { texts + (label.map { [$0] } ?? []) }

    /// - Throws: a usage error where no loss takes the columns.
    package init(_ table: Table) throws(TuttiError) {
        var leftOut: [(name: String, reason: String)] = []
        var texts = table.columnNames
        func leave(_ names: [String], _ reason: String) {
            for name in names where texts.count > 1 && texts.contains(name) {
                texts.removeAll { $0 == name }
                leftOut.append((name, reason))
            }
        }
        let contents = ColumnContents(table)
        leave(contents.numbers, "it holds numbers")
        leave(texts.filter { $0 == "id" || $0.hasSuffix("_id") || $0 == "idx" }, "an identifier")
        for (name, values) in contents.recurring { leave([name], "only \(values) different texts") }
        texts = Self.ordered(texts)
        var label = table.labelName
        let choice = Self.choice(texts, table.labelSummary, areBinary: table.labelsAreBinary)
        guard let choice else {
            throw TuttiError(
                .usage, "find a loss for", table.source,
                "\(texts.count) text columns with \(table.labelName.map { "the label '\($0)'" } ?? "no label") fit none",
                hint: "`tutti losses` lists what losses take; choose columns with --columns.")
        }
        if !choice.usesLabel, let name = label {
            leftOut.append((name, "the loss takes no label"))
            label = nil
        }
        self.texts = texts
        self.label = label
        self.leftOut = leftOut
        var loss: JSONObject = ["name": .string(choice.loss)]
        for (key, value) in choice.options { loss[key] = value }
        self.loss = loss
        sampler = choice.sampler
        isSearchable = choice.isSearchable
        let judged = choice.judgeTakesLabel ? label.map { [$0] } ?? [] : []
        judge = choice.judge.map { name, count in Judge(name: name, columns: Array(texts.prefix(count)) + judged) }
        learningRate = choice.loss == "CoSENTLoss" ? 5e-6 : 2e-5
        let (summary, count) = (label == nil ? LabelSummary.none : table.labelSummary, texts.count)
        alternatives = LossRegistry.all.filter { entry in
            entry.name != choice.loss
                && entry.inputs.contains { $0.accepts(columns: count) && $0.label.accepts(summary) }
        }.map(\.name)
    }

    // MARK: Columns

    /// The usual place of a column by its name.
    private static let places: [String: Int] = [
        "anchor": 0, "query": 0, "question": 0, "premise": 0, "sentence1": 0, "sentence_a": 0, "text1": 0, "english": 0,
        "positive": 1, "answer": 1, "response": 1, "passage": 1, "document": 1, "hypothesis": 1, "sentence2": 1,
        "sentence_b": 1, "text2": 1, "non_english": 1, "pos": 1,
    ]

    /// Columns with known names before the others, negatives last, else in the order of the file.
    private static func ordered(_ names: [String]) -> [String] {
        func place(_ name: String) -> Int {
            let name = name.lowercased()
            return places[name] ?? (name.hasPrefix("neg") ? 3 : 2)
        }
        return names.enumerated().sorted { (place($0.element), $0.offset) < (place($1.element), $1.offset) }
            .map(\.element)
    }

    // MARK: Losses

    private struct Choice {
        var loss: String
        var options: [(String, JSONValue)] = []
        var usesLabel = false
        var sampler: String?
        var isSearchable = false
        /// Its name, and how many text columns it reads.
        var judge: (String, Int)?
        var judgeTakesLabel = false
    }

    private static func choice(_ texts: [String], _ label: LabelSummary, areBinary: Bool) -> Choice? {
        let chunks: [(String, JSONValue)] = [("mini_batch_size", .integer(32))]
        switch (texts.count, label) {
        case (1, .none): return Choice(loss: "ContrastiveTensionLoss")
        case (1, .integers):
            return Choice(loss: "BatchAllTripletLoss", usesLabel: true, sampler: "group_by_label")
        case (1, .lists): return Choice(loss: "MSELoss", usesLabel: true)
        case (2, .lists):
            return Choice(
                loss: "MSELoss", usesLabel: true, judge: ("TranslationEvaluator", 2))
        case (2, .integers) where areBinary, (2, .floats) where areBinary:
            return Choice(
                loss: "OnlineContrastiveLoss", usesLabel: true, judge: ("BinaryClassificationEvaluator", 2),
                judgeTakesLabel: true)
        case (2, .integers(let range)) where range.lowerBound == 0:
            return Choice(
                loss: "SoftmaxLoss", options: [("num_labels", .integer(Int64(range.upperBound + 1)))], usesLabel: true,
                judge: ("LabelAccuracyEvaluator", 2), judgeTakesLabel: true)
        case (2, .floats), (2, .integers):
            return Choice(
                loss: "CoSENTLoss", usesLabel: true, judge: ("EmbeddingSimilarityEvaluator", 2),
                judgeTakesLabel: true)
        case (2, .none):
            return Choice(
                loss: "CachedMultipleNegativesRankingLoss", options: chunks, sampler: "no_duplicates",
                isSearchable: true,
                judge: ("TranslationEvaluator", 2))
        case (3..., .lists(let width)) where [texts.count - 1, texts.count - 2].contains(width):
            return Choice(
                loss: "MarginMSELoss", usesLabel: true, judge: ("TripletEvaluator", 3))
        case (3, .floats):
            return Choice(
                loss: "MarginMSELoss", usesLabel: true, judge: ("TripletEvaluator", 3))
        case (3, _):
            return Choice(
                loss: "MultipleNegativesRankingLoss", sampler: "no_duplicates",
                judge: ("TripletEvaluator", 3))
        case (4..., _):
            return Choice(
                loss: "CachedMultipleNegativesRankingLoss", options: chunks, sampler: "no_duplicates",
                judge: ("TripletEvaluator", 3))
        default: return nil
        }
    }
}

extension Table {
    /// Whether all labels are 0 or 1. A score from 0 to 1 has others in between.
    fileprivate var labelsAreBinary: Bool {
        (0..<rowCount).allSatisfy { row in
            switch label(row: row) {
            case .integer(let number): number == 0 || number == 1
            case .float(let number): number == 0 || number == 1
            default: false
            }
        }
    }
}
