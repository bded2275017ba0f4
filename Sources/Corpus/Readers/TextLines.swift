// The texts to encode or tokenise: the lines of a text file, or one column of a table, by the file's extension.

import TuttiFormats
import TuttiGround

/// Reads texts from `path`: one column of a CSV, TSV, JSON or JSON-lines file, or the lines of any other file.
///
/// `column` may be nil for a table with one text column. Empty lines are empty texts; only the line end of the last
/// line makes no further one.
/// Throws: `.missingFile`; `.data` naming file and line; `.usage` when the column must be named.
public func loadTextColumn(_ path: String, column: String? = nil) throws(TuttiError) -> [String] {
    let file = try MappedFile(path: path)
    if let refusal = DatasetReaders.refusal(of: path) { throw refusal }
    let ending = DatasetReaders.fileExtension(of: path)
    guard let reader = DatasetReaders.registry.first(where: { $0.extensions.contains(ending) }) else {
        if let column {
            throw TuttiError(
                .usage, "read texts", path, "is read as lines of text, which have no column '\(column)'",
                hint: "Leave the column out, or name a .csv, .tsv, .json or .jsonl file.")
        }
        return try lines(of: file)
    }
    if let column { return try reader.read(file, columns: [column]).textsOfOnlyColumn(column) }
    let table = try reader.read(file, columns: nil)
    guard table.columnNames.count == 1 else {
        throw TuttiError(
            .usage, "read texts", path, "has several text columns: \(table.columnNames.joined(separator: ", "))",
            hint: "Name the one to use.")
    }
    return table.texts(column: 0)
}

extension Table {
    fileprivate func textsOfOnlyColumn(_ name: String) throws(TuttiError) -> [String] {
        texts(column: try column(named: name))
    }
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
