// Plain text: a line is a text, in one column. For losses of single texts (TSDAE), and with `columns: [text, text]` for
// SimCSE.

import TuttiFormats
import TuttiGround

/// Lines of text.
package enum PlainTextReader: DatasetReader {
    /// The file extensions.
    package static let extensions = ["txt"]
    /// One line about the format.
    package static let summary = "plain text: every line is a text of the column text"

    /// Reads the lines of `file`.
    package static func read(
        _ file: MappedFile, columns: [String]?, options: ReaderOptions
    ) throws(TuttiError) -> Table {
        try JSONRows.check(options, file, format: "plain text")
        try RowCollector.refuse(options, file.path)
        let selection = try ColumnSelection(header: ["text"], columns: columns, source: file.path, options: options)
        var builder = selection.builder(source: file.path)
        for text in try lines(of: file) {
            for _ in selection.texts { builder.append(text: text) }
        }
        return try builder.table()
    }

    /// The lines of a file; the line end of the last one does not start another.
    ///
    /// Throws: `.data` for bytes that are not UTF-8, and for an empty file.
    static func lines(of file: MappedFile) throws(TuttiError) -> [String] {
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
}
