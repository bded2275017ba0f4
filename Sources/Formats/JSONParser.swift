// JSON text to values: RFC 8259, complete, in one pass over the bytes.
//
// Errors name source:line:column. What Python writes beyond the standard (NaN, Infinity) is refused with a text that
// says so. A repeated key keeps its first place and its last value, as in Python, unless the caller wants it refused.
// Lone surrogate escapes are refused: they have no UTF-8 form. Numbers: digits below 2^53 and a power of ten within 22
// are exact products (Clinger 1990), the rest goes through strtod.

import TuttiGround

extension JSONValue {
    /// How deep arrays and objects may nest.
    package static let depthLimit = 512

    /// What happens when an object repeats a key.
    package enum RepeatedKeys: Sendable {
        /// The last value counts, as in Python.
        case lastCounts
        /// It is an error.
        case refused
    }

    /// Parses one JSON text; `source` names it in errors and `firstLine` is the line that its first byte lies on.
    ///
    /// Throws: `.data` with source:line:column.
    package static func parse(
        _ bytes: UnsafeRawBufferPointer, source: String, firstLine: Int = 1, repeatedKeys: RepeatedKeys = .lastCounts
    ) throws(TuttiError) -> JSONValue {
        try UTF8Text.check(bytes, source: source, operation: "parse JSON", firstLine: firstLine)
        return try parse(checked: bytes, source: source, firstLine: firstLine, repeatedKeys: repeatedKeys)
    }

    /// Parses bytes that are known to be UTF-8, as the lines of a file that was checked whole.
    package static func parse(
        checked bytes: UnsafeRawBufferPointer, source: String, firstLine: Int, repeatedKeys: RepeatedKeys = .lastCounts
    ) throws(TuttiError) -> JSONValue {
        guard let start = bytes.baseAddress else {
            throw TuttiError(
                .data, "parse JSON", "\(source):\(firstLine):1", "expected a value, found the end of the text")
        }
        var parser = JSONParser(
            start: start.assumingMemoryBound(to: UInt8.self), count: bytes.count, source: source, firstLine: firstLine,
            refusesRepeatedKeys: repeatedKeys == .refused)
        return try parser.parseDocument()
    }

    /// Parses a string.
    package static func parse(_ text: String, source: String = "JSON text") throws(TuttiError) -> JSONValue {
        try parse(Array(text.utf8), source: source)
    }

    /// Parses an array of bytes.
    package static func parse(_ bytes: [UInt8], source: String) throws(TuttiError) -> JSONValue {
        try bytes.withUnsafeBufferPointer { buffer throws(TuttiError) in
            try parse(UnsafeRawBufferPointer(buffer), source: source)
        }
    }

    /// Parses the file at `path`.
    ///
    /// Throws: `.missingFile`, or `.data` with path:line:column.
    package static func parse(file path: String) throws(TuttiError) -> JSONValue {
        let file = try MappedFile(path: path)
        let value = try parse(file.bytes, source: path)
        return withExtendedLifetime(file) { value }
    }
}

/// The state of one pass over a JSON text.
struct JSONParser {
    let start: UnsafePointer<UInt8>
    let count: Int
    let source: String
    let firstLine: Int
    let refusesRepeatedKeys: Bool
    var position = 0
    private var depth = 0

    init(start: UnsafePointer<UInt8>, count: Int, source: String, firstLine: Int, refusesRepeatedKeys: Bool) {
        self.start = start
        self.count = count
        self.source = source
        self.firstLine = firstLine
        self.refusesRepeatedKeys = refusesRepeatedKeys
    }

    mutating func parseDocument() throws(TuttiError) -> JSONValue {
        if count >= 3, start[0] == 0xEF, start[1] == 0xBB, start[2] == 0xBF { position = 3 }
        skipSpace()
        let value = try parseValue()
        skipSpace()
        guard position == count else { throw error("expected the end of the text, found \(found())") }
        return value
    }

