// A set of byte strings with values as a double array: the child of a node for a byte is one load and one comparison, so
// that all pieces that start at a place of a text are found in one walk. Faster to walk and to build than ByteTrie for
// vocabularies of hundreds of thousands of pieces, but it cannot be extended.
//
// A node is 64 bits: its label (bits 0-7: the byte that leads to it), its base (8-31), its value + 1 (32-62, 0 for none)
// and bit 63 for "in use". The child of a node for byte c lies at base ^ c. Every base belongs to one node, therefore the
// label is enough to tell a child from a node of somebody else. Block 0 stays empty and is the base of leaves.
// Reference: Aoe 1989, An efficient digital search algorithm by using a double-array structure; darts-clone.

/// An immutable trie over bytes.
struct PieceTrie: Sendable {
    private let nodes: [UInt64]
    /// The base of the root, where walks start.
    let root: UInt32

    private static let used: UInt64 = 1 << 63
    private static let childMask: UInt64 = used | 0xFF
    /// The maximum number of node slots: a base has 24 bits.
    static let slotLimit = 1 << 24

    /// The trie of `pieces`, the later of equal ones counting, with their indices as values; nil if it is too large.
    init?(_ pieces: ByteStrings) {
        var builder = PieceTrieBuilder(pieces)
        guard let root = builder.build() else { return nil }
        self.root = root
        nodes = builder.nodes
    }

    /// The node below `base` for `byte`; 0 if there is none.
    @inline(__always)
    func child(_ base: UInt32, _ byte: UInt8) -> UInt64 {
        let node = nodes[Int(base ^ UInt32(byte))]
        return node & PieceTrie.childMask == PieceTrie.used | UInt64(byte) ? node : 0
    }

    /// The base of a node.
    @inline(__always)
    static func base(_ node: UInt64) -> UInt32 { UInt32(truncatingIfNeeded: node) >> 8 }

    /// The value of a node; -1 if no string ends there.
    @inline(__always)
    static func value(_ node: UInt64) -> Int32 { Int32(truncatingIfNeeded: node >> 32 & 0x7FFF_FFFF) - 1 }

    /// Calls `body` with the length of every string of the set that `bytes` starts with, from short to long.
    func walk<Bytes: Sequence>(_ bytes: Bytes, _ body: (Int) -> Void) where Bytes.Element == UInt8 {
        var base = root
        var length = 0
        for byte in bytes {
            let node = child(base, byte)
            if node == 0 { return }
            base = PieceTrie.base(node)
            length += 1
            if PieceTrie.value(node) >= 0 { body(length) }
        }
    }

    /// The value of the whole string `bytes`; -1 if it is not in the set.
    func value<Bytes: Sequence>(of bytes: Bytes) -> Int32 where Bytes.Element == UInt8 {
        var base = root
        var value: Int32 = -1
        for byte in bytes {
            let node = child(base, byte)
            if node == 0 { return -1 }
            base = PieceTrie.base(node)
            value = PieceTrie.value(node)
        }
        return value
    }
}

/// Byte strings, one after the other in one buffer.
struct ByteStrings: Sendable {
    private(set) var bytes: [UInt8] = []
    private(set) var ends: [Int] = []

    /// Room for `count` strings.
    init(capacity count: Int = 0) {
        ends.reserveCapacity(count)
        bytes.reserveCapacity(count * 8)
    }

    /// The number of strings.
    var count: Int { ends.count }

    /// The bytes of string `index`.
    subscript(index: Int) -> ArraySlice<UInt8> { bytes[range(index)] }

    /// Where string `index` lies in `bytes`.
    func range(_ index: Int) -> Range<Int> { (index == 0 ? 0 : ends[index - 1])..<ends[index] }

    /// Adds a string at the end.
    mutating func append<Bytes: Sequence>(_ string: Bytes) where Bytes.Element == UInt8 {
        bytes.append(contentsOf: string)
        ends.append(bytes.count)
    }

    /// The indices of the distinct, non-empty strings by rising bytes; of equal strings the last one.
    func sorted() -> [Int32] {
        /// The first 16 bytes, and which string.
        struct Key {
            let first: UInt64
            let second: UInt64
            let index: Int32
        }
        var keys: [Key] = []
        keys.reserveCapacity(count)
        for index in 0..<count {
            let range = range(index)
            if range.isEmpty { continue }
            func word(_ start: Int) -> UInt64 {
                (start..<start + 8).reduce(0) { word, place in
                    word << 8 | (place < range.upperBound ? UInt64(bytes[place]) : 0)
                }
            }
            keys.append(
                Key(first: word(range.lowerBound), second: word(range.lowerBound + 8), index: Int32(index)))
        }
        keys.sort { a, b in
            if a.first != b.first { return a.first < b.first }
            if a.second != b.second { return a.second < b.second }
            let order = compare(Int(a.index), Int(b.index))
            return order == 0 ? a.index < b.index : order < 0
        }
        var sorted: [Int32] = []
        sorted.reserveCapacity(keys.count)
        for (place, key) in keys.enumerated() {
            let isLast = place + 1 == keys.count || keys[place + 1].first != key.first
            if isLast || compare(Int(key.index), Int(keys[place + 1].index)) != 0 { sorted.append(key.index) }
        }
        return sorted
    }

