// JSON values one by one, so that a large file is never in memory as one value: the elements of a top-level array, or
// the lines of a JSON-lines file. Each has the line on which it starts, for errors about it.

import TuttiGround

/// Reads the values of a JSON text one at a time.
package struct JSONSequence {
    /// The layout of the values in the text.
    package enum Form: Sendable {
        /// One array; its elements are the values.
        case array
        /// One value per line, empty lines skipped.
        case lines
    }

    private let bytes: UnsafeRawBufferPointer
    private let source: String
    private let form: Form
    private var parser: JSONParser?
    private var position = 0
    private var countedTo = 0
    private var line = 1
    private var isFirst = true
    /// Of lines; an array is checked before it is read.
    private var encoding: UTF8Progress

    /// A sequence over `bytes`, which must stay valid while it is used; `source` names them in errors.
    ///
    /// Throws: `.data` with source:line:column if the bytes are not UTF-8, or not an array although `form` is one.
    package init(_ bytes: UnsafeRawBufferPointer, form: Form, source: String) throws(TuttiError) {
        encoding = UTF8Progress(bytes, source: source, operation: "parse JSON")
        if form == .array { try encoding.checkAll() }
        self.bytes = bytes
        self.source = source
        self.form = form
        if bytes.count >= 3, bytes[0] == 0xEF, bytes[1] == 0xBB, bytes[2] == 0xBF { position = 3 }
        guard form == .array, let start = bytes.baseAddress else { return }
        let scanner = JSONScanner(
            start: start.assumingMemoryBound(to: UInt8.self), count: bytes.count, source: source, firstLine: 1)
        var parser = JSONParser(scanner, refusesRepeatedKeys: false)
        parser.scanner.position = position
        parser.scanner.skipSpace()
        guard parser.scanner.take(UInt8(ascii: "[")) else {
            throw parser.scanner.error("expected an array, found \(parser.scanner.found())")
        }
        self.parser = parser
    }

    /// The next value and the line on which it starts, or nil at the end.
    ///
    /// Throws: `.data` with source:line:column.
    package mutating func next() throws(TuttiError) -> (value: JSONValue, line: Int)? {
        form == .array ? try nextElement() : try nextLine()
    }

    private mutating func nextElement() throws(TuttiError) -> (value: JSONValue, line: Int)? {
        guard var parser else { return nil }
        parser.scanner.skipSpace()
        if parser.scanner.take(UInt8(ascii: "]")) {
            parser.scanner.skipSpace()
            guard parser.scanner.position == bytes.count else {
                throw parser.scanner.error("expected the end of the text, found \(parser.scanner.found())")
            }
            self.parser = nil
            return nil
        }
        if !isFirst {
            guard parser.scanner.take(UInt8(ascii: ",")) else {
                throw parser.scanner.error("expected ',' or ']' in an array, found \(parser.scanner.found())")
            }
            parser.scanner.skipSpace()
        }
        isFirst = false
        countLines(to: parser.scanner.position)
        let value = try parser.parseValue()
        self.parser = parser
        return (value, line)
    }

    private mutating func nextLine() throws(TuttiError) -> (value: JSONValue, line: Int)? {
        while position < bytes.count {
            var end = position
            var isBlank = true
            while end < bytes.count, bytes[end] != 0x0A {
                if bytes[end] != 0x20, bytes[end] != 0x09, bytes[end] != 0x0D { isBlank = false }
                end += 1
            }
            let here = line
            let text = UnsafeRawBufferPointer(rebasing: bytes[position..<end])
            try encoding.check(to: end)
            position = end + 1
            line += 1
            if !isBlank { return (try JSONValue.parse(checked: text, source: source, firstLine: here), here) }
        }
        return nil
    }

    private mutating func countLines(to offset: Int) {
        while countedTo < offset {
            if bytes[countedTo] == 0x0A { line += 1 }
            countedTo += 1
        }
    }
}
