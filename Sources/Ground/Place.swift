// Positions in text files as users count them (line and column from one, columns in Unicode scalars), and the check
// that bytes are UTF-8. Every text format needs both; positions are computed only for an error.

/// A line and a column, both counted from one.
package struct TextPosition: Sendable, Equatable, CustomStringConvertible {
    /// The line, from one.
    package var line: Int
    /// The column in Unicode scalars, from one.
    package var column: Int

    /// Makes a position from its parts.
    package init(line: Int, column: Int) {
        self.line = line
        self.column = column
    }

    /// The position of byte `offset` in `bytes`; `\n`, `\r\n` and a lone `\r` end a line.
    package init(offset: Int, in bytes: UnsafeRawBufferPointer, firstLine: Int = 1) {
        var line = firstLine
        var column = 1
        for index in 0..<min(offset, bytes.count) {
            let byte = bytes[index]
            let isReturnBeforeNewline = byte == 0x0D && index + 1 < bytes.count && bytes[index + 1] == 0x0A
            if byte == 0x0A || (byte == 0x0D && !isReturnBeforeNewline) {
                line += 1
                column = 1
            } else if byte & 0xC0 != 0x80 {
                column += 1
            }
        }
        self.init(line: line, column: column)
    }

    /// "line:column".
    package var description: String { "\(line):\(column)" }
}

/// Checks of the encoding of whole files.
package enum UTF8Text {
    /// The offset of the first byte that is not valid UTF-8, or nil.
    package static func firstInvalidByte(in bytes: UnsafeRawBufferPointer) -> Int? {
        let count = bytes.count
        var index = 0
        while index < count {
            if index + 8 <= count,
                bytes.loadUnaligned(fromByteOffset: index, as: UInt64.self) & 0x8080_8080_8080_8080 == 0
            {
                index += 8
                continue
            }
            let lead = bytes[index]
            if lead < 0x80 {
                index += 1
                continue
            }
            let length = sequenceLength(bytes, at: index)
            guard length > 0 else { return index }
            index += length
        }
        return nil
    }

    /// Throws `.data` naming file, line and column when `bytes` are not UTF-8.
    package static func check(
        _ bytes: UnsafeRawBufferPointer, source: String, operation: String, firstLine: Int = 1
    ) throws(TuttiError) {
        guard let offset = firstInvalidByte(in: bytes) else { return }
        let position = TextPosition(offset: offset, in: bytes, firstLine: firstLine)
        let byte = String(bytes[offset], radix: 16, uppercase: true)
        let isWide = bytes.count >= 2 && (bytes[0] == 0xFF && bytes[1] == 0xFE || bytes[0] == 0xFE && bytes[1] == 0xFF)
        let isZip = bytes.count >= 2 && bytes[0] == 0x1F && bytes[1] == 0x8B
        let encoding = isWide ? "UTF-16" : "LATIN1"
        throw TuttiError(
            .data, operation, "\(source):\(position)", "byte 0x\(byte) is not valid UTF-8",
            hint: isZip
                ? "The file is gzip-compressed; unpack it first with gunzip."
                : "Convert the file, for instance with: iconv -f \(encoding) -t UTF-8")
    }

    /// The length of the well-formed sequence of two to four bytes at `index`, or 0 (Unicode 15, table 3-7).
    private static func sequenceLength(_ bytes: UnsafeRawBufferPointer, at index: Int) -> Int {
        let lead = bytes[index]
        func next(_ distance: Int) -> UInt8 { index + distance < bytes.count ? bytes[index + distance] : 0 }
        func continues(_ distance: Int) -> Bool { next(distance) & 0xC0 == 0x80 }
        switch lead {
        case 0xC2...0xDF:
            return continues(1) ? 2 : 0
        case 0xE0...0xEF:
            guard continues(1), continues(2) else { return 0 }
            if lead == 0xE0 && next(1) < 0xA0 || lead == 0xED && next(1) > 0x9F { return 0 }
            return 3
        case 0xF0...0xF4:
            guard continues(1), continues(2), continues(3) else { return 0 }
            if lead == 0xF0 && next(1) < 0x90 || lead == 0xF4 && next(1) > 0x8F { return 0 }
            return 4
        default:
            return 0
        }
    }
}

/// The check of a long text as it is read, so that the rest of a file is not read where its beginning is enough.
package struct UTF8Progress {
    private let bytes: UnsafeRawBufferPointer
    private let source: String
    private let operation: String
    private var checked = 0
    private static let piece = 1 << 20

    /// A check of `bytes`, which must stay valid while it is used.
    package init(_ bytes: UnsafeRawBufferPointer, source: String, operation: String) {
        self.bytes = bytes
        self.source = source
        self.operation = operation
    }

    /// Throws `.data` naming file, line and column when the bytes before `end` are not UTF-8.
    package mutating func check(to end: Int) throws(TuttiError) {
        while checked < end {
            var next = min(bytes.count, checked + UTF8Progress.piece)
            // No piece ends inside of a character, which has at most three bytes after its first.
            for _ in 0..<3 where next < bytes.count && bytes[next] & 0xC0 == 0x80 { next -= 1 }
            let piece = UnsafeRawBufferPointer(rebasing: bytes[checked..<next])
            if UTF8Text.firstInvalidByte(in: piece) != nil { try checkAll() }
            checked = next
        }
    }

    /// Throws `.data` when any of the bytes are not UTF-8.
    package func checkAll() throws(TuttiError) {
        try UTF8Text.check(bytes, source: source, operation: operation)
    }
}
