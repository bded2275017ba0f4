// JSON text to values: RFC 8259, complete, in one pass over the bytes.
//
// Errors name source:line:column. Python's non-standard values (NaN, Infinity) are refused with a message that says so.
// A repeated key keeps its first position and its last value, as in Python, unless the caller refuses it.
// Lone surrogate escapes are refused: they have no UTF-8 form. Numbers: digits below 2^53 and a power of ten within 22
// are exact products (Clinger 1990), the rest goes through strtod.

import TuttiGround

extension JSONValue {
    /// Maximum nesting of arrays and objects.
    package static let depthLimit = 512

    /// How to treat a repeated key of an object.
    package enum RepeatedKeys: Sendable {
        /// The last value wins, as in Python.
        case lastCounts
        /// It is an error.
        case refused
    }

    /// Parses one JSON text; `source` names it in errors and `firstLine` is the line of its first byte.
    ///
    /// Throws: `.data` with source:line:column.
    package static func parse(
        _ bytes: UnsafeRawBufferPointer, source: String, firstLine: Int = 1, repeatedKeys: RepeatedKeys = .lastCounts
    ) throws(TuttiError) -> JSONValue {
        try UTF8Text.check(bytes, source: source, operation: "parse JSON", firstLine: firstLine)
        return try parse(checked: bytes, source: source, firstLine: firstLine, repeatedKeys: repeatedKeys)
    }

    /// Parses bytes that are known to be UTF-8, such as lines of a file that was checked as a whole.
    package static func parse(
        checked bytes: UnsafeRawBufferPointer, source: String, firstLine: Int, repeatedKeys: RepeatedKeys = .lastCounts
    ) throws(TuttiError) -> JSONValue {
        guard let start = bytes.baseAddress else {
            throw TuttiError(
                .data, "parse JSON", "\(source):\(firstLine):1", "expected a value, found the end of the text")
        }
        let scanner = JSONScanner(
            start: start.assumingMemoryBound(to: UInt8.self), count: bytes.count, source: source, firstLine: firstLine)
        var parser = JSONParser(scanner, refusesRepeatedKeys: repeatedKeys == .refused)
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
    var scanner: JSONScanner
    let refusesRepeatedKeys: Bool
    private var depth = 0

    init(_ scanner: JSONScanner, refusesRepeatedKeys: Bool) {
        self.scanner = scanner
        self.refusesRepeatedKeys = refusesRepeatedKeys
    }

    mutating func parseDocument() throws(TuttiError) -> JSONValue {
        if scanner.count >= 3, scanner.start[0] == 0xEF, scanner.start[1] == 0xBB, scanner.start[2] == 0xBF {
            scanner.position = 3
        }
        scanner.skipSpace()
        let value = try parseValue()
        scanner.skipSpace()
        guard scanner.position == scanner.count else {
            throw scanner.error("expected the end of the text, found \(scanner.found())")
        }
        return value
    }

    mutating func parseValue() throws(TuttiError) -> JSONValue {
        guard scanner.position < scanner.count else {
            throw scanner.error("expected a value, found the end of the text")
        }
        switch scanner.start[scanner.position] {
        case UInt8(ascii: "\""):
            return .string(try scanner.parseString())
        case UInt8(ascii: "{"):
            return .object(try parseObject())
        case UInt8(ascii: "["):
            return .array(try parseArray())
        case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"):
            return try scanner.parseNumber()
        case UInt8(ascii: "t"):
            try scanner.expect(word: "true")
            return .bool(true)
        case UInt8(ascii: "f"):
            try scanner.expect(word: "false")
            return .bool(false)
        case UInt8(ascii: "n"):
            try scanner.expect(word: "null")
            return .null
        case UInt8(ascii: "N"), UInt8(ascii: "I"):
            throw scanner.error("NaN and Infinity, which Python may write, are not JSON numbers")
        default:
            throw scanner.error("expected a value, found \(scanner.found())")
        }
    }

    private mutating func parseObject() throws(TuttiError) -> JSONObject {
        try descend()
        var object = JSONObject()
        scanner.skipSpace()
        if scanner.take(UInt8(ascii: "}")) {
            depth -= 1
            return object
        }
        while true {
            guard scanner.position < scanner.count, scanner.start[scanner.position] == UInt8(ascii: "\"") else {
                throw scanner.error("expected a key in double quotes, found \(scanner.found())")
            }
            let keyPosition = scanner.position
            let key = try scanner.parseString()
            if refusesRepeatedKeys, object.contains(key: key) {
                throw scanner.error("duplicate key \"\(key)\"", at: keyPosition)
            }
            scanner.skipSpace()
            guard scanner.take(UInt8(ascii: ":")) else {
                throw scanner.error("expected ':' after a key, found \(scanner.found())")
            }
            scanner.skipSpace()
            object.set(key, try parseValue())
            scanner.skipSpace()
            if scanner.take(UInt8(ascii: ",")) {
                scanner.skipSpace()
            } else if scanner.take(UInt8(ascii: "}")) {
                depth -= 1
                return object
            } else {
                throw scanner.error("expected ',' or '}' in an object, found \(scanner.found())")
            }
        }
    }

    private mutating func parseArray() throws(TuttiError) -> [JSONValue] {
        try descend()
        var values: [JSONValue] = []
        scanner.skipSpace()
        if scanner.take(UInt8(ascii: "]")) {
            depth -= 1
            return values
        }
        while true {
            values.append(try parseValue())
            scanner.skipSpace()
            if scanner.take(UInt8(ascii: ",")) {
                scanner.skipSpace()
            } else if scanner.take(UInt8(ascii: "]")) {
                depth -= 1
                return values
            } else {
                throw scanner.error("expected ',' or ']' in an array, found \(scanner.found())")
            }
        }
    }

    /// Enters an array or object whose opening bracket is the next byte.
    private mutating func descend() throws(TuttiError) {
        depth += 1
        guard depth <= JSONValue.depthLimit else {
            throw scanner.error("nested deeper than \(JSONValue.depthLimit) levels")
        }
        scanner.position += 1
    }

}
