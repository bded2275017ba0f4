// JSON files in the shapes that people write: an array of objects, an object of columns (lists, or objects by row as pandas
// writes them), `{"data": [...]}`; also JSON lines under the name .json, which is common.

import TuttiFormats
import TuttiGround

/// JSON.
package enum JSONReader: DatasetReader {
    /// The file extensions.
    package static let extensions = ["json"]
    /// One line about the format.
    package static let summary =
        "JSON: an array of objects, an object of columns, {\"data\": [...]}, or one object per line"

    /// Reads the rows of `file`.
    package static func read(
        _ file: MappedFile, columns: [String]?, options: ReaderOptions
    ) throws(TuttiError) -> Table {
        try JSONRows.check(options, file)
        let bytes = file.bytes
        let first = bytes.first { ![0x20, 0x09, 0x0A, 0x0D, 0xEF, 0xBB, 0xBF].contains($0) }
        if first == UInt8(ascii: "[") {
            return try JSONRows.read(file, form: .array, columns: columns, options: options)
        }
        guard first == UInt8(ascii: "{") else {
            throw TuttiError(
                .data, "read table", file.path, "is neither an array of objects nor an object of columns")
        }
        // JSON lines start with a line that is a whole object, and a file of one line is one row unless it has columns.
        var lines = try JSONSequence(bytes, form: .lines, source: file.path)
        if let line = wholeObject(&lines), hasMore(&lines) || JSONShape(of: line) == nil {
            return try JSONRows.read(file, form: .lines, columns: columns, options: options)
        }
        guard let object = try JSONValue.parse(bytes, source: file.path).object else {
            throw TuttiError(.data, "read table", file.path, "is not an object of columns")
        }
        let source = file.path
        return try withExtendedLifetime(file) { () throws(TuttiError) in
            switch JSONShape(of: object) ?? .lists {
            case .rows(let rows):
                return try JSONRows.table(of: rows, columns: columns, options: options, source: source)
            case .split(let header, let rows):
                return try table(header: header, rows: rows, columns: columns, options: options, source: source)
            case .lists, .objects:
                return try table(ofColumns: object, columns: columns, options: options, source: source)
            }
        }
    }

    /// The first line's object, or nil if the line is not a complete value.
    private static func wholeObject(_ lines: inout JSONSequence) -> JSONObject? {
        do throws(TuttiError) { return try lines.next()?.value.object } catch { return nil }
    }

    private static func hasMore(_ lines: inout JSONSequence) -> Bool {
        do throws(TuttiError) { return try lines.next() != nil } catch { return true }
    }

    /// Columns that are lists, or objects with a member for each row.
    private static func table(
        ofColumns object: JSONObject, columns: [String]?, options: ReaderOptions, source: String
    ) throws(TuttiError) -> Table {
        let selection = try ColumnSelection(header: object.keys, columns: columns, source: source, options: options)
        var lists: [[JSONValue]] = []
        var keys: [String]?
        let values = object.values
        for place in selection.texts + (selection.label.map { [$0] } ?? []) {
            let name = selection.header[place]
            if let members = values[place].object, keys != nil || lists.isEmpty {
                guard members.keys == keys ?? members.keys else {
                    throw TuttiError(
                        .data, "read table", source, "'\(name)' has other rows than '\(selection.textNames[0])'",
                        hint: "In an object of columns by row, as pandas writes it, all columns have the same rows.")
                }
                keys = members.keys
                lists.append(members.values)
                continue
            }
            guard let list = values[place].array, keys == nil else {
                throw TuttiError(
                    .data, "read table", source,
                    "'\(name)' is \(values[place].kindName), expected \(keys == nil ? "a list" : "an object")",
                    hint: "A JSON data set is an array of objects, or an object whose members are the columns.")
            }
            if let first = lists.first, first.count != list.count {
                throw TuttiError(
                    .data, "read table", source,
                    "'\(name)' has \(list.count) rows, '\(selection.textNames[0])' has \(first.count)")
            }
            lists.append(list)
        }
        var rows = RowCollector(selection, options: options, source: source)
        for row in 0..<(lists.first?.count ?? 0) {
            try rows.append(lists.map { $0[row] }, place: "\(source): row \(row + 1)")
        }
        return try rows.table()
    }

    /// Rows that are lists of cells, with the names of the columns beside them.
    private static func table(
        header: [String], rows cells: [JSONValue], columns: [String]?, options: ReaderOptions, source: String
    ) throws(TuttiError) -> Table {
        let selection = try ColumnSelection(header: header, columns: columns, source: source, options: options)
        var rows = RowCollector(selection, options: options, source: source)
        for (row, value) in cells.enumerated() {
            guard let values = value.array, values.count == header.count else {
                throw TuttiError(
                    .data, "read table", "\(source): row \(row + 1)",
                    "is \(value.array.map { "a list of \($0.count)" } ?? value.kindName), expected \(header.count) cells"
                )
            }
            let places = selection.texts + (selection.label.map { [$0] } ?? [])
            try rows.append(places.map { values[$0] }, place: "\(source): row \(row + 1)")
        }
        return try rows.table()
    }
}

