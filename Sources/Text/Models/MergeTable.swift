// The merges of BPE: for a pair of token ids, the rank (merges of lower rank come first) and the id of the joined token.
// Open addressing with one probe for almost every look-up. Reference: tokenizers/src/models/bpe/serialization.rs.

import TuttiGround

/// Ranks and results of merges by pair.
struct MergeTable: Sendable {
    /// "No merge": ranks above all others.
    static let none = UInt64.max

    /// Pairs (left id in the high half, right id in the low one) and values (rank high, joined id low), alternating.
    private var slots: [UInt64]
    private let shift: UInt64
    private static let free = UInt64.max
    /// Odd and different in every process, so that no file can make all pairs meet in one slot.
    private static let multiplier = UInt64.random(in: .min ... .max) | 1

    /// The merges of the array `value`: pairs of tokens, or strings "left right".
    ///
    /// A pair given twice has its last rank. The joined token is the left one and the right one without the prefix of
    /// continuing tokens.
    /// Throws: `.data` naming the merge at fault.
    init(_ value: JSONValue?, _ tokens: TokenTable, prefixLength: Int, _ place: TokenizerPlace) throws(TuttiError) {
        guard let list = value?.array else {
            throw place.error(key: "model.merges", "expected an array, found \(value?.kindName ?? "nothing")")
        }
        var bits = 4
        while 1 << bits < list.count * 2 { bits += 1 }
        guard bits < 31 else { throw place.error(key: "model.merges", "has \(list.count) merges, which is too many") }
        shift = UInt64(64 - bits)
        slots = Array(repeating: MergeTable.free, count: 2 << bits)
        var rank: UInt64 = 0
        var joined: [UInt8] = []
        for item in list {
            guard let (left, right) = try MergeTable.pair(item, at: Int(rank), place) else { continue }
            joined.removeAll(keepingCapacity: true)
            joined.append(contentsOf: left.utf8)
            joined.append(contentsOf: right.utf8.dropFirst(prefixLength))
            guard let leftId = tokens.id(of: left), let rightId = tokens.id(of: right),
                let id = tokens.id(of: joined, 0..<joined.count)
            else {
                throw place.error(
                    key: "model.merges", "merge \(rank) ('\(left)' and '\(right)') has a token outside the vocabulary",
                    hint: "Both tokens and what they join to must be in model.vocab.")
            }
            set(MergeTable.key(leftId, rightId), rank << 32 | UInt64(UInt32(bitPattern: id)))
            rank += 1
        }
    }

    /// Rank and joined id (high and low half) of the pair; `none` if it is not merged.
    @inline(__always)
    func value(_ left: Int32, _ right: Int32) -> UInt64 {
        let key = MergeTable.key(left, right)
        var slot = Int(truncatingIfNeeded: (key &* MergeTable.multiplier) >> shift)
        while true {
            let found = slots[2 * slot]
            if found == key { return slots[2 * slot + 1] }
            if found == MergeTable.free { return MergeTable.none }
            slot = (slot + 1) & (slots.count / 2 - 1)
        }
    }

    /// True if no merge has a right token that starts with `character` after a left one that ends otherwise.
    ///
    /// Then no merge crosses the place before a `character` that follows another one.
    func onlyFollowsItself(_ character: [UInt8], _ entries: [TokenModel.Entry]) -> Bool {
        var starting: Set<Int32> = []
        var ending: Set<Int32> = []
        for (token, id) in entries {
            if token.utf8.starts(with: character) { starting.insert(id) }
            if token.utf8.suffix(character.count).elementsEqual(character) { ending.insert(id) }
        }
        for place in stride(from: 0, to: slots.count, by: 2) where slots[place] != MergeTable.free {
            let left = Int32(truncatingIfNeeded: slots[place] >> 32)
            let right = Int32(truncatingIfNeeded: slots[place])
            if starting.contains(right), !ending.contains(left) { return false }
        }
        return true
    }

    @inline(__always)
    private static func key(_ left: Int32, _ right: Int32) -> UInt64 {
        UInt64(UInt32(bitPattern: left)) << 32 | UInt64(UInt32(bitPattern: right))
    }

    private mutating func set(_ key: UInt64, _ value: UInt64) {
        let mask = slots.count / 2 - 1
        var slot = Int(truncatingIfNeeded: (key &* MergeTable.multiplier) >> shift)
        while slots[2 * slot] != MergeTable.free, slots[2 * slot] != key { slot = (slot + 1) & mask }
        slots[2 * slot] = key
        slots[2 * slot + 1] = value
    }

    /// The tokens of one merge; nil for the version line of old files.
    private static func pair(
        _ item: JSONValue, at rank: Int, _ place: TokenizerPlace
    ) throws(TuttiError) -> (left: String, right: String)? {
        if let pair = item.array, pair.count == 2, let left = pair[0].string, let right = pair[1].string {
            return (left, right)
        }
        if let line = item.string {
            if line.utf8.starts(with: "#version".utf8) { return nil }
            let parts = line.utf8.split(separator: UInt8(ascii: " "), omittingEmptySubsequences: false)
            if parts.count == 2, let left = String(parts[0]), let right = String(parts[1]) { return (left, right) }
        }
        throw place.error(key: "model.merges", "merge \(rank) is neither a pair of tokens nor a string 'left right'")
    }
}
