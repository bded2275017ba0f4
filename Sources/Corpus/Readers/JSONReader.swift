// JSON files: an array of objects, or one object of columns; also JSON lines under the name .json, which is common.

import TuttiFormats
import TuttiGround

/// JSON.
package enum JSONReader: DatasetReader {
    /// The file extensions.
    package static let extensions = ["json"]
    /// One line about the format.
    package static let summary = "JSON: an array of objects, an object of columns, or one object per line"

    /// Reads the rows of `file`.
    package static func read(
        _ file: MappedFile, columns: [String]?, options: ReaderOptions
    ) throws(TuttiError) -> Table {
        try JSONRows.check(options, file)
        let bytes = file.bytes
        let first = bytes.first { ![0x20, 0x09, 0x0A, 0x0D, 0xEF, 0xBB, 0xBF].contains($0) }
        if first == UInt8(ascii: "[") { return try JSONRows.read(file, form: .array, columns: columns) }
        guard first == UInt8(ascii: "{") else {
            throw TuttiError(
                .data, "read table", file.path, "is neither an array of objects nor an object of columns")
        }
        // JSON lines start with a line that is a whole object; an object of columns on one line contains arrays.
        var lines = try JSONSequence(bytes, form: .lines, source: file.path)
        if let line = wholeObject(&lines), !line.values.allSatisfy({ $0.array != nil }) || hasMore(&lines) {
            return try JSONRows.read(file, form: .lines, columns: columns)
        }
        guard let object = try JSONValue.parse(bytes, source: file.path).object else {
            throw TuttiError(.data, "read table", file.path, "is not an object of columns")
        }
        return try withExtendedLifetime(file) { () throws(TuttiError) in
            try table(ofColumns: object, columns: columns, source: file.path)
        }
    }

    /// The first line's object, or nil if the line is not a complete value.
    private static func wholeObject(_ lines: inout JSONSequence) -> JSONObject? {
        do throws(TuttiError) { return try lines.next()?.value.object } catch { return nil }
    }

    private static func hasMore(_ lines: inout JSONSequence) -> Bool {
        do throws(TuttiError) { return try lines.next() != nil } catch { return true }
    }

    private static func table(
        ofColumns object: JSONObject, columns: [String]?, source: String
    ) throws(TuttiError) -> Table {
        let selection = try ColumnSelection(header: object.keys, columns: columns, source: source)
        var lists: [[JSONValue]] = []
        let values = object.values
        for place in selection.texts + (selection.label.map { [$0] } ?? []) {
            guard let list = values[place].array else {
                throw TuttiError(
                    .data, "read table", source,
                    "'\(selection.header[place])' is \(values[place].kindName), expected a list",
                    hint: "A JSON data set is an array of objects, or an object whose members are the columns.")
            }
            if let first = lists.first, first.count != list.count {
                let firstName = selection.header[selection.texts[0]]
                throw TuttiError(
                    .data, "read table", source,
                    "'\(selection.header[place])' has \(list.count) rows, '\(firstName)' has \(first.count)")
            }
            lists.append(list)
        }
        var builder = selection.builder(source: source)
        for row in 0..<(lists.first?.count ?? 0) {
            let values = lists.map { $0[row] }
            try JSONRows.append(values, selection: selection, to: &builder, place: "\(source): row \(row + 1)")
        }
        return try builder.table()
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
        return try JSONRows.read(file, form: .lines, columns: columns)
    }
}

/// Rows that are objects; the first one names the columns.
enum JSONRows {
    /// Refuses options of files of separated values.
    static func check(_ options: ReaderOptions, _ file: MappedFile) throws(TuttiError) {
        guard options != ReaderOptions() else { return }
        throw TuttiError(
            .usage, "read table", file.path, "delimiter, quote and header do not apply to JSON",
            hint: "They are options of .csv and .tsv files.")
    }

    static func read(_ file: MappedFile, form: JSONSequence.Form, columns: [String]?) throws(TuttiError) -> Table {
        var rows = try JSONSequence(file.bytes, form: form, source: file.path)
        var chosen: ColumnSelection?
        var builder = TableBuilder(textNames: [], labelName: nil, source: file.path)
        var values: [JSONValue] = []
        while let (value, line) = try rows.next() {
            let place = "\(file.path):\(line)"
            guard let object = value.object else {
                throw TuttiError(
                    .data, "read table", place, "the row is \(value.kindName), expected an object",
                    hint: "A row looks like {\"anchor\": \"...\", \"positive\": \"...\"}.")
            }
            let selection: ColumnSelection
            if let chosen {
                selection = chosen
            } else {
                selection = try ColumnSelection(header: object.keys, columns: columns, source: place)
                chosen = selection
                builder = selection.builder(source: file.path)
            }
            if columns == nil, let extra = object.keys.first(where: { !selection.names.contains($0) }) {
                throw TuttiError(
                    .data, "read table", place, "the row has a column '\(extra)' that the first row lacks",
                    hint: TuttiError.hint(unknown: extra, known: selection.header))
            }
            values.removeAll(keepingCapacity: true)
            for column in selection.texts + (selection.label.map { [$0] } ?? []) {
                let name = selection.header[column]
                guard let value = object[name] else {
                    throw TuttiError(
                        .data, "read table", place, "the row has no column '\(name)'",
                        hint: TuttiError.hint(unknown: name, known: object.keys))
                }
                values.append(value)
            }
            try append(values, selection: selection, to: &builder, place: place)
        }
        return try withExtendedLifetime(file) { () throws(TuttiError) in try builder.table() }
    }

    /// Appends a row: the texts in the order of the table, then the label.
    static func append(
        _ values: [JSONValue], selection: ColumnSelection, to builder: inout TableBuilder, place: String
    ) throws(TuttiError) {
        for (number, column) in selection.texts.enumerated() {
            guard case .string(let text) = values[number] else {
                throw TuttiError(
                    .data, "read table", place,
                    "column '\(selection.header[column])' is \(values[number].kindName), expected a string",
                    hint: "Name the columns to use with columns:; a label column is called label or score.")
            }
            builder.append(text: text)
        }
        guard let column = selection.label, let value = values.last else { return }
        guard let label = LabelText.value(value) else {
            throw LabelText.error(
                value.string ?? value.serialized(), name: selection.header[column], place: place)
        }
        try builder.append(label: label, place: place)
    }
}
