// Collects the rows of a table: its texts in column order, then the label.
//
// A label column may mix integers and fractions and then is a column of fractions, as in the reference's readers; it may
// not mix numbers and lists, or lists of different lengths.

import TuttiFormats
import TuttiGround

/// Collects the rows of a table, one after the other: the texts in the order of the columns, then the label if there is
/// one.
public struct TableBuilder {
    let textNames: [String]
    let labelName: String?
    let source: String
    /// Warnings about the file, one line each.
    public var notices: [String] = []
    private var oddTexts = OddTexts()
    private var bytes: [UInt8] = []
    private var ends: [Int] = []
    private var labelKind = LabelKind.none
    private var integers: [Int] = []
    private var floats: [Double] = []
    private var labelCount = 0

    private enum LabelKind {
        case none, integers, floats
        case lists(width: Int)
    }

    init(textNames: [String], labelName: String?, source: String) {
        self.textNames = textNames
        self.labelName = labelName
        self.source = source
    }

    /// Adds the next text of the row.
    public mutating func append(text: String) {
        bytes.append(contentsOf: text.utf8)
        endCell()
    }

    /// Adds the next text of the row, of valid UTF-8.
    public mutating func append(utf8: ArraySlice<UInt8>) {
        bytes.append(contentsOf: utf8)
        endCell()
    }

    /// Adds a text that cells of row `row` will have, and gives its number.
    mutating func add(text: String, row: Int) -> UInt32 {
        bytes.append(contentsOf: text.utf8)
        endCell(row: row)
        return UInt32(truncatingIfNeeded: ends.count - 1)
    }

    /// How many texts there are.
    var textCount: Int { ends.count }

    private mutating func endCell() { endCell(row: ends.count / textNames.count) }

    private mutating func endCell(row: Int) {
        let length = bytes.count - (ends.last ?? 0)
        if length <= OddTexts.longest { oddTexts.look(at: bytes.suffix(length), row: row) }
        ends.append(bytes.count)
    }

    /// Adds the label of the row whose texts are there.
    ///
    /// - Parameter place: where it is written, for messages: "file:line".
    /// - Throws: a data error for a label of another kind than those above.
    public mutating func append(label: Label, place: @autoclosure () -> String) throws(TuttiError) {
        switch (labelKind, label) {
        case (.none, .integer(let value)), (.integers, .integer(let value)):
            labelKind = .integers
            integers.append(value)
        case (.none, .float(let value)), (.floats, .float(let value)):
            labelKind = .floats
            floats.append(value)
        case (.floats, .integer(let value)):
            floats.append(Double(value))
        case (.integers, .float(let value)):
            labelKind = .floats
            floats = integers.map(Double.init) + [value]
            integers = []
        case (.none, .floats(let values)):
            guard !values.isEmpty else { throw mixed(place(), "the label is an empty list") }
            labelKind = .lists(width: values.count)
            floats = values
        case (.lists(let width), .floats(let values)):
            guard values.count == width else {
                throw mixed(place(), "the label is a list of \(values.count) numbers, those above have \(width)")
            }
            floats.append(contentsOf: values)
        case (.lists, .integer), (.lists, .float):
            throw mixed(place(), "the label is a number, those above are lists")
        case (.integers, .floats), (.floats, .floats):
            throw mixed(place(), "the label is a list, those above are numbers")
        }
        labelCount += 1
    }

    /// The finished table.
    ///
    /// Throws: `.data` if there are no rows.
    public func table() throws(TuttiError) -> Table {
        try table(columnNames: textNames, rowCount: textNames.isEmpty ? 0 : ends.count / textNames.count)
    }

    /// The finished table of texts that were added by `add`.
    ///
    /// - Parameters:
    ///   - cells: the number of the text in each cell, row-major.
    ///   - pools: columns whose texts are drawn in each epoch.
    func table(
        columnNames: [String], rowCount rows: Int, cells: [UInt32]? = nil, pools: [TextPool] = []
    ) throws(TuttiError) -> Table {
        guard rows > 0 else {
            throw TuttiError(
                .data, "read table", source, "the data set is empty: it has no rows",
                hint: "Check the path and the file.")
        }
        guard rows <= Int(Int32.max) else {
            throw TuttiError(.data, "read table", source, "has more than \(Int32.max) rows")
        }
        precondition(labelName == nil || labelCount == rows, "TableBuilder: \(labelCount) labels for \(rows) rows")
        return Table(
            columnNames: columnNames, rowCount: rows, labelName: labelName, source: source, bytes: bytes, ends: ends,
            cells: cells, pools: pools, labels: labels, notices: notices + oddTexts.notices(source))
    }

    private var labels: LabelColumn {
        switch labelKind {
        case .none: return .none
        case .integers: return .integers(integers)
        case .floats: return .floats(floats)
        case .lists(let width): return .lists(floats, width: width)
        }
    }

    private func mixed(_ place: String, _ problem: String) -> TuttiError {
        TuttiError(.data, "read labels", place, problem, hint: "All labels of a data set must be of the same kind.")
    }
}