    /// Negative, 0 or positive as string `a` comes before, equals or comes after string `b`.
    private func compare(_ a: Int, _ b: Int) -> Int {
        let (left, right) = (range(a), range(b))
        for offset in 0..<min(left.count, right.count) {
            let difference = Int(bytes[left.lowerBound + offset]) - Int(bytes[right.lowerBound + offset])
            if difference != 0 { return difference }
        }
        return left.count - right.count
    }
}

/// Places the nodes of a double array, first fit among the free slots of the last blocks.
private struct PieceTrieBuilder {
    private let pieces: ByteStrings
    private(set) var nodes: [UInt64] = []
    /// The free slots of the open blocks as a ring: neighbours by slot.
    private var next: [Int32] = []
    private var previous: [Int32] = []
    private var firstFree: Int32 = -1
    private var isBase: [Bool] = []
    private var openBlock = 1

    private static let openBlocks = 16
    private static let attempts = 256

    init(_ pieces: ByteStrings) { self.pieces = pieces }

    /// A node that waits for its children: the sorted strings that share its first `depth` bytes.
    private struct Pending {
        let slot: Int
        let strings: Range<Int>
        let depth: Int
    }

    /// Builds the nodes and returns the base of the root; nil if there are too many.
    mutating func build() -> UInt32? {
        let order = pieces.sorted()
        nodes.reserveCapacity(pieces.bytes.count)
        addBlock(isOpen: false)
        var root: UInt32 = 0
        var pending = order.isEmpty ? [] : [Pending(slot: -1, strings: 0..<order.count, depth: 0)]
        var labels: [UInt8] = []
        var starts: [Int] = []
        while let node = pending.popLast() {
            labels.removeAll(keepingCapacity: true)
            starts.removeAll(keepingCapacity: true)
            for place in node.strings {
                let range = pieces.range(Int(order[place]))
                let label = pieces.bytes[range.lowerBound + node.depth]
                if labels.last != label {
                    labels.append(label)
                    starts.append(place)
                }
            }
            starts.append(node.strings.upperBound)
            guard let base = findBase(labels) else { return nil }
            isBase[Int(base)] = true
            if node.slot < 0 { root = base } else { nodes[node.slot] |= UInt64(base) << 8 }
            for (child, label) in labels.enumerated() {
                let slot = Int(base ^ UInt32(label))
                take(slot)
                var strings = starts[child]..<starts[child + 1]
                var content = UInt64(1) << 63 | UInt64(label)
                let first = Int(order[strings.lowerBound])
                if pieces.range(first).count == node.depth + 1 {
                    content |= UInt64(first + 1) << 32
                    strings = strings.lowerBound + 1..<strings.upperBound
                }
                nodes[slot] = content
                if !strings.isEmpty {
                    pending.append(Pending(slot: slot, strings: strings, depth: node.depth + 1))
                }
            }
        }
        return root
    }

    /// A base at which all `labels` are free; nil if there is no room.
    private mutating func findBase(_ labels: [UInt8]) -> UInt32? {
        var slot = firstFree
        var attempts = 0
        while slot >= 0, attempts < Self.attempts {
            let base = UInt32(slot) ^ UInt32(labels[0])
            let isFree = labels.allSatisfy { next[Int(base ^ UInt32($0))] >= 0 }
            if isFree, !isBase[Int(base)] { return base }
            slot = next[Int(slot)]
            if slot == firstFree { break }
            attempts += 1
        }
        guard nodes.count + 256 <= PieceTrie.slotLimit else { return nil }
        let start = UInt32(nodes.count)
        addBlock(isOpen: true)
        return start
    }

    private mutating func addBlock(isOpen: Bool) {
        let start = Int32(nodes.count)
        nodes.append(contentsOf: repeatElement(0, count: 256))
        next.append(contentsOf: repeatElement(-1, count: 256))
        previous.append(contentsOf: repeatElement(-1, count: 256))
        isBase.append(contentsOf: repeatElement(false, count: 256))
        guard isOpen else { return }
        if nodes.count / 256 - openBlock > Self.openBlocks {
            for slot in openBlock * 256..<(openBlock + 1) * 256 where next[slot] >= 0 { take(slot) }
            openBlock += 1
        }
        for slot in start..<start + 256 {
            if firstFree < 0 {
                firstFree = slot
                next[Int(slot)] = slot
                previous[Int(slot)] = slot
            } else {
                let last = previous[Int(firstFree)]
                next[Int(last)] = slot
                previous[Int(slot)] = last
                next[Int(slot)] = firstFree
                previous[Int(firstFree)] = slot
            }
        }
    }

    /// Removes `slot` from the free ones.
    private mutating func take(_ slot: Int) {
        let (after, before) = (next[slot], previous[slot])
        if after == Int32(slot) {
            firstFree = -1
        } else {
            next[Int(before)] = after
            previous[Int(after)] = before
            if firstFree == Int32(slot) { firstFree = after }
        }
        next[slot] = -1
        previous[slot] = -1
    }
}
