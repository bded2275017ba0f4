// Text columns that probably are not text: numbers (a ticket id), and values that rarely differ (an agent's name).
//
// Without a `columns:` choice all columns are used for training, so such a column is reported before the first step.

/// The contents of a table's text columns, judged by its first rows.
package struct ColumnContents: Sendable {
    /// Rows to inspect.
    private static let sample = 10_000
    /// Text columns whose cells are numbers.
    package let numbers: [String]
    /// Text columns with few distinct values, and how many.
    package let recurring: [(name: String, values: Int)]
    private let rows: Int

    /// Inspects the first rows of `table`.
    package init(_ table: Table) {
        rows = min(table.rowCount, ColumnContents.sample)
        var numbers: [String] = []
        var recurring: [(name: String, values: Int)] = []
        for (column, name) in table.columnNames.enumerated() where rows >= 4 {
            var values: Set<String> = []
            var numeric = 0
            for row in 0..<rows {
                let text = table.text(row: row, column: column)
                values.insert(text)
                if text.utf8.count <= 32, Double(text.trimmingPrefix { $0 == " " }) != nil { numeric += 1 }
            }
            if numeric * 20 >= rows * 19 {
                numbers.append(name)
            } else if values.count <= max(1, rows / 50) {
                recurring.append((name, values.count))
            }
        }
        self.numbers = numbers
        self.recurring = recurring
    }

    /// One line per kind of such columns; `title` names the data set.
    package func warnings(_ title: String) -> [String] {
        var lines: [String] = []
        func listed(_ names: [String]) -> String { names.map { "'\($0)'" }.joined(separator: ", ") }
        if !numbers.isEmpty {
            lines.append(
                "\(title): \(listed(numbers)) \(numbers.count == 1 ? "holds" : "hold") numbers and will be trained on as "
                    + "text; exclude columns that are not text with columns: [...].")
        }
        for (name, values) in recurring {
            let what = values == 1 ? "the same text in every row" : "only \(values) different texts in \(rows) rows"
            lines.append(
                "\(title): '\(name)' holds \(what) and will be trained on as text; exclude it with columns: [...] if "
                    + "it is not one of the loss's texts.")
        }
        return lines
    }
}
