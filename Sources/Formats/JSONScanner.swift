// A cursor over a JSON text: the next token, and strings and numbers, where a parser spends its time.

import Foundation
import TuttiGround

/// A place in a JSON text, whose bytes are known to be UTF-8.
struct JSONScanner {
    let start: UnsafePointer<UInt8>
    let count: Int
    /// What messages call the text, and the number of its first line.
    let source: String
    let firstLine: Int
    var position = 0

    init(start: UnsafePointer<UInt8>, count: Int, source: String, firstLine: Int) {
        self.start = start
        self.count = count
        self.source = source
        self.firstLine = firstLine
    }

    mutating func take(_ byte: UInt8) -> Bool {
        guard position < count, start[position] == byte else { return false }
        position += 1
        return true
    }

    mutating func expect(word: StaticString) throws(TuttiError) {
        let length = word.utf8CodeUnitCount
        for index in 0..<length where position + index >= count || start[position + index] != word.utf8Start[index] {
            throw error("expected a value, found \(found())")
        }
        position += length
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

    /// Parses a string whose opening quote is the next byte; the bytes are known to be UTF-8.
    mutating func parseString() throws(TuttiError) -> String {
        let opening = position
        position += 1
        let first = position
        while position < count {
            let byte = start[position]
            if byte == UInt8(ascii: "\"") {
                let text = String(
                    decoding: UnsafeBufferPointer(start: start + first, count: position - first), as: UTF8.self)
                position += 1
                return text
            }
            if byte == UInt8(ascii: "\\") { return try parseEscapedString(from: first, opening: opening) }
            guard byte >= 0x20 else { throw controlCharacter(byte) }
            position += 1
        }
        throw error("this string has no closing quote", at: opening)
    }

    /// Continues a string at its first backslash.
    private mutating func parseEscapedString(from first: Int, opening: Int) throws(TuttiError) -> String {
        var unescaped = [UInt8](UnsafeBufferPointer(start: start + first, count: position - first))
        while position < count {
            let byte = start[position]
            switch byte {
            case UInt8(ascii: "\""):
                position += 1
                return String(decoding: unescaped, as: UTF8.self)
            case UInt8(ascii: "\\"):
                try parseEscape(into: &unescaped)
            default:
                guard byte >= 0x20 else { throw controlCharacter(byte) }
                unescaped.append(byte)
                position += 1
            }
        }
        throw error("this string has no closing quote", at: opening)
    }

    private mutating func parseEscape(into unescaped: inout [UInt8]) throws(TuttiError) {
        guard position + 1 < count else { throw error("the text ends inside an escape") }
        let letter = start[position + 1]
        let plain: UInt8
        switch letter {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): plain = letter
        case UInt8(ascii: "b"): plain = 0x08
        case UInt8(ascii: "f"): plain = 0x0C
        case UInt8(ascii: "n"): plain = 0x0A
        case UInt8(ascii: "r"): plain = 0x0D
        case UInt8(ascii: "t"): plain = 0x09
        case UInt8(ascii: "u"):
            unescaped.append(contentsOf: String(Character(try parseUnicodeEscape())).utf8)
            return
        default:
            throw error("a backslash must be followed by one of \" \\ / b f n r t u")
        }
        unescaped.append(plain)
        position += 2
    }

    /// Parses \uXXXX, or the surrogate pair of a scalar beyond the basic plane.
    private mutating func parseUnicodeEscape() throws(TuttiError) -> Unicode.Scalar {
        let begin = position
        let unit = try parseHexadecimalUnit()
        if let scalar = Unicode.Scalar(unit) { return scalar }
        guard unit < 0xDC00, position + 1 < count, start[position] == UInt8(ascii: "\\"),
            start[position + 1] == UInt8(ascii: "u")
        else { throw error("a lone surrogate escape is not a character", at: begin) }
        let low = try parseHexadecimalUnit()
        guard (0xDC00...0xDFFF).contains(low),
            let scalar = Unicode.Scalar(0x10000 + (unit - 0xD800) << 10 + (low - 0xDC00))
        else { throw error("a lone surrogate escape is not a character", at: begin) }
        return scalar
    }

