// A data set: text columns and at most one label column, in memory or in the files of a cache (Cache/RowStore.swift).
//
// All texts are stored in one block of UTF-8, row by row, with an array of end offsets: a million rows are two
// allocations, and a String exists only for rows of the current batch. Labels are one flat array. Where rows share texts
// (a query with several answers) or draw them anew in each epoch (negatives), a third array says which text is in which
// cell.

import TuttiFormats
import TuttiGround

/// The label of a row.
public enum Label: Sendable, Equatable {
    /// A class, or any column of integers.
    case integer(Int)
    /// A score.
    case float(Double)
    /// A list of scores, of the same length in the whole column.
    case floats([Double])
}

/// Rows of texts with optional labels.
public struct Table: Sendable {
    /// The names of the text columns, in the order in which losses see them.
    public let columnNames: [String]
    /// The number of rows.
    public let rowCount: Int
    /// The name of the label column, if there is one.
    public let labelName: String?
    /// The number of text columns before the label, as the data have them; all of them without a label.
    package let labelPlace: Int
    /// The file of the rows.
    public let source: String
    /// One a cell, row-major, unless `cells` or `selection` say otherwise.
    let texts: TableTexts
    /// The text of each cell, row-major; nil where cell n has text n.
    let cells: [UInt32]?
    /// Of a table in files: which of their rows it has, in its order; nil for all.
    let selection: [Int32]?
    /// Columns whose texts are drawn in each epoch.
    let pools: [TextPool]
    let labels: LabelColumn
    /// Warnings from reading the rows, one line each: cells that swallowed rows, empty texts.
    public let notices: [String]

    init(
        columnNames: [String], rowCount: Int, labelName: String?, labelPlace: Int? = nil, source: String,
        texts: TableTexts,
        cells: [UInt32]? = nil, selection: [Int32]? = nil, pools: [TextPool] = [], labels: LabelColumn,
        notices: [String] = []
    ) {
        let count = cells?.count ?? selection.map { $0.count * columnNames.count } ?? texts.count
        precondition(count == rowCount * columnNames.count, "Table: \(count) cells in \(rowCount) rows")
        self.columnNames = columnNames
        self.rowCount = rowCount
        self.labelName = labelName
        self.labelPlace = min(labelPlace ?? columnNames.count, columnNames.count)
        self.source = source
        self.texts = texts
        self.cells = cells
        self.selection = selection
        self.pools = pools
        self.labels = labels
        self.notices = notices
    }

    /// A table from columns of strings, for callers that hold their data in memory.
    public init(
        columns: [(name: String, texts: [String])], labelName: String = "label", labels: [Label] = [],
        source: String = "memory"
    ) throws(TuttiError) {
        let rows = columns.first?.texts.count ?? 0
        precondition(columns.allSatisfy { $0.texts.count == rows }, "Table: columns of different lengths")
        precondition(labels.isEmpty || labels.count == rows, "Table: \(labels.count) labels for \(rows) rows")
        var builder = TableBuilder(
            textNames: columns.map(\.name), labelName: labels.isEmpty ? nil : labelName, source: source)
        for row in 0..<rows {
            for column in columns { builder.append(text: column.texts[row]) }
            if !labels.isEmpty { try builder.append(label: labels[row], place: "\(source):\(row + 1)") }
        }
        self = try builder.table()
    }

    /// The text of a cell.
    public func text(row: Int, column: Int) -> String {
        texts.string(number(row: row, column: column))
    }

    /// All texts of a column, in row order.
    public func texts(column: Int) -> [String] { (0..<rowCount).map { text(row: $0, column: column) } }

    /// The column named `name`.
    ///
    /// Throws: `.data` with the nearest name if there is none.
    public func column(named name: String) throws(TuttiError) -> Int {
        if let column = columnNames.firstIndex(of: name) { return column }
        throw TuttiError(
            .data, "read table", source, "no such text column '\(name)'",
            hint: TuttiError.hint(unknown: name, known: columnNames))
    }

    /// The approximate cost of encoding a row: the bytes of its texts, at most `longestText` each, plus ten for the
    /// special tokens of every text.
    func cost(row: Int, longestText: Int) -> Int {
        columnNames.indices.reduce(0) { $0 + min(range(row: row, column: $1).count, longestText) + 10 }
    }

    /// The label of a row, or nil without labels.
    public func label(row: Int) -> Label? { labels[row] }

    /// The number of a cell's text in `texts`.
    func number(row: Int, column: Int) -> Int {
        precondition(row >= 0 && row < rowCount && column >= 0 && column < columnNames.count, "Table: no such cell")
        let cell = (selection.map { Int($0[row]) } ?? row) * columnNames.count + column
        return cells.map { Int($0[cell]) } ?? cell
    }

    /// The range of a cell's text in the block of `texts`.
    func range(row: Int, column: Int) -> Range<Int> { texts.range(number(row: row, column: column)) }
}

/// The labels of a table in one array.
enum LabelColumn: Sendable {
    case none
    case integers(NumberColumn<Int>)
    case floats(NumberColumn<Double>)
    case lists(NumberColumn<Double>, width: Int)

    subscript(row: Int) -> Label? {
        switch self {
        case .none: return nil
        case .integers(let values): return .integer(values[row])
        case .floats(let values): return .float(values[row])
        case .lists(let values, let width): return .floats(Array(values[(row * width)..<((row + 1) * width)]))
        }
    }

    func update(_ digest: inout Digest) {
        switch self {
        case .none: digest.update(0)
        case .integers(let values):
            digest.update(1)
            values.withBytes { digest.update($0) }
        case .floats(let values):
            digest.update(2)
            values.withBytes { digest.update($0) }
        case .lists(let values, let width):
            digest.update(2 + width)
            values.withBytes { digest.update($0) }
        }
    }
}
