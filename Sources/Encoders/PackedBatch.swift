// The token ids of a batch, all text columns in one pass, without padding.
//
// Legend: T packed tokens, S sequences. A sequence's slot (its row in the *global* batch) and column are the keys of
// dropout, so that neither the order in a batch nor the number of ranks changes a mask.

/// Packed sequences of token ids.
package struct PackedBatch: Sendable, Equatable {
    /// [T] token ids, sequence by sequence.
    package private(set) var ids: [Int32] = []
    /// [S + 1]: sequence s owns tokens offsets[s] ..< offsets[s + 1].
    package private(set) var offsets: [Int32] = [0]
    /// [S] row of the sequence in the global batch.
    package private(set) var slots: [UInt64] = []
    /// [S] text column of the sequence.
    package private(set) var columns: [UInt32] = []
    /// [S] leading tokens that pooling excludes if a model excludes its prompt.
    package private(set) var promptTokens: [Int32] = []
    /// [S] the route of a model with several that encodes the sequence; 0 of most models.
    package private(set) var routes: [Int32] = []

    /// A batch without sequences.
    package init() {}

    /// T.
    package var tokenCount: Int { ids.count }
    /// S.
    package var sequenceCount: Int { slots.count }

    /// Length of the longest sequence; 0 without sequences.
    package var longest: Int {
        var longest = 0
        for s in 0..<sequenceCount { longest = max(longest, Int(offsets[s + 1] - offsets[s])) }
        return longest
    }

    /// [S] lengths of the sequences.
    package var lengths: [Int] { (0..<sequenceCount).map { Int(offsets[$0 + 1] - offsets[$0]) } }

    /// Clears the batch and keeps its memory for the next one.
    package mutating func removeAll() {
        ids.removeAll(keepingCapacity: true)
        offsets.removeAll(keepingCapacity: true)
        offsets.append(0)
        slots.removeAll(keepingCapacity: true)
        columns.removeAll(keepingCapacity: true)
        promptTokens.removeAll(keepingCapacity: true)
        routes.removeAll(keepingCapacity: true)
    }

    /// Adds one sequence of token ids.
    package mutating func append(
        _ tokens: some Collection<Int32>, slot: UInt64, column: UInt32 = 0, promptTokens prompt: Int = 0, route: Int = 0
    ) {
        ids.append(contentsOf: tokens)
        close(slot: slot, column: column, promptTokens: prompt, route: route)
    }

    /// Adds one sequence whose ids `write` appends to the packed ids: no array per sequence.
    package mutating func append(
        slot: UInt64, column: UInt32 = 0, promptTokens prompt: Int = 0, route: Int = 0,
        _ write: (inout [Int32]) -> Void
    ) {
        let before = ids.count
        write(&ids)
        precondition(ids.count >= before, "PackedBatch: a writer removed tokens")
        close(slot: slot, column: column, promptTokens: prompt, route: route)
    }

    /// Replaces the contents with some sequences of `other`.
    package mutating func replace(by range: Range<Int>, of other: PackedBatch) {
        removeAll()
        for s in range { append(sequence: s, of: other) }
    }

    /// Adds one sequence of `other`.
    package mutating func append(sequence s: Int, of other: PackedBatch) {
        append(
            other.ids[Int(other.offsets[s])..<Int(other.offsets[s + 1])], slot: other.slots[s],
            column: other.columns[s], promptTokens: Int(other.promptTokens[s]), route: Int(other.routes[s]))
    }

    private mutating func close(slot: UInt64, column: UInt32, promptTokens prompt: Int, route: Int) {
        precondition(ids.count <= Int(Int32.max), "PackedBatch: \(ids.count) tokens")
        offsets.append(Int32(ids.count))
        slots.append(slot)
        columns.append(column)
        promptTokens.append(Int32(prompt))
        routes.append(Int32(route))
    }
}
