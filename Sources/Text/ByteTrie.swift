// A set of byte strings with values, laid out for longest-prefix search: all edges of all nodes in one open-addressing
// table keyed by (node, byte), so that a step is one probe and a search allocates nothing.

/// A trie over bytes whose edges share one hash table; several roots may share it.
struct ByteTrie: Sendable {
    private var keys: [UInt32]
    private var children: [UInt32]
    private var values: [Int32] = []
    private var edgeCount = 0
    private var mask: Int
    private static let empty = UInt32.max

    /// An empty trie with no root.
    init() {
        keys = Array(repeating: ByteTrie.empty, count: 1024)
        children = Array(repeating: 0, count: 1024)
        mask = 1023
    }

    /// Adds a root and returns its node.
    mutating func addRoot() -> UInt32 {
        values.append(-1)
        return UInt32(values.count - 1)
    }

    /// The maximum number of nodes: a key is a node and a byte in 32 bits.
    static let nodeLimit = 1 << 24

    /// Sets the value, at least 0, of the string `bytes` below `root`; false if the trie is full.
    mutating func insert<Bytes: Sequence>(_ bytes: Bytes, below root: UInt32, value: Int32) -> Bool
    where Bytes.Element == UInt8 {
        var node = root
        for byte in bytes {
            if let child = child(of: node, byte) {
                node = child
            } else {
                guard values.count < ByteTrie.nodeLimit - 1 else { return false }
                let child = addRoot()
                if edgeCount * 2 >= keys.count { grow() }
                place(node << 8 | UInt32(byte), child)
                edgeCount += 1
                node = child
            }
        }
        values[Int(node)] = value
        return true
    }

    /// The end and value of the longest string below `root` that is a prefix of `bytes[start..<end]`; value -1: none.
    @inline(__always)
    func longestPrefix(_ bytes: [UInt8], _ start: Int, _ end: Int, below root: UInt32) -> (end: Int, value: Int32) {
        var node = root
        var found = (end: start, value: Int32(-1))
        var position = start
        while position < end, let child = child(of: node, bytes[position]) {
            node = child
            position += 1
            let value = values[Int(node)]
            if value >= 0 { found = (position, value) }
        }
        return found
    }

    /// The value of the string `bytes` below `root`.
    func value<Bytes: Sequence>(of bytes: Bytes, below root: UInt32) -> Int32? where Bytes.Element == UInt8 {
        var node = root
        for byte in bytes {
            guard let child = child(of: node, byte) else { return nil }
            node = child
        }
        return values[Int(node)] >= 0 ? values[Int(node)] : nil
    }

    @inline(__always)
    private func child(of node: UInt32, _ byte: UInt8) -> UInt32? {
        let key = node << 8 | UInt32(byte)
        var slot = ByteTrie.hash(key) & mask
        while true {
            let found = keys[slot]
            if found == key { return children[slot] }
            if found == ByteTrie.empty { return nil }
            slot = (slot + 1) & mask
        }
    }

    @inline(__always)
    private static func hash(_ key: UInt32) -> Int {
        Int(truncatingIfNeeded: (UInt64(key) &* 0x9E37_79B9_7F4A_7C15) >> 32)
    }

    private mutating func place(_ key: UInt32, _ child: UInt32) {
        var slot = ByteTrie.hash(key) & mask
        while keys[slot] != ByteTrie.empty { slot = (slot + 1) & mask }
        keys[slot] = key
        children[slot] = child
    }

    private mutating func grow() {
        let old = zip(keys, children).filter { $0.0 != ByteTrie.empty }
        keys = Array(repeating: ByteTrie.empty, count: keys.count * 2)
        children = Array(repeating: 0, count: keys.count)
        mask = keys.count - 1
        for (key, child) in old { place(key, child) }
    }
}
