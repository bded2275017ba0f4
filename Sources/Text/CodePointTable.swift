// One byte for each code point in two levels: a block number for 256 code points, and the blocks that are not all zero.
// A lookup is two loads. Sets of code points that a hot loop asks for are kept here rather than in a Set.

/// A byte for each code point, 0 unless set.
struct CodePointTable: Sendable {
    private var blocks = [UInt16](repeating: 0, count: 0x1100)
    private var bytes = [UInt8](repeating: 0, count: 256)

    /// The byte of `point`.
    @inline(__always)
    subscript(point: UInt32) -> UInt8 {
        bytes[Int(blocks[Int(point >> 8)]) << 8 | Int(point & 255)]
    }

    /// Adds the bits of `flags` to the byte of `point`.
    mutating func insert(_ point: UInt32, _ flags: UInt8) {
        let block = Int(point >> 8)
        if blocks[block] == 0 {
            blocks[block] = UInt16(bytes.count >> 8)
            bytes.append(contentsOf: repeatElement(0, count: 256))
        }
        bytes[Int(blocks[block]) << 8 | Int(point & 255)] |= flags
    }

    /// Adds the bits of `flags` to the bytes of all `points`.
    mutating func insert<Points: Sequence>(_ points: Points, _ flags: UInt8) where Points.Element == Int {
        for point in points { insert(UInt32(point), flags) }
    }
}