    mutating func parseValue() throws(TuttiError) -> JSONValue {
        guard position < count else { throw error("expected a value, found the end of the text") }
        switch start[position] {
        case UInt8(ascii: "\""):
            return .string(try parseString())
        case UInt8(ascii: "{"):
            return .object(try parseObject())
        case UInt8(ascii: "["):
            return .array(try parseArray())
        case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"):
            return try parseNumber()
        case UInt8(ascii: "t"):
            try expect(word: "true")
            return .bool(true)
        case UInt8(ascii: "f"):
            try expect(word: "false")
            return .bool(false)
        case UInt8(ascii: "n"):
            try expect(word: "null")
            return .null
        case UInt8(ascii: "N"), UInt8(ascii: "I"):
            throw error("NaN and Infinity, which Python may write, are not JSON numbers")
        default:
            throw error("expected a value, found \(found())")
        }
    }

    private mutating func parseObject() throws(TuttiError) -> JSONObject {
        try descend()
        var object = JSONObject()
        skipSpace()
        if take(UInt8(ascii: "}")) {
            depth -= 1
            return object
        }
        while true {
            guard position < count, start[position] == UInt8(ascii: "\"") else {
                throw error("expected a key in double quotes, found \(found())")
            }
            let keyPosition = position
            let key = try parseString()
            if refusesRepeatedKeys, object.contains(key: key) {
                throw error("duplicate key \"\(key)\"", at: keyPosition)
            }
            skipSpace()
            guard take(UInt8(ascii: ":")) else { throw error("expected ':' after a key, found \(found())") }
            skipSpace()
            object.set(key, try parseValue())
            skipSpace()
            if take(UInt8(ascii: ",")) {
                skipSpace()
            } else if take(UInt8(ascii: "}")) {
                depth -= 1
                return object
            } else {
                throw error("expected ',' or '}' in an object, found \(found())")
            }
        }
    }

    private mutating func parseArray() throws(TuttiError) -> [JSONValue] {
        try descend()
        var values: [JSONValue] = []
        skipSpace()
        if take(UInt8(ascii: "]")) {
            depth -= 1
            return values
        }
        while true {
            values.append(try parseValue())
            skipSpace()
            if take(UInt8(ascii: ",")) {
                skipSpace()
            } else if take(UInt8(ascii: "]")) {
                depth -= 1
                return values
            } else {
                throw error("expected ',' or ']' in an array, found \(found())")
            }
        }
    }

    /// Enters an array or object whose opening bracket is the next byte.
    private mutating func descend() throws(TuttiError) {
        depth += 1
        guard depth <= JSONValue.depthLimit else { throw error("nested deeper than \(JSONValue.depthLimit) levels") }
        position += 1
    }

    private mutating func expect(word: StaticString) throws(TuttiError) {
        let length = word.utf8CodeUnitCount
        for index in 0..<length where position + index >= count || start[position + index] != word.utf8Start[index] {
            throw error("expected a value, found \(found())")
        }
        position += length
    }

    mutating func take(_ byte: UInt8) -> Bool {
        guard position < count, start[position] == byte else { return false }
        position += 1
        return true
    }

    mutating func skipSpace() {
        while position < count {
            switch start[position] {
            case 0x20, 0x09, 0x0A, 0x0D: position += 1
            default: return
            }
        }
    }

    /// The next character, for messages.
    func found() -> String {
        guard position < count else { return "the end of the text" }
        let rest = UnsafeBufferPointer(start: start + position, count: min(8, count - position))
        guard let scalar = String(decoding: rest, as: UTF8.self).unicodeScalars.first else { return "nothing" }
        return scalar.value < 0x20 ? "control character \(scalar.value)" : "'\(scalar)'"
    }

    func error(_ problem: String, at offset: Int? = nil) -> TuttiError {
        let place = TextPosition(
            offset: offset ?? position, in: UnsafeRawBufferPointer(start: start, count: count), firstLine: firstLine)
        return TuttiError(.data, "parse JSON", "\(source):\(place)", problem)
    }
}
