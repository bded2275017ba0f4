// General categories of code points, unpacked once from UnicodeClassTables: one byte a code point in a two-level table.
//
// White space and line ends among the control characters have numbers of their own, so that every class of the known word
// patterns is a set of categories, and a set of categories is a mask of 32 bits.

/// Sets of categories, one bit each, in the order of `UnicodeClassTables.names`.
enum CategoryMask {
    static let upper: UInt32 = 0x01
    static let lower: UInt32 = 0x02
    static let title: UInt32 = 0x04
    static let modifier: UInt32 = 0x08
    static let otherLetter: UInt32 = 0x10
    static let letter: UInt32 = 0x1F
    static let combining: UInt32 = 0xE0
    static let number: UInt32 = 0x700
    /// Line feed and carriage return.
    static let lineEnd: UInt32 = 0x8000_0000
    /// White space, line ends included.
    static let space: UInt32 = 0xC1C0_0000
}

/// The category of every code point.
final class UnicodeCategories: Sendable {
    /// The shared instance.
    static let shared = UnicodeCategories()
    /// Control characters that are white space, line ends apart.
    static let controlSpace: UInt8 = 30
    /// Line feed and carriage return.
    static let lineEnd: UInt8 = 31

    private let ascii: [UInt8]
    private let blocks: [UInt16]
    private let values: [UInt8]

    private init() {
        var all: [UInt8] = []
        all.reserveCapacity(0x110000)
        for (count, number) in UnicodeCategories.runs(UnicodeClassTables.category) {
            all.append(contentsOf: repeatElement(UInt8(number), count: count))
        }
        precondition(all.count == 0x110000, "the table of categories has \(all.count) code points")
        for point in [0x09, 0x0B, 0x0C, 0x85] { all[point] = UnicodeCategories.controlSpace }
        for point in [0x0A, 0x0D] { all[point] = UnicodeCategories.lineEnd }
        ascii = Array(all[..<128])
        var blocks: [UInt16] = []
        var values: [UInt8] = []
        var known: [ArraySlice<UInt8>: UInt16] = [:]
        for start in stride(from: 0, to: all.count, by: 256) {
            let block = all[start..<start + 256]
            if known[block] == nil {
                known[block] = UInt16(values.count / 256)
                values.append(contentsOf: block)
            }
            blocks.append(known[block] ?? 0)
        }
        self.blocks = blocks
        self.values = values
    }

    /// The number of the category of `point`.
    @inline(__always)
    func category(_ point: UInt32) -> UInt8 {
        values[Int(blocks[Int(point >> 8)]) << 8 | Int(point & 255)]
    }

    /// True if the category of `point` is in `mask`.
    @inline(__always)
    func isIn(_ mask: UInt32, _ point: UInt32) -> Bool { mask >> UInt32(category(point)) & 1 != 0 }

    /// The bit of the category of the character at `position`, and where the next one starts.
    @inline(__always)
    func bit(_ bytes: [UInt8], _ position: Int) -> (bit: UInt32, next: Int) {
        let byte = bytes[position]
        if byte < 0x80 { return (1 << UInt32(ascii[Int(byte)] & 31), position + 1) }
        var next = position
        let point = UTF8Scalars.next(bytes, &next)
        return (1 << UInt32(category(point) & 31), next)
    }

    /// The end of the run of characters of `mask` that starts at `position`.
    @inline(__always)
    func run(_ bytes: [UInt8], _ position: Int, _ end: Int, _ mask: UInt32) -> Int {
        var position = position
        while position < end {
            let (bit, next) = bit(bytes, position)
            guard bit & mask != 0 else { break }
            position = next
        }
        return position
    }

    /// The runs of a table: lengths and values.
    static func runs(_ table: String) -> [(count: Int, value: Int)] {
        table.split(separator: " ").map { entry in
            let parts = entry.split(separator: ":")
            guard parts.count == 2, let count = Int(parts[0], radix: 16), let value = Int(parts[1], radix: 16) else {
                preconditionFailure("table entry '\(entry)' is not a run")
            }
            return (count, value)
        }
    }
}
