// The texts to encode or tokenize: the lines of a text file, or one column of a table, by file extension.

import TuttiFormats
import TuttiGround

/// Reads texts from `path`: one column of a CSV, TSV, JSON or JSON-lines file, or the lines of any other file.
///
/// `column` may be nil for a table with one text column. Empty lines are empty texts; the line end of the last line
/// does not start another one. `options` give the format of separated values; `notice` gets the reader's warnings.
/// Throws: `.missingFile`; `.data` naming file and line; `.usage` if the column must be named.
package func loadTextColumn(
    _ path: String, column: String? = nil, options: ReaderOptions = ReaderOptions(), notice: (String) -> Void = { _ in }
) throws(TuttiError) -> [String] {
    let file = try MappedFile(path: path)
    if let refusal = DatasetReaders.refusal(of: path) { throw refusal }
    let ending = DatasetReaders.fileExtension(of: path)
    let isTable = options != ReaderOptions() || DatasetReaders.isRead(ending)
    guard isTable else {
        if let column {
            throw TuttiError(
                .usage, "read texts", path, "is read as lines of text and has no column '\(column)'",
                hint: "Omit the column, or pass a .csv, .tsv, .json or .jsonl file.")
        }
        return try lines(of: file)
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

private func lines(of file: MappedFile) throws(TuttiError) -> [String] {
    let bytes = file.bytes
    try UTF8Text.check(bytes, source: file.path, operation: "read texts")
    var texts: [String] = []
    var begin = bytes.count >= 3 && bytes[0] == 0xEF && bytes[1] == 0xBB && bytes[2] == 0xBF ? 3 : 0
    while begin < bytes.count {
        var end = begin
        while end < bytes.count, bytes[end] != 0x0A { end += 1 }
        let next = end + 1
        if end > begin, bytes[end - 1] == 0x0D { end -= 1 }
        texts.append(String(decoding: bytes[begin..<end], as: UTF8.self))
        begin = next
    }
    guard !texts.isEmpty else { throw TuttiError(.data, "read texts", file.path, "the file is empty") }
    return withExtendedLifetime(file) { texts }
}