    /// Parses \uXXXX at the next byte into its 16-bit unit.
    private mutating func parseHexadecimalUnit() throws(TuttiError) -> UInt32 {
        guard position + 6 <= count else { throw error("\\u needs four hexadecimal digits") }
        var unit: UInt32 = 0
        for index in 2..<6 {
            let byte = start[position + index]
            let digit: UInt8
            switch byte {
            case UInt8(ascii: "0")...UInt8(ascii: "9"): digit = byte - UInt8(ascii: "0")
            case UInt8(ascii: "a")...UInt8(ascii: "f"): digit = byte - UInt8(ascii: "a") + 10
            case UInt8(ascii: "A")...UInt8(ascii: "F"): digit = byte - UInt8(ascii: "A") + 10
            default: throw error("\\u needs four hexadecimal digits")
            }
            unit = unit << 4 | UInt32(digit)
        }
        position += 6
        return unit
    }

    private func controlCharacter(_ byte: UInt8) -> TuttiError {
        error("control character \(byte) inside a string must be written as an escape")
    }

    /// Parses a number; the next byte is a digit or a minus.
    mutating func parseNumber() throws(TuttiError) -> JSONValue {
        let begin = position
        let isNegative = take(UInt8(ascii: "-"))
        if position < count, start[position] == UInt8(ascii: "I") {
            throw error("NaN and Infinity, which Python may write, are not JSON numbers", at: begin)
        }
        var digits = Significand()
        let leading = position
        takeDigits(into: &digits)
        guard position > leading else { throw error("expected a digit, found \(found())") }
        guard position == leading + 1 || start[leading] != UInt8(ascii: "0") else {
            throw error("a number may not start with a zero", at: leading)
        }
        var isInteger = true
        var exponent = 0
        if take(UInt8(ascii: ".")) {
            isInteger = false
            let fraction = position
            takeDigits(into: &digits)
            guard position > fraction else { throw error("expected a digit after the decimal point, found \(found())") }
            exponent = fraction - position
        }
        if take(UInt8(ascii: "e")) || take(UInt8(ascii: "E")) {
            isInteger = false
            exponent += try parseExponent()
        }
        if isInteger, let value = digits.signed(isNegative) { return .integer(value) }
        if let value = digits.exactProduct(exponent) { return .number(isNegative ? -value : value) }
        let text = String(decoding: UnsafeBufferPointer(start: start + begin, count: position - begin), as: UTF8.self)
        guard let value = Double(text), value.isFinite else {
            throw error("the number \(text.prefix(32)) is too large for a floating-point number", at: begin)
        }
        return .number(value)
    }

    private mutating func takeDigits(into digits: inout Significand) {
        while position < count, case let digit = start[position] &- UInt8(ascii: "0"), digit <= 9 {
            digits.append(digit)
            position += 1
        }
    }

    private mutating func parseExponent() throws(TuttiError) -> Int {
        let isNegative = take(UInt8(ascii: "-"))
        if !isNegative { _ = take(UInt8(ascii: "+")) }
        let first = position
        var exponent = 0
        while position < count, case let digit = start[position] &- UInt8(ascii: "0"), digit <= 9 {
            exponent = min(exponent * 10 + Int(digit), 1_000_000)
            position += 1
        }
        guard position > first else { throw error("expected a digit in the exponent, found \(found())") }
        return isNegative ? -exponent : exponent
    }
}

/// The digits of a number as one integer, as long as they fit.
private struct Significand {
    private var value: UInt64 = 0
    private var overflows = false

    mutating func append(_ digit: UInt8) {
        let (tenfold, tooLarge) = value.multipliedReportingOverflow(by: 10)
        let (sum, carries) = tenfold.addingReportingOverflow(UInt64(digit))
        overflows = overflows || tooLarge || carries
        value = sum
    }

    func signed(_ isNegative: Bool) -> Int64? {
        guard !overflows else { return nil }
        if isNegative { return value == 1 << 63 ? Int64.min : Int64(exactly: value).map { -$0 } }
        return Int64(exactly: value)
    }

    /// The value times a power of ten if one rounding is enough: both factors are exact doubles.
    func exactProduct(_ exponent: Int) -> Double? {
        guard !overflows, value <= 1 << 53, abs(exponent) <= 22 else { return nil }
        let power = powersOfTen[abs(exponent)]
        return exponent < 0 ? Double(value) / power : Double(value) * power
    }
}

private let powersOfTen: [Double] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20,
    1e21, 1e22,
]
