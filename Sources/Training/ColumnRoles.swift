// What the columns of a data set mean to its loss: checked before the first step, told in one line, and where they do
// not fit, shown as a table.
//
// Losses know columns by their order. The reference lets any number of columns pass and looks at names only to warn;
// here the number of columns and the kind of label must be one that the loss takes.

import TuttiCorpus
import TuttiFormats
import TuttiGround
import TuttiObjectives

/// A data set beside what its loss takes.
struct ColumnRoles {
    private let dataset: TrainingDataset
    private let loss: ConfiguredLoss
    /// The losses that look at the columns, those inside a modifier among them, with the shapes of data they take.
    private let takers: [(loss: String, inputs: [LossInput])]

    init(_ dataset: TrainingDataset, loss: ConfiguredLoss) {
        self.dataset = dataset
        self.loss = loss
        takers = Self.takers(loss)
    }

    /// A loss of the caller's own, which no registry knows, may take anything.
    private static func takers(_ loss: ConfiguredLoss) -> [(loss: String, inputs: [LossInput])] {
        let inputs = LossRegistry.all.first { $0.name == loss.name }?.inputs ?? []
        return inputs.isEmpty ? loss.loss.nested.flatMap(takers) : [(loss.name, inputs)]
    }

    private var table: Table { dataset.table }
    private var columns: [String] { table.columnNames }

    // MARK: Telling

    /// One line: what every column is to the loss.
    var notice: String {
        let known = mapping(teller?.inputs).map { "\($0.column) -> \($0.role)" }
        let roles = known.isEmpty ? columns : known
        return "\(dataset.title), \(table.rowCount) rows, \(loss.name): \(roles.joined(separator: ", "))."
    }

    /// One line for each column whose name says that it belongs elsewhere.
    var warnings: [String] {
        var lines: [String] = []
        if let (name, place, group) = misplaced, let order = usualOrder(group) {
            lines.append(
                "\(dataset.title): '\(name)' is text column \(columns.firstIndex(of: name).map { $0 + 1 } ?? 0), and a "
                    + "column of this name usually is number \(place + 1). Losses go by the order, not by the names; "
                    + "columns: [\(order.joined(separator: ", "))] would change it.")
        }
        let numbers = columns.filter { name in name == "id" || ["_id", "_ids", "_idx"].contains { name.hasSuffix($0) } }
        if !numbers.isEmpty {
            lines.append(
                "\(dataset.title): \(numbers.map { "'\($0)'" }.joined(separator: ", ")) will be trained on as text; "
                    + "leave identifiers out with columns: [...].")
        }
        return lines
    }

    /// The columns with those of `group` in their usual places, the label last; nil where that changes nothing.
    private func usualOrder(_ group: [String]) -> [String]? {
        var order = columns.filter { !group.contains($0) }
        for (place, name) in group.enumerated() where columns.contains(name) {
            order.insert(name, at: min(place, order.count))
        }
        return order == columns ? nil : order + (table.labelName.map { [$0] } ?? [])
    }

    /// The first column that stands where its name is unusual, as the reference warns; a premise goes before a
    /// hypothesis.
    private var misplaced: (name: String, place: Int, group: [String])? {
        let pairs =
            columns.contains("premise") ? ["premise", "hypothesis"] : ["hypothesis", "entailment", "contradiction"]
        for group in [["anchor", "positive", "negative"], ["question", "answer"], ["query", "response"], pairs] {
            for (place, name) in group.enumerated() {
                if let found = columns.firstIndex(of: name), found != place { return (name, place, group) }
            }
        }
        return nil
    }

    // MARK: Refusing

    /// The error where the columns do not fit, or nil.
    var refusal: TuttiError? {
        guard let (taker, inputs) = takers.first(where: { !fits($0.inputs) }) else { return nil }
        let whose = taker == loss.name ? taker : "\(taker) in \(loss.name)"
        let given = mapping(inputs).map { "\($0.column) -> \($0.role)" }.joined(separator: ", ")
        let others = columns.count == 1 ? "1 text column" : "\(columns.count) text columns"
        return TuttiError(
            .usage, "fit the data to the loss", dataset.name.map { "\($0) (\(table.source))" } ?? table.source,
            "\(whose) takes \(Self.words(inputs)); the data have \(others) and \(labelWords): \(given)",
            hint: "Choose and order them with columns: [...].")
    }

