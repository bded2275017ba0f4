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
        var builder = selection.builder(source: file.path, options: options)
        var encoding = UTF8Progress(file.bytes, source: file.path, operation: "read texts")
        var lines = LineRanges(file.bytes)
        while !builder.isFull, let line = lines.next() {
            try encoding.check(to: line.upperBound)
            let text = UnsafeRawBufferPointer(rebasing: file.bytes[line])
            for _ in selection.texts { builder.append(text: String(decoding: text, as: UTF8.self)) }
        }
        guard !file.bytes.isEmpty else { throw TuttiError(.data, "read texts", file.path, "the file is empty") }
        return try withExtendedLifetime(file) { () throws(TuttiError) in try builder.table() }
    }

    /// The lines of a file; the line end of the last one does not start another.
    ///
    /// Throws: `.data` for bytes that are not UTF-8, and for an empty file.
    static func lines(of file: MappedFile) throws(TuttiError) -> [String] {
        let bytes = file.bytes
        try UTF8Text.check(bytes, source: file.path, operation: "read texts")
        var texts: [String] = []
        for line in LineRanges(bytes) {
            texts.append(String(decoding: UnsafeRawBufferPointer(rebasing: bytes[line]), as: UTF8.self))
        }
        guard !texts.isEmpty else { throw TuttiError(.data, "read texts", file.path, "the file is empty") }
        return withExtendedLifetime(file) { texts }
    }
}

/// Where the lines of a text are, without their ends; a byte order mark is in none.
private struct LineRanges: Sequence, IteratorProtocol {
    private let bytes: UnsafeRawBufferPointer
    private var begin: Int

    init(_ bytes: UnsafeRawBufferPointer) {
        self.bytes = bytes
        begin = bytes.count >= 3 && bytes[0] == 0xEF && bytes[1] == 0xBB && bytes[2] == 0xBF ? 3 : 0
    }

    mutating func next() -> Range<Int>? {
        guard begin < bytes.count else { return nil }
        var end = begin
        while end < bytes.count, bytes[end] != 0x0A { end += 1 }
        defer { begin = end + 1 }
        return begin..<(end > begin && bytes[end - 1] == 0x0D ? end - 1 : end)
    }
}
