// Rows whose cells are JSON values, from any format: texts, labels, and lists of texts, which become rows and columns.
//
// The rule for lists, which FlagEmbedding, Tevatron and `mine-negatives` write: a row becomes one row for each text of its
// list of answers; lists of negatives, whose names contain "neg", are not multiplied but become columns after all others
// (`NegativeChoice` says how many). In a list an element may be an object {"title", "text"}: title and text, joined.
//
//   {"query": "q", "pos": ["a", "b"], "neg": ["x", "y"]}   becomes   q, a, x, y  and  q, b, x, y
//
// Which columns have lists is told by the first row.

import TuttiFormats
import TuttiGround

/// Collects rows of JSON values into a table.
struct RowCollector {
    private let selection: ColumnSelection
    private let options: ReaderOptions
    private let source: String
    private var builder: TableBuilder
    private var kinds: [Kind] = []
    private var rows = 0
    /// With lists: the numbers of the texts in the cells of columns that are not negatives, and the pools.
    private var cells: [UInt32] = []
    private var pools: [TextPool] = []

    private enum Kind { case text, answers, negatives }

    /// A collector of the columns in `selection` of the file `source`.
    init(_ selection: ColumnSelection, options: ReaderOptions, source: String) {
        self.selection = selection
        self.options = options
        self.source = source
        builder = selection.builder(source: source, options: options)
    }

    private var hasLists: Bool { kinds.contains { $0 != .text } }

    /// Whether the rest of the file need not be read.
    var isFull: Bool {
        guard hasLists, let limit = options.rowLimit else { return builder.isFull }
        let width = kinds.count { $0 != .negatives }
        return cells.count >= limit * width
    }

    /// Appends a row: the texts in the order of the table, then the label.
    mutating func append(_ values: [JSONValue], place: @autoclosure () -> String) throws(TuttiError) {
        if kinds.isEmpty { try begin(values, place()) }
        var label: Label?
        if let column = selection.label, let value = values.last {
            guard let read = LabelText.value(value) else {
                throw LabelText.error(
                    value.string ?? value.configurationText, name: selection.header[column], place: place())
            }
            label = read
        }
        if hasLists {
            try appendLists(values, label, place())
        } else {
            for number in selection.texts.indices {
                builder.append(text: try text(values[number], number, "a string", place()))
            }
            if let label { try builder.append(label: label, place: place()) }
        }
        rows += 1
    }

    /// The finished table, its negatives not yet in columns.
    ///
    /// Throws: `.data` without rows; `.usage` for `negatives` without lists of them.
    func table() throws(TuttiError) -> Table {
        guard hasLists else {
            try RowCollector.refuse(options, source)
            return try builder.table()
        }
        if pools.isEmpty { try RowCollector.refuse(options, source) }
        let names = selection.textNames.indices.filter { kinds[$0] != .negatives }.map { selection.textNames[$0] }
        return try builder.table(
            columnNames: names, rowCount: names.isEmpty ? 0 : cells.count / names.count, cells: cells, pools: pools)
    }

    /// Refuses `negatives` where no column has lists of them.
    static func refuse(_ options: ReaderOptions, _ source: String) throws(TuttiError) {
        guard options.negatives != nil else { return }
        throw TuttiError(
            .usage, "read table", source, "negatives: no column has lists of negatives",
            hint: "It is for columns of lists of texts whose names contain \"neg\"; remove it.")
    }

    /// Tells the kinds of the columns from the first row.
    private mutating func begin(_ values: [JSONValue], _ place: String) throws(TuttiError) {
        kinds = selection.texts.indices.map { number in
            guard values[number].array != nil else { return .text }
            return selection.textNames[number].lowercased().contains("neg") ? .negatives : .answers
        }
        let lists = kinds.indices.filter { kinds[$0] == .answers }
        if lists.count > 1 {
            let names = lists.map { "'\(selection.textNames[$0])'" }.joined(separator: " and ")
            throw TuttiError(
                .data, "read table", place, "the columns \(names) hold lists, of which one can become rows",
                hint: "Name the columns to use with columns: [...]; lists of negatives have names with \"neg\".")
        }
        if !kinds.contains(where: { $0 != .negatives }) {
            throw TuttiError(
                .data, "read table", place, "has lists of negatives only", hint: "Name an anchor with columns: [...].")
        }
        if hasLists, let sink = options.sink { throw sink.refuseLists(place) }
        for number in kinds.indices where kinds[number] == .negatives {
            pools.append(TextPool(name: selection.textNames[number], columns: 0..<0, firsts: [], counts: []))
        }
    }

    private mutating func appendLists(_ values: [JSONValue], _ label: Label?, _ place: String) throws(TuttiError) {
        var row: [UInt32] = []
        var answers: (column: Int, texts: Range<UInt32>)?
        var negatives: [Range<UInt32>] = []
        for number in selection.texts.indices {
            guard kinds[number] != .text else {
                row.append(builder.add(text: try text(values[number], number, "a string", place), row: rows))
                continue
            }
            guard let list = values[number].array else {
                throw flawed(values[number], number, "a list, as in the first row", place)
            }
            let first = UInt32(truncatingIfNeeded: builder.textCount)
            for value in list {
                guard let text = RowCollector.element(value) else {
                    throw flawed(value, number, "a list of strings", place, inList: true)
                }
                _ = builder.add(text: text, row: rows)
            }
            let texts = first..<UInt32(truncatingIfNeeded: builder.textCount)
            guard !texts.isEmpty else {
                throw TuttiError(
                    .data, "read table", place,
                    "the list in column '\(selection.header[selection.texts[number]])' is empty",
                    hint: "Every row needs a text of each list; leave the row out, or the column with columns: [...].")
            }
            if kinds[number] == .answers {
                answers = (row.count, texts)
                row.append(first)
            } else {
                negatives.append(texts)
            }
        }
        guard builder.textCount < Int(UInt32.max) else {
            throw TuttiError(.data, "read table", source, "has more than \(UInt32.max) texts")
        }
        for text in answers?.texts ?? 0..<1 {
            if let answers { row[answers.column] = text }
            cells.append(contentsOf: row)
            for (number, texts) in negatives.enumerated() {
                pools[number].firsts.append(texts.lowerBound)
                pools[number].counts.append(UInt32(texts.count))
            }
            if let label { try builder.append(label: label, place: place) }
        }
    }

    /// The text of an element of a list: itself, or the title and text of a passage.
    private static func element(_ value: JSONValue) -> String? {
        if let text = value.string { return text }
        guard let text = value["text"]?.string else { return nil }
        return RetrievalFiles.joined(title: value["title"]?.string ?? "", text: text)
    }

    private func text(_ value: JSONValue, _ number: Int, _ expected: String, _ place: String) throws(TuttiError)
        -> String
    {
        if case .string(let text) = value { return text }
        if options.takesAbsentTexts, value.isNull { return "" }
        throw flawed(value, number, expected, place)
    }

    private func flawed(
        _ value: JSONValue, _ number: Int, _ expected: String, _ place: String, inList: Bool = false
    ) -> TuttiError {
        let name = selection.header[selection.texts[number]]
        let isAbsent = value.isNull && !inList
        return TuttiError(
            .data, "read table", place,
            inList
                ? "column '\(name)' has \(value.kindName) in its list, expected \(expected)"
                : "column '\(name)' is \(value.kindName), expected \(expected)",
            hint: isAbsent
                ? "Leave out rows without a text with filter: {empty: true}."
                : "Name the columns to use with columns:; a label column is called label or score.")
    }
}
