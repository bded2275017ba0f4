// NodeRows: gathers of rows, and their adjoints, in two levels: in memory on each node, by messages between nodes.
//
// Gather: each rank writes its rows to memory of its node and sends them to one rank of every other node, which receives
// them into memory of that node; then all ranks of the node read them there. So a row crosses a link once a node, not once
// a rank.
//
// Adjoint (reduce-scatter): each rank writes its summand to memory of its node. The sum over the node of what belongs to a
// rank of another node is sent to that rank, which adds what all nodes send, in the order of nodes. So again a row of
// gradients crosses a link once a node.
//
// Both go through memory of a fixed size, piece by piece. Two sets of slots take turns: whoever has passed the barrier of
// a piece has left the piece before it, whose slots the next piece may use. What is small goes the way of the whole
// ensemble, whose collectives need fewer rounds on many nodes.
//
// Legend: W ranks, R ranks of the node, N nodes.

import TuttiEnsemble
import TuttiKernels

/// The ranks of a run for its losses: all collectives are those of the run, but the gathers of rows have two levels.
final class NodeRows: PassingEnsemble, @unchecked Sendable {
    /// Bytes of a piece.
    static let pieceBytes = 1 << 20
    /// Bytes below which the collectives of the run are used.
    static let fewestBytes = 1024

    let whole: any Ensemble
    private let own: any Ensemble
    private let talk: (any MessagePassing)?  // nil on one node
    private let table: NodeTable
    private let slots: [UnsafeMutableRawPointer]  // [2 R], pieceBytes each
    private let sources: [[UnsafePointer<Float>]]  // [2][R], the same as floats
    private var contributions: [UnsafePointer<Float>]  // [N]
    private let messages = PostedMessages(tag: ExchangeTag.rows)
    private let scratch: UnsafeMutablePointer<Float>  // [N - 1, piece], contributions of other nodes
    private var arena = Arena()
    private var turn = 0

    /// The bytes of each region that it takes from a node's memory.
    static func regions(ranks: Int) -> [Int] { [2 * ranks * pieceBytes] }

    /// Gathers among the ranks of `whole`, those of this node being `own`, through the node's `memory`.
    init(in memory: NodeMemory, table: NodeTable, own: any Ensemble, whole: any Ensemble) {
        (self.whole, self.own, self.table) = (whole, own, table)
        talk = table.count > 1 ? whole as? any MessagePassing : nil
        let bytes = Self.pieceBytes
        let memory = memory.take(UInt8.self, 2 * own.size * bytes)
        guard let base = UnsafeMutableRawPointer(memory.baseAddress) else { preconditionFailure("NodeRows: no memory") }
        let slots = (0..<2 * own.size).map { base + $0 * bytes }
        self.slots = slots
        let size = own.size
        sources = (0..<2).map { turn in
            (0..<size).map { UnsafePointer(slots[turn * size + $0].assumingMemoryBound(to: Float.self)) }
        }
        var arena = Arena()
        scratch = arena.floats((table.count - 1) * bytes / 4)
        contributions = Array(repeating: UnsafePointer(scratch), count: table.count)
        swap(&self.arena, &arena)
    }

    func allGather(
        _ own: UnsafeRawBufferPointer, counts: UnsafeBufferPointer<Int>, into: UnsafeMutableRawBufferPointer
    ) throws {
        let total = counts.reduce(0, +)
        if total < Self.fewestBytes { return try whole.allGather(own, counts: counts, into: into) }
        precondition(counts.count == size, "allGather: \(counts.count) counts for \(size) ranks")
        precondition(own.count == counts[rank], "allGather: \(own.count) bytes of rank \(rank), not \(counts[rank])")
        precondition(into.count >= total, "allGather: \(total) bytes into \(into.count)")
        let start = counts[..<rank].reduce(0, +)
        try forEachPiece(of: total, of: Self.pieceBytes) { piece in
            let area = slots[turn * self.own.size]  // of the node's first rank
            let part = (start..<start + own.count).clamped(to: piece)
            if !part.isEmpty, let base = own.baseAddress {
                (area + part.lowerBound - piece.lowerBound).copyMemory(
                    from: base + part.lowerBound - start, byteCount: part.count)
            }
            try passOn(counts, piece, through: area)
            try meet()
            if let base = into.baseAddress {
                (base + piece.lowerBound).copyMemory(from: area, byteCount: piece.count)
            }
        }
    }