    /// What the loss takes and what the columns are to it, as lines of text.
    var refusalTable: [String] {
        var rows: [(String, String)] = []
        for (taker, inputs) in takers where !fits(inputs) {
            for input in inputs {
                rows.append((rows.isEmpty ? taker : "", "\(input.words), label: \(input.label.words)"))
            }
            rows.append(("", ""))
            rows.append(("column", "role"))
            rows += mapping(inputs).map { ($0.column, $0.role) }
            break
        }
        let width = rows.map(\.0.count).max() ?? 0
        return ["\(dataset.title) does not fit \(loss.name):"]
            + rows.map { left, right in
                let gap = String(repeating: " ", count: width - left.count)
                return right.isEmpty ? "" : "  \(left)\(gap)  \(right)"
            }
    }

    /// Whether one of `inputs` is the shape of the data. Of several losses that are added, one at least must take the
    /// label; the others need not.
    private func fits(_ inputs: [LossInput]) -> Bool {
        let isTaken = takers.contains { $0.inputs.contains(where: isExact) }
        return inputs.contains { isExact($0) || isTaken && $0.accepts(columns: columns.count) && $0.label == .none }
    }

    private func isExact(_ input: LossInput) -> Bool {
        input.accepts(columns: columns.count) && input.label.accepts(table.labelSummary)
    }

    /// The loss whose names of the columns are told: one that takes all of them, the label included, if there is one.
    private var teller: (loss: String, inputs: [LossInput])? {
        takers.first { $0.inputs.contains(where: isExact) } ?? takers.first
    }

    /// Every column with its role in the shape that comes nearest; roles without a column and a column without a role
    /// are in the list too, the label last.
    private func mapping(_ inputs: [LossInput]?) -> [(column: String, role: String)] {
        let inputs = inputs ?? []
        let summary = table.labelSummary
        func distance(_ input: LossInput) -> Int {
            let missing = input.accepts(columns: columns.count) ? 0 : abs(input.roles.count - columns.count)
            return 2 * missing + (input.label.accepts(summary) ? 0 : 1)
        }
        guard let input = inputs.min(by: { distance($0) < distance($1) }) else { return [] }
        var pairs: [(column: String, role: String)] = []
        for place in 0..<max(columns.count, input.roles.count) {
            let column = place < columns.count ? columns[place] : "(missing)"
            pairs.append((column, input.role(of: place)))
        }
        switch (table.labelName, input.label) {
        case (nil, .none): break
        case (nil, let wanted): pairs.append(("(missing)", "label: \(wanted.words)"))
        case (let name?, .none): pairs.append((name, "(none: it takes no label)"))
        case (let name?, let wanted):
            let found = input.label.accepts(summary) ? "" : ", but it holds \(summary.words)"
            pairs.append((name, "label: \(wanted.words)\(found)"))
        }
        return pairs
    }

    /// Shapes of data in words: "(a, b) or (a, b, c) with a label (score)".
    private static func words(_ inputs: [LossInput]) -> String {
        var parts: [(label: LossInput.Label, columns: [String])] = []
        for input in inputs {
            if let last = parts.indices.last, parts[last].label == input.label {
                parts[last].columns.append(input.words)
            } else {
                parts.append((input.label, [input.words]))
            }
        }
        return parts.map { part in
            let label = part.label == .none ? "without a label" : "with a label (\(part.label.words))"
            return "\(part.columns.joined(separator: " or ")) \(label)"
        }.joined(separator: ", or ")
    }

    private var labelWords: String {
        table.labelName.map { "the label '\($0)', \(table.labelSummary.words)" } ?? "no label"
    }
}

extension LossInput {
    /// The role of the column at `place`.
    fileprivate func role(of place: Int) -> String {
        guard let last = roles.last, repeatsLast, place >= roles.count - 1 else {
            return place < roles.count ? roles[place] : "(none)"
        }
        return "\(last)_\(place - roles.count + 2)"
    }
}

extension LossInput.Label {
    /// Whether labels of this kind can be meant.
    func accepts(_ labels: LabelSummary) -> Bool {
        switch (self, labels) {
        case (.none, .none): true
        case (.classNumber, .integers): true  // a loss that counts classes checks their range itself
        case (.binary, .integers(let range)): (0...1).contains(range.lowerBound) && (0...1).contains(range.upperBound)
        case (.binary, .floats(let range)): [0, 1].contains(range.lowerBound) && [0, 1].contains(range.upperBound)
        case (.score, .integers), (.score, .floats), (.scores, .lists), (.embedding, .lists): true
        case (.scores, .integers), (.scores, .floats): true  // a list of one; the loss checks how long it must be
        default: false
        }
    }
}

extension LabelSummary {
    /// The labels in words.
    fileprivate var words: String {
        switch self {
        case .none: "nothing"
        case .integers(let range): "whole numbers from \(range.lowerBound) to \(range.upperBound)"
        case .floats(let range): "numbers from \(range.lowerBound) to \(range.upperBound)"
        case .lists(let width): "lists of \(width) numbers"
        }
    }
}
