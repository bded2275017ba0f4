// Records in a file one after the other, each with checksums, as TensorFlow and TensorBoard write them.
//
// A record is its length in eight bytes, a masked CRC-32C of these, the data, and a masked CRC-32C of the data; all
// little-endian. Reference: tensorflow/core/lib/io/record_writer.h, tensorflow/core/lib/hash/crc32c.h.

/// Framing of records.
package enum RecordFile {
    private static let frame = 16

    /// The bytes of a record with this data.
    package static func record(_ data: [UInt8]) -> [UInt8] {
        let length = bytes(UInt64(data.count))
        return length + bytes(masked(crc32c(length[...]))) + data + bytes(masked(crc32c(data[...])))
    }

    /// Where the data of each record lies, up to the first one that is damaged or cut.
    package static func records(in file: [UInt8]) -> [Range<Int>] {
        var found: [Range<Int>] = []
        var position = 0
        while file.count - position >= frame {
            let length = file[position..<position + 8]
            guard number(length) <= UInt64(file.count - position - frame),
                number(file[position + 8..<position + 12]) == UInt64(masked(crc32c(length)))
            else { break }
            let start = position + 12
            let end = start + Int(number(length))
            guard number(file[end..<end + 4]) == UInt64(masked(crc32c(file[start..<end]))) else { break }
            found.append(start..<end)
            position = end + 4
        }
        return found
    }

    /// How many bytes the record with its data in `range` ends after.
    package static func end(of range: Range<Int>) -> Int { range.upperBound + 4 }

    private static func masked(_ sum: UInt32) -> UInt32 { (sum >> 15 | sum << 17) &+ 0xA282_EAD8 }

    private static func bytes(_ number: some FixedWidthInteger & BitwiseCopyable) -> [UInt8] {
        withUnsafeBytes(of: number.littleEndian) { Array($0) }
    }

    private static func number(_ bytes: some Collection<UInt8>) -> UInt64 {
        bytes.reversed().reduce(0) { $0 << 8 | UInt64($1) }
    }

    /// CRC-32C (Castagnoli), RFC 3720 appendix B.4.
    package static func crc32c(_ bytes: ArraySlice<UInt8>) -> UInt32 {
        ~bytes.reduce(UInt32.max) { table[Int(UInt8(truncatingIfNeeded: $0) ^ $1)] ^ ($0 >> 8) }
    }

    private static let table: [UInt32] = (0..<256).map { byte in
        (0..<8).reduce(UInt32(byte)) { sum, _ in sum & 1 == 1 ? sum >> 1 ^ 0x82F6_3B78 : sum >> 1 }
    }
}
