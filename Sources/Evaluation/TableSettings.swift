// The options of evaluators whose data are the rows of one table, and the table that they name.

import TuttiCorpus
import TuttiGround

/// Where the rows of an evaluator are, and which of them it takes: what a data set of a training run says, but for the
/// keys that concern training alone.
public struct TableSettings: Sendable {
    /// The data set.
    public var dataset = DatasetSpecification(path: "")

    /// No file yet.
    public init() {}

    /// The keys of a data set that have no meaning for an evaluator: it takes whole rows, in file order.
    private static let withoutMeaning = ["negatives", "shuffle", "streaming", "validation_split"]

    /// The options of settings that hold these at `path`; `order` names the columns in their order.
    public static func options<Owner>(
        _ order: String, in path: WritableKeyPath<Owner, TableSettings> & Sendable
    ) -> [Option<Owner>] {
        DatasetSpecification.options.options.filter { !withoutMeaning.contains($0.name) }.map { option in
            let columns = "the columns to use, in the order \(order); by default all, as in the file"
            return (option.name == "columns" ? option.meaning(columns) : option)
                .lifted(to: \TableSettings.dataset).lifted(to: path)
        }
    }
}

extension EvaluatorOptions {
    /// The table that `settings` name, with at least `textColumns` columns of texts and a row.
    ///
    /// - Parameter meaning: what the text columns are, for the error where there are too few.
    /// - Throws: 64 for options that do not fit, 66 for a missing file, 65 naming file and line for bad rows and for an
    ///   empty table.
    public func table(_ settings: TableSettings, textColumns: Int, meaning: String) throws(TuttiError) -> Table {
        let dataset = settings.dataset
        do throws(OptionProblem) {
            try dataset.check()
        } catch let flaw {
            throw error(flaw.path, flaw.problem, hint: flaw.hint)
        }
        let table = try loadTable(dataset)
        for line in table.notices { notice(line) }
        guard table.rowCount > 0 else { throw TuttiError(.data, "read evaluation data", dataset.path, "holds no rows") }
        guard table.columnNames.count >= textColumns else {
            throw TuttiError(
                .data, "read evaluation data", dataset.path,
                "has \(table.columnNames.count) text columns (\(table.columnNames.joined(separator: ", "))), where "
                    + "\(textColumns) are needed: \(meaning)",
                hint: "Name them in their order with \(place).columns.")
        }
        return table
    }

    /// Refuses options of a reader that contradict each other.
    func check(_ reader: ReaderOptions) throws(TuttiError) {
        do throws(OptionProblem) {
            try reader.check()
        } catch let flaw {
            throw error(flaw.path, flaw.problem, hint: flaw.hint)
        }
    }
}

extension Table {
    /// The labels as scores.
    ///
    /// - Throws: 65 when the table has no label column, or lists in it.
    public func scores() throws(TuttiError) -> [Double] {
        var scores: [Double] = []
        scores.reserveCapacity(rowCount)
        for row in 0..<rowCount {
            switch label(row: row) {
            case .integer(let value): scores.append(Double(value))
            case .float(let value): scores.append(value)
            case .floats:
                throw TuttiError(
                    .data, "read evaluation data", source, "has lists in its label column, where numbers are needed")
            case nil:
                throw TuttiError(
                    .data, "read evaluation data", source, "has no label column",
                    hint: "Gold scores are read from the column label, labels, score or scores.")
            }
        }
        return scores
    }

    /// The labels as classes from 0 below `count`.
    ///
    /// - Throws: 65 as `scores`, and naming the first row whose label is no such class.
    public func classes(count: Int) throws(TuttiError) -> [Int] {
        var classes: [Int] = []
        classes.reserveCapacity(rowCount)
        for (row, score) in try scores().enumerated() {
            guard let label = Int(exactly: score), label >= 0, label < count else {
                throw TuttiError(
                    .data, "read evaluation data", source,
                    "has the label \(score) in row \(row + 1), where a whole number from 0 to \(count - 1) is needed")
            }
            classes.append(label)
        }
        return classes
    }
}
