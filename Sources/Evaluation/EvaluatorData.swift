// The data that evaluators ask for in their options: tables of texts and scores.

import TuttiCorpus
import TuttiFormats
import TuttiGround

extension EvaluatorOptions {
    /// The table at `path`, with at least `textColumns` columns of texts and a row.
    ///
    /// Throws: `.usage` for options that do not fit; `.missingFile` and `.data` as `loadTable`, `.data` for an empty
    /// table.
    func table(textColumns: Int, meaning: String) throws(TuttiError) -> Table {
        let path = try requiredString("path")
        let table = try loadTable(
            DatasetSpecification(path: path, columns: try strings("columns"), options: try readerOptions()))
        for line in table.notices { notice(line) }
        guard table.rowCount > 0 else { throw TuttiError(.data, "read evaluation data", path, "holds no rows") }
        guard table.columnNames.count >= textColumns else {
            throw TuttiError(
                .data, "read evaluation data", path,
                "has \(table.columnNames.count) text columns (\(table.columnNames.joined(separator: ", "))), where "
                    + "\(textColumns) are needed: \(meaning)",
                hint: "Name them in their order with \(place).columns.")
        }
        return table
    }

    /// How a file of separated values is written.
    func readerOptions() throws(TuttiError) -> ReaderOptions {
        try ReaderOptions({ object[$0] }, error: { error($0, $1, hint: $2) })
    }

    /// The labels of `table` as classes from 0 below `count`.
    ///
    /// Throws: `.data` as `scores`, and naming the first row whose label is no such class.
    func classes(of table: Table, count: Int) throws(TuttiError) -> [Int] {
        let scores = try scores(of: table)
        var classes: [Int] = []
        classes.reserveCapacity(scores.count)
        for (row, score) in scores.enumerated() {
            guard let label = Int(exactly: score), label >= 0, label < count else {
                throw TuttiError(
                    .data, "read evaluation data", table.source,
                    "has the label \(score) in row \(row + 1), where a whole number from 0 to \(count - 1) is needed")
            }
            classes.append(label)
        }
        return classes
    }

    /// The labels of `table` as scores.
    ///
    /// Throws: `.data` when the table has no label column, or lists in it.
    func scores(of table: Table) throws(TuttiError) -> [Double] {
        var scores: [Double] = []
        scores.reserveCapacity(table.rowCount)
        for row in 0..<table.rowCount {
            switch table.label(row: row) {
            case .integer(let value): scores.append(Double(value))
            case .float(let value): scores.append(value)
            case .floats:
                throw TuttiError(
                    .data, "read evaluation data", table.source,
                    "has lists in its label column, where numbers are needed")
            case nil:
                throw TuttiError(
                    .data, "read evaluation data", table.source, "has no label column",
                    hint: "Gold scores are read from the column label, labels, score or scores.")
            }
        }
        return scores
    }
}
