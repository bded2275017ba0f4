// A vocabulary: token ids by the tokens' bytes, in one open-addressing table. Canonically equivalent tokens are distinct,
// as a dictionary of Swift strings would not keep them.

import TuttiGround

/// Token ids by token.
struct TokenTable: Sendable {
    /// The tokens' bytes, one after the other.
    private var bytes: [UInt8] = []
    /// Where each token starts in `bytes`; one more than there are tokens.
    private var starts: [UInt32] = [0]
    private var ids: [Int32] = []
    /// Token numbers by hash; `TokenTable.free` is an unused slot.
    private var slots: [UInt32]
    private static let free = UInt32.max

    /// The table of `entries`; for a token given twice the last id counts.
    ///
    /// Throws: `.data` if the vocabulary has more than 4 GB.
    init(_ entries: [TokenModel.Entry], _ place: TokenizerPlace) throws(TuttiError) {
        let size = entries.reduce(0) { $0 + $1.token.utf8.count }
        guard UInt32(exactly: size) != nil, entries.count < Int(Int32.max) else {
            throw place.error(key: "model.vocab", "has \(size) bytes of tokens; the limit is \(UInt32.max)")
        }
        var count = 16
        while count < entries.count * 2 { count *= 2 }
        slots = Array(repeating: TokenTable.free, count: count)
        bytes.reserveCapacity(size)
        for (token, id) in entries { insert(Array(token.utf8), id) }
    }

    /// The id of `token`.
    func id(of token: String) -> Int32? {
        let key = Array(token.utf8)
        return id(of: key, 0..<key.count)
    }

    /// The id of the token `text[range]`.
    func id(of text: [UInt8], _ range: Range<Int>) -> Int32? {
        let found = slots[slot(text, range)]
        return found == TokenTable.free ? nil : ids[Int(found)]
    }

    private mutating func insert(_ token: [UInt8], _ id: Int32) {
        let place = slot(token, 0..<token.count)
        if slots[place] != TokenTable.free {
            ids[Int(slots[place])] = id
            return
        }
        slots[place] = UInt32(ids.count)
        ids.append(id)
        bytes += token
        starts.append(UInt32(bytes.count))
    }

    /// The slot of the token, or the free slot where it belongs.
    private func slot(_ text: [UInt8], _ range: Range<Int>) -> Int {
        let mask = slots.count - 1
        var slot = TokenTable.hash(text, range) & mask
        while slots[slot] != TokenTable.free, !equals(Int(slots[slot]), text, range) { slot = (slot + 1) & mask }
        return slot
    }

    private func equals(_ number: Int, _ text: [UInt8], _ range: Range<Int>) -> Bool {
        let start = Int(starts[number])
        guard Int(starts[number + 1]) - start == range.count else { return false }
        for offset in 0..<range.count where bytes[start + offset] != text[range.lowerBound + offset] { return false }
        return true
    }

    /// Different in every process, so that no vocabulary can be made of tokens that all meet in one slot.
    private static let seed = UInt64.random(in: .min ... .max)

    /// FNV-1a from a random start, with its high bits folded in.
    private static func hash(_ text: [UInt8], _ range: Range<Int>) -> Int {
        var hash = seed
        for position in range { hash = (hash ^ UInt64(text[position])) &* 0x100_0000_01B3 }
        return Int(truncatingIfNeeded: (hash ^ hash >> 32) & 0x7FFF_FFFF)
    }
}
