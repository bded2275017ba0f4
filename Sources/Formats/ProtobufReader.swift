// The wire format of protocol buffers, read only: a message is a sequence of fields, each a number, a wire type and a
// value. What the fields mean is up to the caller, who skips those that it does not know.
//
// Every length is checked against the message that holds it, so that a damaged file is refused and never read beyond its
// end. Groups, which no current writer makes, are refused.
// Reference: protobuf.dev/programming-guides/encoding.

import TuttiGround

/// Reads the fields of one message in order.
package struct ProtobufReader {
    /// A field's value by wire type.
    package enum Value: Equatable {
        case varint(UInt64)
        case fixed64(UInt64)
        /// A string, bytes, or a message: where it lies in the file.
        case bytes(Range<Int>)
        case fixed32(UInt32)
    }

    private let bytes: [UInt8]
    private let end: Int
    private let source: String
    private var position: Int

    /// A reader of the message in `bytes[range]`, all of `bytes` by default; `source` names the file in errors.
    package init(_ bytes: [UInt8], _ range: Range<Int>? = nil, source: String) {
        self.bytes = bytes
        self.source = source
        position = range?.lowerBound ?? 0
        end = range?.upperBound ?? bytes.count
    }

    /// The next field; nil at the end of the message.
    ///
    /// Throws: `.data` naming file and byte for a message that is damaged.
    package mutating func next() throws(TuttiError) -> (field: Int, value: Value)? {
        guard position < end else { return nil }
        let start = position
        let tag = try varint()
        guard let field = Int32(exactly: tag >> 3), field > 0 else {
            throw error(start, "field number \(tag >> 3) is not between 1 and \(Int32.max)")
        }
        switch tag & 7 {
        case 0: return (Int(field), .varint(try varint()))
        case 1: return (Int(field), .fixed64(try fixed(8)))
        case 2:
            let length = try varint()
            guard length <= UInt64(end - position) else {
                throw error(start, "field \(field) has \(length) bytes, but only \(end - position) are left")
            }
            position += Int(length)
            return (Int(field), .bytes(position - Int(length)..<position))
        case 5: return (Int(field), .fixed32(UInt32(truncatingIfNeeded: try fixed(4))))
        case let type: throw error(start, "field \(field) has the unknown wire type \(type)")
        }
    }

    /// The text of a `.bytes` value.
    ///
    /// Throws: `.data` if it is not UTF-8.
    package func text(_ range: Range<Int>) throws(TuttiError) -> String {
        guard let text = String(validating: bytes[range], as: UTF8.self) else {
            throw error(range.lowerBound, "a text is not UTF-8")
        }
        return text
    }

    /// A reader of the message that is a `.bytes` value of this one.
    package func message(_ range: Range<Int>) -> ProtobufReader { ProtobufReader(bytes, range, source: source) }

    /// The error at byte `place` of the file.
    package func error(_ place: Int, _ problem: String) -> TuttiError {
        TuttiError(
            .data, "read protocol buffer", "\(source): byte \(place)", problem,
            hint: "The file is damaged, or is another kind of file; take it from its source again.")
    }

    private mutating func varint() throws(TuttiError) -> UInt64 {
        var value: UInt64 = 0
        var shift: UInt64 = 0
        while position < end, shift < 64 {
            let byte = bytes[position]
            position += 1
            value |= UInt64(byte & 0x7F) << shift
            if byte < 0x80 { return value }
            shift += 7
        }
        throw error(position, shift < 64 ? "ends inside of a number" : "a number has more than 10 bytes")
    }

    private mutating func fixed(_ count: Int) throws(TuttiError) -> UInt64 {
        guard end - position >= count else { throw error(position, "ends inside of a number") }
        var value: UInt64 = 0
        for offset in (0..<count).reversed() { value = value << 8 | UInt64(bytes[position + offset]) }
        position += count
        return value
    }
}
