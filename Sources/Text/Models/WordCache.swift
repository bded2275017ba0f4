// Ids of words seen before: most words of a text are a few thousand different ones, and finding their ids again costs a
// tenth of working them out.
//
// A word of at most 23 bytes is its own key, in three machine words. The table is bounded: when it is full, it is emptied.
// A table belongs to one tokenizer; used with another one, it starts again.

/// A bounded cache of words and their ids, one per thread.
struct WordCache: Sendable {
    /// The bytes of a word and its length.
    struct Key: Sendable, Equatable {
        var first: UInt64 = 0
        var second: UInt64 = 0
        var third: UInt64 = 0
    }

    private struct Slot: Sendable {
        var key = Key()
        /// The id of a word of one token, else where its ids start in `more`.
        var value: Int32 = 0
        /// The number of ids; a free slot has a key of zeros.
        var count: Int32 = 0
    }

    private var slots: [Slot] = []
    private var used = 0
    /// The ids of words that have none or several.
    private var more: [Int32] = []
    private var owner: Identity?
    private static let smallest = 1 << 10
    private static let largest = 1 << 17
    private static let probeLimit = 8

    /// What a tokenizer is told apart by; kept alive by the caches that it owns.
    final class Identity: Sendable {
        init() {}
    }

    /// Empties the cache if it belongs to another tokenizer.
    mutating func claim(_ identity: Identity) {
        guard owner !== identity else { return }
        owner = identity
        clear(WordCache.smallest)
    }

    /// The key of the word `bytes[word]`; nil if it is too long or empty.
    @inline(__always)
    static func key(_ bytes: [UInt8], _ word: Range<Int>) -> Key? {
        let count = word.count
        guard count > 0, count < 24 else { return nil }
        var key = Key()
        let firstEnd = min(word.lowerBound + 8, word.upperBound)
        for position in word.lowerBound..<firstEnd { key.first = key.first << 8 | UInt64(bytes[position]) }
        if count > 8 {
            let secondEnd = min(word.lowerBound + 16, word.upperBound)
            for position in firstEnd..<secondEnd { key.second = key.second << 8 | UInt64(bytes[position]) }
            for position in secondEnd..<word.upperBound { key.third = key.third << 8 | UInt64(bytes[position]) }
        }
        key.third |= UInt64(count) << 56
        return key
    }

    /// Appends the ids of the word to `ids`; false if they are not known.
    @inline(__always)
    func append(_ key: Key, to ids: inout [Int32]) -> Bool {
        var place = WordCache.hash(key) & (slots.count - 1)
        for _ in 0..<WordCache.probeLimit {
            let slot = slots[place]
            if slot.key == key {
                if slot.count == 1 {
                    ids.append(slot.value)
                } else {
                    let start = Int(slot.value)
                    for position in start..<(start + Int(slot.count)) { ids.append(more[position]) }
                }
                return true
            }
            if slot.key.third == 0 { return false }
            place = (place + 1) & (slots.count - 1)
        }
        return false
    }

    /// Remembers that the word has the ids `ids[start...]`.
    mutating func store(_ key: Key, _ ids: [Int32], from start: Int) {
        if used >= slots.count / 2 || more.count > WordCache.largest * 4 { grow() }
        let count = ids.count - start
        let value = count == 1 ? ids[start] : Int32(truncatingIfNeeded: more.count)
        if count != 1 { more.append(contentsOf: ids[start...]) }
        place(Slot(key: key, value: value, count: Int32(truncatingIfNeeded: count)))
    }

    private mutating func place(_ slot: Slot) {
        let home = WordCache.hash(slot.key) & (slots.count - 1)
        var place = home
        for _ in 0..<WordCache.probeLimit {
            if slots[place].key.third == 0 {
                used += 1
                slots[place] = slot
                return
            }
            place = (place + 1) & (slots.count - 1)
        }
        slots[home] = slot
    }

    /// Four times the slots, or none in use once the largest table is full.
    private mutating func grow() {
        guard slots.count < WordCache.largest else { return clear(WordCache.largest) }
        let old = slots
        slots = Array(repeating: Slot(), count: slots.count * 4)
        used = 0
        for slot in old where slot.key.third != 0 { place(slot) }
    }

    private mutating func clear(_ count: Int) {
        slots = Array(repeating: Slot(), count: count)
        used = 0
        more.removeAll(keepingCapacity: true)
    }

    @inline(__always)
    private static func hash(_ key: Key) -> Int {
        var hash = key.first &* 0x9E37_79B9_7F4A_7C15 ^ (key.second &+ 0xD1B5_4A32_D192_ED03) &* 0xC2B2_AE3D_27D4_EB4F
        hash ^= (key.third &+ 0x1656_67B1_9E37_79F9) &* 0x9FB2_1C65_1E98_DF25
        hash ^= hash >> 32
        return Int(truncatingIfNeeded: (hash &* 0x9E37_79B9_7F4A_7C15) >> 33)
    }
}
