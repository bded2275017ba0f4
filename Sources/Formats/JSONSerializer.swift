// JSON values to text, formatted as by Python's json.dumps, so that files in model folders compare equal.
//
// Doubles use the shortest digits that round-trip, as Python's repr. NaN and infinities have no JSON form and become
// null. Non-ASCII text is written unescaped unless `asciiOnly` is set (Python's ensure_ascii).

import TuttiGround

extension JSONValue {
    /// The value as JSON text.
    ///
    /// `indent` nil gives one line with ", " and ": "; a number gives Python's form indented by that many spaces.
    package func serialized(indent: Int? = nil, sortKeys: Bool = false, asciiOnly: Bool = false) -> String {
        var writer = JSONWriter(indent: indent, sortKeys: sortKeys, asciiOnly: asciiOnly)
        writer.write(self, level: 0)
        return String(decoding: writer.bytes, as: UTF8.self)
    }
}

extension JSONObject {
    /// The object as JSON text; see `JSONValue.serialized`.
    package func serialized(indent: Int? = nil, sortKeys: Bool = false, asciiOnly: Bool = false) -> String {
        JSONValue.object(self).serialized(indent: indent, sortKeys: sortKeys, asciiOnly: asciiOnly)
    }
}

/// Python's repr of a double: the shortest digits that round-trip.
package func pythonSpelling(of value: Double) -> String {
    if value.isNaN { return "nan" }
    if value.isInfinite { return value < 0 ? "-inf" : "inf" }
    var digits: [UInt8] = []
    var exponent = 0
    var seenPoint = false
    var pointShift = 0
    let text = value.magnitude.description
    for (index, byte) in text.utf8.enumerated() {
        if byte == UInt8(ascii: "e") {
            exponent = Int(text.dropFirst(index + 1)) ?? 0
            break
        }
        if byte == UInt8(ascii: ".") {
            seenPoint = true
        } else {
            digits.append(byte)
            if !seenPoint { pointShift += 1 }
        }
    }
    // The value is 0.d1d2d3... times ten to `scale`.
    let leadingZeros = digits.prefix { $0 == UInt8(ascii: "0") }.count
    let sign = value.sign == .minus ? "-" : ""
    if leadingZeros == digits.count { return sign + "0.0" }
    digits.removeFirst(leadingZeros)
    while digits.count > 1, digits[digits.count - 1] == UInt8(ascii: "0") { digits.removeLast() }
    return sign + pythonLayout(digits, scale: pointShift - leadingZeros + exponent)
}

/// Python's choice of notation: plain from 1e-4 to below 1e16, else scientific.
private func pythonLayout(_ digits: [UInt8], scale: Int) -> String {
    func text(_ part: some Sequence<UInt8>) -> String { String(decoding: Array(part), as: UTF8.self) }
    if scale > 16 || scale < -3 {
        let power = scale - 1
        let magnitude = power.magnitude < 10 ? "0\(power.magnitude)" : "\(power.magnitude)"
        let fraction = digits.count > 1 ? "." + text(digits.dropFirst()) : ""
        return text(digits.prefix(1)) + fraction + "e" + (power < 0 ? "-" : "+") + magnitude
    }
    if scale <= 0 { return "0." + String(repeating: "0", count: -scale) + text(digits) }
    if digits.count <= scale { return text(digits) + String(repeating: "0", count: scale - digits.count) + ".0" }
    return text(digits.prefix(scale)) + "." + text(digits.dropFirst(scale))
}

private struct JSONWriter {
    let indent: Int?
    let sortKeys: Bool
    let asciiOnly: Bool
    var bytes: [UInt8] = []

    mutating func write(_ value: JSONValue, level: Int) {
        switch value {
        case .null: write("null")
        case .bool(let flag): write(flag ? "true" : "false")
        case .integer(let number): write(String(number))
        case .number(let number): write(number.isFinite ? pythonSpelling(of: number) : "null")
        case .string(let text): write(quoted: text)
        case .array(let values):
            writeMembers(values, open: "[", close: "]", level: level) { writer, element in
                writer.write(element, level: level + 1)
            }
        case .object(let object):
            // UTF-8 bytes sort like code points, which is Python's order of strings.
            let members =
                sortKeys
                ? object.sorted { $0.key.utf8.lexicographicallyPrecedes($1.key.utf8) } : Array(object)
            writeMembers(members, open: "{", close: "}", level: level) { writer, member in
                writer.write(quoted: member.key)
                writer.write(": ")
                writer.write(member.value, level: level + 1)
            }
        }
    }

    private mutating func writeMembers<Member>(
        _ members: [Member], open: String, close: String, level: Int, _ writeMember: (inout JSONWriter, Member) -> Void
    ) {
        write(open)
        for (index, member) in members.enumerated() {
            if index > 0 { write(indent == nil ? ", " : ",") }
            writeLineBreak(level + 1)
            writeMember(&self, member)
        }
        if !members.isEmpty { writeLineBreak(level) }
        write(close)
    }

    private mutating func writeLineBreak(_ level: Int) {
        guard let indent else { return }
        bytes.append(0x0A)
        bytes.append(contentsOf: repeatElement(0x20, count: indent * level))
    }

    private mutating func write(_ text: String) { bytes.append(contentsOf: text.utf8) }

    private mutating func write(quoted text: String) {
        bytes.append(UInt8(ascii: "\""))
        for scalar in text.unicodeScalars {
            switch scalar.value {
            case 0x22: write("\\\"")
            case 0x5C: write("\\\\")
            case 0x08: write("\\b")
            case 0x0C: write("\\f")
            case 0x0A: write("\\n")
            case 0x0D: write("\\r")
            case 0x09: write("\\t")
            case 0..<0x20: write(escaped: UInt16(scalar.value))
            case 0x7F... where asciiOnly:
                for unit in String(Character(scalar)).utf16 { write(escaped: unit) }
            default: bytes.append(contentsOf: UTF8.encode(scalar) ?? UTF8.encodedReplacementCharacter)
            }
        }
        bytes.append(UInt8(ascii: "\""))
    }

    private mutating func write(escaped unit: UInt16) {
        let digits = String(unit, radix: 16)
        write("\\u" + String(repeating: "0", count: 4 - digits.count) + digits)
    }
}