    func reduceScatterSum(
        _ send: UnsafeBufferPointer<Float>, counts: UnsafeBufferPointer<Int>, into: UnsafeMutableBufferPointer<Float>
    ) throws {
        let total = counts.reduce(0, +)
        if 4 * total < Self.fewestBytes { return try whole.reduceScatterSum(send, counts: counts, into: into) }
        precondition(counts.count == size, "reduceScatterSum: \(counts.count) counts for \(size) ranks")
        precondition(send.count == total, "reduceScatterSum: \(send.count) values, counts add up to \(total)")
        precondition(into.count >= counts[rank], "reduceScatterSum: \(counts[rank]) values into \(into.count)")
        let start = counts[..<rank].reduce(0, +)
        try forEachPiece(of: total, of: Self.pieceBytes / 4) { piece in
            let slot = slots[turn * own.size + table.place].assumingMemoryBound(to: Float.self)
            if let base = send.baseAddress { slot.update(from: base + piece.lowerBound, count: piece.count) }
            try meet()
            let part = (start..<start + counts[rank]).clamped(to: piece)
            let sums = part.lowerBound - piece.lowerBound..<part.upperBound - piece.lowerBound
            sumOverNode(sums, into: slot)
            try exchangeSums(counts, piece, slot, own: part.count)
            guard !part.isEmpty, let result = into.baseAddress else { return }
            for node in contributions.indices where node != table.node {
                contributions[node] = UnsafePointer(scratch + (node < table.node ? node : node - 1) * part.count)
            }
            contributions[table.node] = UnsafePointer(slot + sums.lowerBound)
            OptimizerKernels.sum(contributions, over: 0..<part.count, into: result + part.lowerBound - start)
        }
    }

    // ---- pieces ------------------------------------------------------------------------------------------------------

    /// Calls `body` with ranges of at most `length` that cover `0..<total`, each with slots of its own.
    private func forEachPiece(of total: Int, of length: Int, _ body: (Range<Int>) throws -> Void) throws {
        for start in stride(from: 0, to: total, by: length) {
            turn = 1 - turn
            try body(start..<min(start + length, total))
        }
    }

    /// Makes a part of this rank's slot the sum over the ranks of the node.
    private func sumOverNode(_ part: Range<Int>, into slot: UnsafeMutablePointer<Float>) {
        if own.size > 1, !part.isEmpty { OptimizerKernels.sum(sources[turn], over: part, into: slot) }
    }

    private func meet() throws { if own.size > 1 { try own.barrier() } }

    /// Sends this rank's part of a piece to a rank of every other node, and receives from there what this rank receives
    /// for its node.
    private func passOn(
        _ counts: UnsafeBufferPointer<Int>, _ piece: Range<Int>, through area: UnsafeMutableRawPointer
    ) throws {
        guard let talk else { return }
        messages.clear()
        forEachPart(counts, of: piece) { source, part in
            let bytes = UnsafeMutableRawBufferPointer(
                start: area + part.lowerBound - piece.lowerBound, count: part.count)
            if source == rank {
                for node in 0..<table.count where node != table.node {
                    messages.send(bytes, to: table.partner(of: rank, on: node))
                }
            } else if table.nodes[source] != table.node, table.partner(of: source, on: table.node) == rank {
                messages.receive(bytes, from: source)
            }
        }
        try talk.begin(messages)
        try talk.finishAllReduces()
    }

    /// Sends the node's sums of what belongs to ranks of other nodes, as far as this rank does that for its node, and
    /// receives into `scratch` what the other nodes have summed for this rank, `count` floats each.
    private func exchangeSums(
        _ counts: UnsafeBufferPointer<Int>, _ piece: Range<Int>, _ slot: UnsafeMutablePointer<Float>, own count: Int
    ) throws {
        guard let talk else { return }
        messages.clear()
        forEachPart(counts, of: piece) { target, part in
            guard table.nodes[target] != table.node, table.partner(of: target, on: table.node) == rank else { return }
            let sums = part.lowerBound - piece.lowerBound..<part.upperBound - piece.lowerBound
            sumOverNode(sums, into: slot)
            messages.send(
                UnsafeMutableRawBufferPointer(start: slot + sums.lowerBound, count: 4 * sums.count), to: target)
        }
        for node in 0..<table.count where node != table.node && count > 0 {
            let place = node < table.node ? node : node - 1
            messages.receive(
                UnsafeMutableRawBufferPointer(start: scratch + place * count, count: 4 * count),
                from: table.partner(of: rank, on: node))
        }
        try talk.begin(messages)
        try talk.finishAllReduces()
    }

    /// Calls `body` with each rank that has a part of `piece`, and that part.
    @inline(__always)
    private func forEachPart(
        _ counts: UnsafeBufferPointer<Int>, of piece: Range<Int>, _ body: (_ rank: Int, _ part: Range<Int>) -> Void
    ) {
        var end = 0
        for rank in counts.indices {
            let part = (end..<end + counts[rank]).clamped(to: piece)
            end += counts[rank]
            if !part.isEmpty { body(rank, part) }
        }
    }
}
