// The wire format of protocol buffers, written: fields in the order of the calls.
//
// Reference: protobuf.dev/programming-guides/encoding. The reading side is ProtobufReader.

/// A message that is being written.
package struct ProtobufWriter: Sendable {
    /// The message so far.
    package private(set) var bytes: [UInt8] = []

    /// An empty message.
    package init() {}

    /// The message that `body` writes.
    package init(_ body: (inout ProtobufWriter) -> Void) { body(&self) }

    /// Adds an integer: int32, int64, uint64, a boolean or an enumeration.
    package mutating func add(_ field: Int, _ value: Int) {
        varint(UInt64(field) << 3)
        varint(UInt64(bitPattern: Int64(value)))
    }

    /// Adds a double.
    package mutating func add(_ field: Int, _ value: Double) {
        varint(UInt64(field) << 3 | 1)
        append(value.bitPattern)
    }

    /// Adds a float.
    package mutating func add(_ field: Int, _ value: Float) {
        varint(UInt64(field) << 3 | 5)
        append(value.bitPattern)
    }

    /// Adds a string.
    package mutating func add(_ field: Int, _ text: String) { add(field, bytes: Array(text.utf8)) }

    /// Adds the message that `body` writes.
    package mutating func add(_ field: Int, message body: (inout ProtobufWriter) -> Void) {
        add(field, bytes: ProtobufWriter(body).bytes)
    }

    /// Adds bytes, or a message that is written already.
    package mutating func add(_ field: Int, bytes more: [UInt8]) {
        begin(field, bytes: more.count)
        bytes += more
    }

    /// Adds the beginning of `count` bytes, which the caller writes after those of the message.
    package mutating func begin(_ field: Int, bytes count: Int) {
        varint(UInt64(field) << 3 | 2)
        varint(UInt64(count))
    }

    private mutating func varint(_ value: UInt64) {
        var rest = value
        while rest >= 0x80 {
            bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        bytes.append(UInt8(rest))
    }

    private mutating func append(_ number: some FixedWidthInteger & BitwiseCopyable) {
        withUnsafeBytes(of: number.littleEndian) { bytes += $0 }
    }
}
