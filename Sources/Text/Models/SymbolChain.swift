// The merging of BPE: again and again the pair of lowest rank, the leftmost among equal ones.
//
// Short words, which are almost all, search the ranks of all pairs for the lowest one and close the gap by moving what
// follows. Long ones (a text without spaces) keep a heap of pairs, whose entries are skipped once they are out of date, so
// that n symbols cost n log n. Reference: tokenizers/src/models/bpe/word.rs.

/// The symbols of one word, and the buffers that merging needs; one per thread.
struct SymbolChain: Sendable {
    /// The ids of the symbols; after `merge`, the word's tokens.
    var ids: [Int32] = []
    /// A buffer of the model.
    var text: [UInt8] = []
    /// For each symbol, rank and result of its merge with the next one (MergeTable.value).
    private var pairs: [UInt64] = []
    private var next: [Int32] = []
    private var previous: [Int32] = []
    /// Ranks and places (high and low half) of pairs, the lowest first.
    private var heap: [UInt64] = []
    /// The longest word that is merged without a heap.
    private static let shortLimit = 48

    /// Merges `ids` as far as `merges` go.
    ///
    /// Allocates: only to grow the buffers.
    mutating func merge(_ merges: MergeTable) {
        guard ids.count > 1 else { return }
        pairs.removeAll(keepingCapacity: true)
        for place in 1..<ids.count { pairs.append(merges.value(ids[place - 1], ids[place])) }
        if ids.count <= SymbolChain.shortLimit { mergeShort(merges) } else { mergeLong(merges) }
    }

    private mutating func mergeShort(_ merges: MergeTable) {
        var count = ids.count
        while count > 1 {
            var best = 0
            var lowest = pairs[0]
            for place in 1..<(count - 1) where pairs[place] < lowest {
                lowest = pairs[place]
                best = place
            }
            guard lowest != MergeTable.none else { break }
            ids[best] = Int32(truncatingIfNeeded: lowest)
            count -= 1
            for place in (best + 1)..<max(best + 1, count) { ids[place] = ids[place + 1] }
            for place in (best + 1)..<max(best + 1, count - 1) { pairs[place] = pairs[place + 1] }
            if best > 0 { pairs[best - 1] = merges.value(ids[best - 1], ids[best]) }
            if best + 1 < count { pairs[best] = merges.value(ids[best], ids[best + 1]) }
        }
        ids.removeLast(ids.count - count)
    }

    private mutating func mergeLong(_ merges: MergeTable) {
        let count = ids.count
        pairs.append(MergeTable.none)
        next.removeAll(keepingCapacity: true)
        previous.removeAll(keepingCapacity: true)
        heap.removeAll(keepingCapacity: true)
        for place in 0..<count {
            next.append(place + 1 < count ? Int32(truncatingIfNeeded: place + 1) : -1)
            previous.append(Int32(truncatingIfNeeded: place - 1))
            push(place)
        }
        while let entry = pop() {
            let place = Int(entry & 0xFFFF_FFFF)
            let pair = pairs[place]
            guard pair != MergeTable.none, pair >> 32 == entry >> 32 else { continue }
            let right = Int(next[place])
            ids[place] = Int32(truncatingIfNeeded: pair)
            pairs[right] = MergeTable.none
            next[place] = next[right]
            next[right] = -2  // no longer a symbol
            pairs[place] = MergeTable.none
            if next[place] >= 0 {
                let following = Int(next[place])
                previous[following] = Int32(truncatingIfNeeded: place)
                pairs[place] = merges.value(ids[place], ids[following])
                push(place)
            }
            if previous[place] >= 0 {
                let before = Int(previous[place])
                pairs[before] = merges.value(ids[before], ids[place])
                push(before)
            }
        }
        var kept = 0
        for place in 0..<count where next[place] != -2 {
            ids[kept] = ids[place]
            kept += 1
        }
        ids.removeLast(count - kept)
    }

    private mutating func push(_ place: Int) {
        guard pairs[place] != MergeTable.none else { return }
        heap.append(pairs[place] & 0xFFFF_FFFF_0000_0000 | UInt64(place))
        var child = heap.count - 1
        while child > 0 {
            let parent = (child - 1) / 2
            guard heap[child] < heap[parent] else { return }
            heap.swapAt(child, parent)
            child = parent
        }
    }

    private mutating func pop() -> UInt64? {
        guard let top = heap.first, let last = heap.popLast() else { return nil }
        guard !heap.isEmpty else { return top }
        heap[0] = last
        var parent = 0
        while true {
            var child = 2 * parent + 1
            guard child < heap.count else { return top }
            if child + 1 < heap.count, heap[child + 1] < heap[child] { child += 1 }
            guard heap[child] < heap[parent] else { return top }
            heap.swapAt(child, parent)
            parent = child
        }
    }
}
