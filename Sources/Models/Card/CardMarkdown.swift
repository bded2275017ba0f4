// Tables, numbers and lists of a model card, spelled as the reference spells them.
//
// Reference: make_markdown_table in transformers/modelcard.py, torch/_tensor_str.py (precision 4, no exponents).

import Foundation
import TuttiFormats

/// A table with columns as wide as their widest cell.
struct MarkdownTable {
    /// The first line.
    var header: [String]
    /// The other lines, as many cells each.
    var rows: [[String]]
    /// Whether cells are in the middle of their columns; else they begin at the left.
    var isCentered = false

    /// The lines of the table.
    var lines: [String] {
        func width(_ text: String) -> Int { text.unicodeScalars.count }
        let widths = header.indices.map { column in
            rows.reduce(width(header[column])) { max($0, width($1[column])) }
        }
        func line(_ cells: [String]) -> String {
            zip(cells, widths).map { cell, wide in
                "| " + cell + String(repeating: " ", count: wide - width(cell) + 1)
            }.joined() + "|"
        }
        let rule = widths.map { wide in
            "|:" + String(repeating: "-", count: isCentered ? wide : wide + 1) + (isCentered ? ":" : "")
        }
        return [line(header), rule.joined() + "|"] + rows.map(line)
    }
}

/// How cards spell numbers.
package enum CardNumber {
    /// A number as Python's str prints it after round(value, digits).
    package static func rounded(_ value: Double, digits: Int) -> String {
        guard value.isFinite else { return pythonSpelling(of: value) }
        return pythonSpelling(of: Double(String(format: "%.\(digits)f", value)) ?? value)
    }

    /// A cell of a table: at most four digits after the point.
    package static func cell(_ value: Double) -> String {
        let text = pythonSpelling(of: value)
        let parts = text.split(separator: ".", omittingEmptySubsequences: false)
        return parts.count > 1 && parts[1].count > 4 ? String(format: "%.4f", value) : text
    }

    /// An integer with commas between its thousands.
    package static func grouped(_ number: Int) -> String {
        let digits = Array(String(number))
        return String(
            digits.enumerated().flatMap { place, digit -> [Character] in
                place > 0 && (digits.count - place) % 3 == 0 ? [",", digit] : [digit]
            })
    }

    /// A time in the largest unit that it fills.
    package static func duration(_ seconds: Double) -> String {
        for (unit, size, count) in [("seconds", 1.0, 60.0), ("minutes", 60, 60), ("hours", 3600, 24)]
        where seconds / size < count {
            return String(format: "%.1f ", seconds / size) + unit
        }
        return String(format: "%.1f days", seconds / 86_400)
    }

    /// Rows of numbers as Python prints a tensor of them.
    package static func tensor(_ rows: [[Float]]) -> String {
        let values = rows.joined().filter { $0.isFinite && $0 != 0 }
        let areWhole = values.allSatisfy { $0 == $0.rounded() }
        func text(_ value: Float) -> String {
            guard value.isFinite else { return pythonSpelling(of: Double(value)) }
            return String(format: areWhole ? "%.0f." : "%.4f", Double(value))
        }
        let width = values.map { text($0).count }.max() ?? 1
        let lines = rows.map { row in
            row.map { value in
                let text = text(value)
                return String(repeating: " ", count: max(0, width - text.count)) + text
            }.joined(separator: ", ")
        }
        return "tensor([[" + lines.joined(separator: "],\n        [") + "]])"
    }
}

/// "a", "a and b", "a, b and c"; `last` stands before the last of three or more.
func enumeration(_ items: [String], last: String = " and ") -> String {
    guard items.count > 1, let final = items.last else { return items.first ?? "" }
    return items.dropLast().joined(separator: ", ") + (items.count > 2 ? last : " and ") + final
}
