// Thrift's compact protocol, written: the footer and the page headers of Parquet.
//
// Fields must be written by ascending numbers. Reference: thrift/doc/specs/thrift-compact-protocol.md.

/// Writes one structure, field by field.
struct ThriftWriter {
    private var bytes: [UInt8] = []
    private var last = 0

    private enum Kind: UInt8 {
        case yes = 1, no, byte, short, int, long, double, binary, list, set, map, structure
    }

    /// An empty structure.
    init() {}

    /// The structure's bytes, its end included.
    var finished: [UInt8] { bytes + [0] }

    /// A 32-bit number.
    mutating func int(_ id: Int, _ number: Int) {
        header(id, .int)
        zigzag(number)
    }

    /// A 64-bit number.
    mutating func long(_ id: Int, _ number: Int) {
        header(id, .long)
        zigzag(number)
    }

    /// A number of one byte.
    mutating func byte(_ id: Int, _ number: UInt8) {
        header(id, .byte)
        bytes.append(number)
    }

    /// True or false.
    mutating func truth(_ id: Int, _ flag: Bool) { header(id, flag ? .yes : .no) }

    /// A text.
    mutating func text(_ id: Int, _ text: String) {
        header(id, .binary)
        append(text)
    }

    /// A list of 32-bit numbers.
    mutating func ints(_ id: Int, _ numbers: [Int]) {
        list(id, numbers.count, .int)
        numbers.forEach { zigzag($0) }
    }

    /// A list of texts.
    mutating func texts(_ id: Int, _ texts: [String]) {
        list(id, texts.count, .binary)
        texts.forEach { append($0) }
    }

    /// A structure.
    mutating func structure(_ id: Int, _ structure: ThriftWriter) {
        header(id, .structure)
        bytes += structure.finished
    }

    /// A list of structures.
    mutating func structures(_ id: Int, _ structures: [ThriftWriter]) {
        list(id, structures.count, .structure)
        for structure in structures { bytes += structure.finished }
    }

    private mutating func header(_ id: Int, _ kind: Kind) {
        precondition(id > last && id - last <= 15, "ThriftWriter: field \(id) after \(last)")
        bytes.append(UInt8(id - last) << 4 | kind.rawValue)
        last = id
    }

    private mutating func list(_ id: Int, _ count: Int, _ kind: Kind) {
        header(id, .list)
        if count < 15 {
            bytes.append(UInt8(count) << 4 | kind.rawValue)
        } else {
            bytes.append(0xF0 | kind.rawValue)
            bytes.append(varint: count)
        }
    }

    private mutating func append(_ text: String) {
        bytes.append(varint: text.utf8.count)
        bytes.append(contentsOf: text.utf8)
    }

    private mutating func zigzag(_ number: Int) { bytes.append(varint: number << 1 ^ number >> 63) }
}

extension [UInt8] {
    /// A number in seven bits a byte, the lowest first; a negative one by its 64 bits.
    mutating func append(varint number: Int) {
        var rest = UInt64(bitPattern: Int64(number))
        while rest >= 0x80 {
            append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        append(UInt8(rest))
    }
}
