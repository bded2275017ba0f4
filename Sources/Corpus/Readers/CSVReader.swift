// Comma- and tab-separated files with a header line. Labels are numbers, or JSON arrays of numbers in a cell.

import TuttiFormats
import TuttiGround

/// Comma-separated values.
package enum CSVReader: DatasetReader {
    /// The file extensions.
    package static let extensions = ["csv"]
    /// One line about the format.
    package static let summary = "comma-separated values with a header line, quoted as in RFC 4180"

    /// Reads the rows of `file`.
    package static func read(
        _ file: MappedFile, columns: [String]?, options: ReaderOptions
    ) throws(TuttiError) -> Table {
        try readSeparated(file, by: options.delimiter ?? ",", columns: columns, options)
    }
}

/// Tab-separated values.
package enum TSVReader: DatasetReader {
    /// The file extensions.
    package static let extensions = ["tsv"]
    /// One line about the format.
    package static let summary = "tab-separated values with a header line, quoted like CSV"

    /// Reads the rows of `file`.
    package static func read(
        _ file: MappedFile, columns: [String]?, options: ReaderOptions
    ) throws(TuttiError) -> Table {
        try readSeparated(file, by: options.delimiter ?? "\t", columns: columns, options)
    }
}

private func readSeparated(
    _ file: MappedFile, by delimiter: Unicode.Scalar, columns: [String]?, _ options: ReaderOptions
) throws(TuttiError) -> Table {
    try RowCollector.refuse(options, file.path)
    var parser = CSVParser(file.bytes, source: file.path, separator: delimiter, quote: options.quote)
    var record = CSVRecord()
    let header = try names(of: file, columns: columns, options, parser: &parser, record: &record)
    let selection = try ColumnSelection(
        header: header, columns: columns, source: options.header == .line ? "\(file.path):1" : file.path,
        options: options)
    var builder = selection.builder(source: file.path, options: options)
    var swallowing = SwallowedRows(delimiter: delimiter, columns: header.count)
    while !builder.isFull, try parser.next(&record) {
        guard record.count == header.count else {
            guard options.header == .line else {
                throw parser.raggedRow(
                    record, expected: header.count,
                    hint: "Without a header line, header: [...] names all fields, and columns: [...] those in use.")
            }
            throw parser.raggedRow(record, expected: header.count)
        }
        if record.lineCount > 1 { swallowing.look(at: record) }
        for column in selection.texts { builder.append(utf8: record.bytes[record.range(column)]) }
        if let column = selection.label {
            let text = record[column]
            guard let label = LabelText.parse(text) else {
                throw LabelText.error(text, name: selection.header[column], place: parser.place(of: column, in: record))
            }
            try builder.append(label: label, place: parser.place(of: column, in: record))
        }
    }
    if let notice = swallowing.notice(file.path) { builder.notices.append(notice) }
    return try withExtendedLifetime(file) { () throws(TuttiError) in try builder.table() }
}

/// The names of all fields: from the first line, or from the options.
private func names(
    of file: MappedFile, columns: [String]?, _ options: ReaderOptions, parser: inout CSVParser,
    record: inout CSVRecord
) throws(TuttiError) -> [String] {
    switch options.header {
    case .names(let names): return names
    case .columns:
        if let columns { return columns }
        throw TuttiError(
            .usage, "read table", file.path, "header: false, but no field names",
            hint: "Name all of them with columns: [...], or with header: [...].")
    case .line:
        if try parser.next(&record) { return record.fields }
        throw TuttiError(.data, "read table", file.path, "the file is empty: it has no header line")
    }
}

/// Quoted cells that contain line ends and seem to have swallowed rows, because the file is written without quoting.
private struct SwallowedRows {
    let delimiter: UInt8
    let columns: Int
    private var cells = 0
    private var firstLine = 0

    init(delimiter: Unicode.Scalar, columns: Int) {
        self.delimiter = UInt8(delimiter.value)
        self.columns = columns
    }

    mutating func look(at record: CSVRecord) {
        for field in 0..<record.count where isSuspicious(record.bytes[record.range(field)], field) {
            if cells == 0 { firstLine = record.line }
            cells += 1
        }
    }

    /// Texts rarely contain tabs. Other delimiters must appear in the cell as they would in rows.
    private func isSuspicious(_ cell: ArraySlice<UInt8>, _ field: Int) -> Bool {
        let lines = cell.split(separator: 0x0A, omittingEmptySubsequences: false)
        guard lines.count > 1 else { return false }
        let counts = lines.map { line in line.count { $0 == delimiter } }
        if delimiter == 0x09 { return counts.contains { $0 > 0 } }
        guard columns > 2 || lines.count > 2 else { return false }
        return counts.first == columns - 1 - field && counts.last == field
            && counts.dropFirst().dropLast().allSatisfy { $0 == columns - 1 }
    }

    func notice(_ path: String) -> String? {
        guard cells > 0 else { return nil }
        let what = cells == 1 ? "a quoted cell holds" : "\(cells) quoted cells hold"
        return
            "\(path): \(what) whole rows, as it seems (the first in the row of line \(firstLine)). If the quotes are "
            + "ordinary characters of the texts, read the file with quote: none."
    }
}
