// Numbers from bytes that nobody has checked: every read is held to the end of the bytes. What binary formats share.

/// What is wrong with some bytes; who knows where they are makes an error of it.
struct Damage: Error {
    let problem: String

    init(_ problem: String) { self.problem = problem }

    static let endsEarly = Damage("ends too early")
}

/// Reads a range of bytes from its start.
struct BoundedReader {
    let bytes: UnsafeRawBufferPointer
    private(set) var position: Int
    private let end: Int

    /// A reader of `bytes`, which must stay valid while it is used.
    init(_ bytes: UnsafeRawBufferPointer) {
        self.bytes = bytes
        position = 0
        end = bytes.count
    }

    /// Bytes that are left.
    var left: Int { end - position }

    /// The next byte.
    mutating func byte() throws(Damage) -> UInt8 {
        guard position < end else { throw .endsEarly }
        let byte = bytes[position]
        position += 1
        return byte
    }

    /// The next `count` bytes.
    mutating func take(_ count: Int) throws(Damage) -> UnsafeRawBufferPointer {
        guard count >= 0, count <= left else { throw .endsEarly }
        let taken = UnsafeRawBufferPointer(rebasing: bytes[position..<position + count])
        position += count
        return taken
    }

    /// The next number of a fixed width, little-endian.
    mutating func number<Number: FixedWidthInteger & BitwiseCopyable>(
        _: Number.Type
    ) throws(Damage) -> Number {
        let width = MemoryLayout<Number>.size
        guard width <= left else { throw .endsEarly }
        let number = bytes.loadUnaligned(fromByteOffset: position, as: Number.self)
        position += width
        return Number(littleEndian: number)
    }

    /// The next number in seven bits a byte, the lowest first.
    mutating func varint() throws(Damage) -> UInt64 {
        var (value, shift): (UInt64, UInt64) = (0, 0)
        while shift < 64 {
            let byte = try byte()
            value |= UInt64(byte & 0x7F) << shift
            if byte < 0x80 { return value }
            shift += 7
        }
        throw Damage("a number has more than 10 bytes")
    }

    /// The next number of either sign, in seven bits a byte.
    mutating func zigzag() throws(Damage) -> Int64 {
        let value = try varint()
        return Int64(bitPattern: value >> 1) ^ -Int64(bitPattern: value & 1)
    }

    /// The next length or count, at most `limit`.
    mutating func count(atMost limit: Int) throws(Damage) -> Int {
        let value = try varint()
        guard value <= UInt64(limit) else { throw Damage("a length of \(value), where at most \(limit) can follow") }
        return Int(value)
    }
}
