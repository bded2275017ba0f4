// Comma- and tab-separated files with a header line. Labels are numbers, or JSON arrays of numbers in a cell.

import TuttiFormats
import TuttiGround

/// Comma-separated values.
public enum CSVReader: DatasetReader {
    /// The extensions of such files.
    public static let extensions = ["csv"]
    /// One line on the format.
    public static let summary = "comma-separated values with a header line, quoted as in RFC 4180"

    /// Reads the rows of `file`.
    public static func read(_ file: MappedFile, columns: [String]?) throws(TuttiError) -> Table {
        try readSeparated(file, by: ",", columns: columns)
    }
}

/// Tab-separated values.
public enum TSVReader: DatasetReader {
    /// The extensions of such files.
    public static let extensions = ["tsv"]
    /// One line on the format.
    public static let summary = "tab-separated values with a header line, quoted like CSV"

    /// Reads the rows of `file`.
    public static func read(_ file: MappedFile, columns: [String]?) throws(TuttiError) -> Table {
        try readSeparated(file, by: "\t", columns: columns)
    }
}

private func readSeparated(
    _ file: MappedFile, by separator: Unicode.Scalar, columns: [String]?
) throws(TuttiError) -> Table {
    var parser = try CSVParser(file.bytes, source: file.path, separator: separator)
    var record = CSVRecord()
    guard try parser.next(&record) else {
        throw TuttiError(.data, "read table", file.path, "the file is empty: it has no header line")
    }
    let selection = try ColumnSelection(header: record.fields, columns: columns, source: "\(file.path):1")
    var builder = selection.builder(source: file.path)
    while try parser.next(&record) {
        guard record.count == selection.header.count else {
            throw parser.raggedRow(record, expected: selection.header.count)
        }
        for column in selection.texts { builder.append(utf8: record.bytes[record.range(column)]) }
        if let column = selection.label {
            let text = record[column]
            guard let label = LabelText.parse(text) else {
                throw LabelText.error(text, name: selection.header[column], place: parser.place(of: column, in: record))
            }
            try builder.append(label: label, place: parser.place(of: column, in: record))
        }
    }
    return try withExtendedLifetime(file) { () throws(TuttiError) in try builder.table() }
}