/// The shape of an object that holds a whole data set.
private enum JSONShape {
    /// Members that are lists, one for each column.
    case lists
    /// Members that are objects by row (pandas' orient="columns").
    case objects
    /// A member "data" with objects (pandas' orient="table", and many data sets).
    case rows([JSONValue])
    /// Members "columns" and "data" with lists (pandas' orient="split").
    case split([String], [JSONValue])

    /// The shape of `object`; nil if it is one row.
    init?(of object: JSONObject) {
        if let data = object["data"]?.array, let first = data.first {
            if first.object != nil {
                self = .rows(data)
                return
            }
            let names = object["columns"]?.array?.compactMap(\.string)
            if first.array != nil, let names, names.count == object["columns"]?.array?.count {
                self = .split(names, data)
                return
            }
        }
        if object.isEmpty { return nil }
        if object.values.allSatisfy({ $0.array != nil }) {
            self = .lists
        } else if object.values.allSatisfy({ $0.object != nil }) {
            self = .objects
        } else {
            return nil
        }
    }
}

/// JSON lines.
package enum JSONLinesReader: DatasetReader {
    /// The file extensions.
    package static let extensions = ["jsonl", "ndjson"]
    /// One line about the format.
    package static let summary = "JSON lines: one object per line"

    /// Reads the rows of `file`.
    package static func read(
        _ file: MappedFile, columns: [String]?, options: ReaderOptions
    ) throws(TuttiError) -> Table {
        try JSONRows.check(options, file)
        return try JSONRows.read(file, form: .lines, columns: columns, options: options)
    }
}

/// Rows that are objects; the first one names the columns.
enum JSONRows {
    /// Refuses options of files of separated values.
    static func check(_ options: ReaderOptions, _ file: MappedFile, format: String = "JSON") throws(TuttiError) {
        guard !options.isPlain else { return }
        throw TuttiError(
            .usage, "read table", file.path, "delimiter, quote and header do not apply to \(format)",
            hint: "They are options of .csv and .tsv files.")
    }

    static func read(
        _ file: MappedFile, form: JSONSequence.Form, columns: [String]?, options: ReaderOptions
    ) throws(TuttiError) -> Table {
        var rows = try JSONSequence(file.bytes, form: form, source: file.path)
        return try withExtendedLifetime(file) { () throws(TuttiError) in
            try table(columns: columns, options: options, source: file.path) { () throws(TuttiError) in
                try rows.next().map { ($0.value, "\(file.path):\($0.line)") }
            }
        }
    }

    /// The table of objects in memory.
    static func table(
        of values: [JSONValue], columns: [String]?, options: ReaderOptions, source: String
    ) throws(TuttiError) -> Table {
        var row = 0
        return try table(columns: columns, options: options, source: source) {
            row += 1
            return row <= values.count ? (values[row - 1], "\(source): row \(row)") : nil
        }
    }

    /// The table of the objects that `next` gives, with their places.
    private static func table(
        columns: [String]?, options: ReaderOptions, source: String,
        _ next: () throws(TuttiError) -> (value: JSONValue, place: String)?
    ) throws(TuttiError) -> Table {
        var chosen: (selection: ColumnSelection, rows: RowCollector)?
        var values: [JSONValue] = []
        while !(chosen?.rows.isFull ?? false), let (value, place) = try next() {
            guard let object = value.object else {
                throw TuttiError(
                    .data, "read table", place, "the row is \(value.kindName), expected an object",
                    hint: "A row looks like {\"anchor\": \"...\", \"positive\": \"...\"}.")
            }
            if chosen == nil {
                let selection = try ColumnSelection(
                    header: object.keys, columns: columns, source: place, options: options)
                chosen = (selection, RowCollector(selection, options: options, source: source))
            }
            guard let selection = chosen?.selection else { break }
            if columns == nil, let extra = object.keys.first(where: { !selection.fileNames.contains($0) }) {
                throw TuttiError(
                    .data, "read table", place, "the row has a column '\(extra)' that the first row lacks",
                    hint: TuttiError.hint(unknown: extra, known: selection.fileHeader))
            }
            values.removeAll(keepingCapacity: true)
            for column in selection.texts + (selection.label.map { [$0] } ?? []) {
                let name = selection.fileHeader[column]
                guard let value = object[name] else {
                    throw TuttiError(
                        .data, "read table", place, "the row has no column '\(name)'",
                        hint: TuttiError.hint(unknown: name, known: object.keys))
                }
                values.append(value)
            }
            try chosen?.rows.append(values, place: place)
        }
        guard let table = try chosen?.rows.table() else {
            throw TuttiError(
                .data, "read table", source, "the data set is empty: it has no rows",
                hint: "Check the path and the file.")
        }
        return table
    }
}
