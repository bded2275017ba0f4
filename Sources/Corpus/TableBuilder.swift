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
    /// The number of texts before the label; nil where it is last.
    let labelPlace: Int?
    let source: String
    /// Warnings about the file, one line each.
    public var notices: [String] = []
    /// Rows after which the reader may stop; nil for all of the file's.
    let rowLimit: Int?
    /// Where rows go that are not kept in memory.
    private let sink: RowStoreWriter?
    private var oddTexts = OddTexts()
    private var bytes: [UInt8] = []
    private var ends: [Int] = []
    private var cells = 0
    private var labelKind = LabelKind.none
    private var integers: [Int] = []
    private var floats: [Double] = []
    private var labelCount = 0

    private enum LabelKind {
        case none, integers, floats
        case lists(width: Int)
    }

    init(
        textNames: [String], labelName: String?, labelPlace: Int? = nil, source: String, rowLimit: Int? = nil,
        sink: RowStoreWriter? = nil
    ) {
        self.textNames = textNames
        self.labelName = labelName
        self.labelPlace = labelPlace
        self.source = source
        self.rowLimit = rowLimit
        self.sink = sink
        sink?.begin(textNames: textNames)
    }

    /// Whether the rest of the file need not be read.
    var isFull: Bool { rowLimit.map { cells >= $0 * textNames.count } ?? false || sink?.hasFailed ?? false }

    /// Adds the next text of the row.
    public mutating func append(text: String) {
        guard let sink else {
            bytes.append(contentsOf: text.utf8)
            return endCell()
        }
        var text = text
        text.withUTF8 { utf8 in
            if utf8.count <= OddTexts.longest { oddTexts.look(at: Array(utf8)[...], row: cells / textNames.count) }
            sink.append(text: UnsafeRawBufferPointer(utf8))
        }
        cells += 1
    }

    /// Adds the next text of the row, of valid UTF-8.
    public mutating func append(utf8: ArraySlice<UInt8>) {
        guard let sink else {
            bytes.append(contentsOf: utf8)
            return endCell()
        }
        if utf8.count <= OddTexts.longest { oddTexts.look(at: utf8, row: cells / textNames.count) }
        utf8.withUnsafeBytes { sink.append(text: $0) }
        cells += 1
    }

    /// Adds a text that cells of row `row` will have, and gives its number.
    mutating func add(text: String, row: Int) -> UInt32 {
        bytes.append(contentsOf: text.utf8)
        endCell(row: row)
        return UInt32(truncatingIfNeeded: ends.count - 1)
    }

    /// How many texts there are.
    var textCount: Int { ends.count }

    private mutating func endCell() {
        endCell(row: cells / textNames.count)
        cells += 1
    }

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
        case (.none, .integer), (.integers, .integer): labelKind = .integers
        case (.none, .float), (.floats, .float), (.floats, .integer): labelKind = .floats
        case (.integers, .float):
            labelKind = .floats
            (floats, integers) = (integers.map(Double.init), [])
        case (.none, .floats(let values)):
            guard !values.isEmpty else { throw mixed(place(), "the label is an empty list") }
            labelKind = .lists(width: values.count)
        case (.lists(let width), .floats(let values)):
            guard values.count == width else {
                throw mixed(place(), "the label is a list of \(values.count) numbers, those above have \(width)")
            }
        case (.lists, .integer), (.lists, .float):
            throw mixed(place(), "the label is a number, those above are lists")
        case (.integers, .floats), (.floats, .floats):
            throw mixed(place(), "the label is a list, those above are numbers")
        }
        labelCount += 1
        if let sink {
            sink.append(label: label)
            return
        }
        switch (labelKind, label) {
        case (.integers, .integer(let value)): integers.append(value)
        case (_, .integer(let value)): floats.append(Double(value))
        case (_, .float(let value)): floats.append(value)
        case (_, .floats(let values)): floats.append(contentsOf: values)
        }
    }

    /// The finished table, without rows where they went to a sink.
    ///
    /// Throws: `.data` if there are no rows.
    public func table() throws(TuttiError) -> Table {
        try table(columnNames: textNames, rowCount: textNames.isEmpty ? 0 : cells / textNames.count)
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
            columnNames: columnNames, rowCount: sink == nil ? rows : 0, labelName: labelName, labelPlace: labelPlace,
            source: source, texts: .memory(bytes: bytes, ends: ends), cells: cells, pools: pools, labels: labels,
            notices: notices + oddTexts.notices(source))
    }

    private var labels: LabelColumn {
        switch labelKind {
        case .none: return .none
        case .integers: return .integers(NumberColumn(integers))
        case .floats: return .floats(NumberColumn(floats))
        case .lists(let width): return .lists(NumberColumn(floats), width: width)
        }
    }

    private func mixed(_ place: String, _ problem: String) -> TuttiError {
        TuttiError(.data, "read labels", place, problem, hint: "All labels of a data set must be of the same kind.")
    }
}
