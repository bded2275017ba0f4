// Sets of code points: sorted ranges for the algebra of character classes, and a two-level bit table for matching.

/// A set of code points as sorted ranges that do not touch.
struct CodePointRanges: Sendable, Equatable {
    private(set) var ranges: [ClosedRange<UInt32>] = []
    private static let last: UInt32 = 0x10FFFF

    /// All code points.
    static let everything = CodePointRanges([0...last])

    /// The union of `ranges`, in any order.
    init(_ ranges: [ClosedRange<UInt32>] = []) {
        for range in ranges.sorted(by: { $0.lowerBound < $1.lowerBound }) {
            if let end = self.ranges.last, range.lowerBound <= end.upperBound &+ 1 {
                let upper = max(end.upperBound, range.upperBound)
                self.ranges[self.ranges.count - 1] = end.lowerBound...upper
            } else {
                self.ranges.append(range)
            }
        }
    }

    /// True if the set has no element.
    var isEmpty: Bool { ranges.isEmpty }

    /// The elements of either set.
    func union(_ other: CodePointRanges) -> CodePointRanges { CodePointRanges(ranges + other.ranges) }

    /// The code points that are not in the set.
    var inverted: CodePointRanges {
        var gaps: [ClosedRange<UInt32>] = []
        var next: UInt32 = 0
        for range in ranges {
            if range.lowerBound > next { gaps.append(next...(range.lowerBound - 1)) }
            next = range.upperBound + 1
        }
        if next <= CodePointRanges.last { gaps.append(next...CodePointRanges.last) }
        return CodePointRanges(gaps)
    }

    /// The elements of both sets.
    func intersection(_ other: CodePointRanges) -> CodePointRanges {
        inverted.union(other.inverted).inverted
    }

    /// True if `point` is an element.
    func contains(_ point: UInt32) -> Bool { ranges.contains { $0.contains(point) } }
}

/// Several sets of code points for matching, in shared tables: two loads and a shift a test.
struct CodePointSets: Sendable {
    private static let blockCount = 0x1100
    /// For each set, the number of the bits of each block of 256 code points.
    private var blocks: [UInt16] = []
    /// Blocks of 256 bits; the first one is empty, the second one full.
    private var bits = [UInt64](repeating: 0, count: 4) + [UInt64](repeating: .max, count: 4)
    /// For each set, the bits of the ASCII characters.
    private var ascii: [UInt64] = []
    private var known: [CodePointRanges] = []

    /// The number of sets.
    var count: Int { known.count }

    /// Adds a set and returns its number; nil if the tables are full.
    mutating func add(_ source: CodePointRanges) -> Int? {
        if let found = known.firstIndex(of: source) { return found }
        let start = blocks.count
        blocks += [UInt16](repeating: 0, count: CodePointSets.blockCount)
        for range in source.ranges {
            for block in Int(range.lowerBound >> 8)...Int(range.upperBound >> 8) {
                let first = UInt32(block) << 8
                let low = max(range.lowerBound, first) - first
                let high = min(range.upperBound, first + 255) - first
                if low == 0, high == 255 {
                    blocks[start + block] = 1
                    continue
                }
                if blocks[start + block] == 0 {
                    guard let number = UInt16(exactly: bits.count / 4) else { return nil }
                    blocks[start + block] = number
                    bits += [0, 0, 0, 0]
                }
                let word = Int(blocks[start + block]) * 4
                for bit in low...high { bits[word + Int(bit >> 6)] |= 1 << UInt64(bit & 63) }
            }
        }
        let word = Int(blocks[start]) * 4
        ascii += [bits[word], bits[word + 1]]
        known.append(source)
        return known.count - 1
    }

    /// True if `point` is an element of the set `number`.
    @inline(__always)
    func contains(_ number: Int, _ point: UInt32) -> Bool {
        let block = blocks[number * CodePointSets.blockCount + Int(point >> 8)]
        return bits[Int(block) << 2 | Int(point >> 6 & 3)] >> UInt64(point & 63) & 1 != 0
    }

    /// Where the character at `position` ends if it is an element of the set `number`; else -1.
    @inline(__always)
    func match(_ number: Int, _ bytes: [UInt8], _ position: Int) -> Int {
        let byte = bytes[position]
        if byte < 0x80 {
            let half = ascii[number << 1 | Int(byte >> 6)]
            return half >> UInt64(byte & 63) & 1 != 0 ? position + 1 : -1
        }
        var next = position
        return contains(number, UTF8Scalars.next(bytes, &next)) ? next : -1
    }
}
