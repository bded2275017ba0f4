// Text columns that are probably no texts: numbers (a ticket's id), and values that hardly differ (an agent's name).
//
// A data set whose columns nobody chose is trained on with all of them, so such a column is said before the first step.

/// What the first rows of a table show of its text columns.
package struct ColumnContents: Sendable {
    /// Rows that are looked at.
    private static let sample = 10_000
    /// Text columns whose cells are numbers.
    package let numbers: [String]
    /// Text columns in which few values recur, with the number of different ones.
    package let recurring: [(name: String, values: Int)]
    private let rows: Int

    /// Looks at the first rows of `table`.
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

    /// A line for each kind of such columns; `title` names the data set.
    package func warnings(_ title: String) -> [String] {
        var lines: [String] = []
        func listed(_ names: [String]) -> String { names.map { "'\($0)'" }.joined(separator: ", ") }
        if !numbers.isEmpty {
            lines.append(
                "\(title): \(listed(numbers)) \(numbers.count == 1 ? "holds" : "hold") numbers and will be trained on as "
                    + "text; leave out what is no text with columns: [...].")
        }
        for (name, values) in recurring {
            let what = values == 1 ? "the same text in every row" : "only \(values) different texts in \(rows) rows"
            lines.append(
                "\(title): '\(name)' holds \(what) and will be trained on as text; leave it out with columns: [...] if "
                    + "it is not one of the loss's texts.")
        }
        return lines
    }
}
