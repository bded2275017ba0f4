// The texts to encode or tokenize: the lines of a text file, or one column of a table, by file extension.

import TuttiFormats
import TuttiGround

/// Reads texts from `path`: one column of a table, or the lines of a text file.
///
/// `column` may be nil for a table with one text column. Empty lines are empty texts; the line end of the last line
/// does not start another one. `options` give the format of separated values; `notice` gets the reader's warnings.
/// Throws: `.missingFile`; `.data` naming file and line; `.usage` if the column must be named.
package func loadTextColumn(
    _ path: String, column: String? = nil, options: ReaderOptions = ReaderOptions(), notice: (String) -> Void = { _ in }
) throws(TuttiError) -> [String] {
    let file = try MappedFile.unpacked(path: path)
    if let refusal = DatasetReaders.refusal(of: path) { throw refusal }
    let ending = DatasetReaders.fileExtension(of: path)
    let isTable =
        options != ReaderOptions() || DatasetReaders.isRead(ending) && !PlainTextReader.extensions.contains(ending)
    guard isTable else {
        if let column {
            throw TuttiError(
                .usage, "read texts", path, "is read as lines of text and has no column '\(column)'",
                hint: "Omit the column, or pass a table such as a .csv or .parquet file.")
        }
        return try PlainTextReader.lines(of: file)
    }
    let reader = try DatasetReaders.reader(for: path, options: options)
    let table = try reader.read(file, columns: column.map { [$0] }, options: options)
    for line in table.notices { notice(line) }
    if let column { return table.texts(column: try table.column(named: column)) }
    guard table.columnNames.count == 1 else {
        throw TuttiError(
            .usage, "read texts", path, "has several text columns: \(table.columnNames.joined(separator: ", "))",
            hint: "Name the one to use.")
    }
    return table.texts(column: 0)
}
