// SharedNode: the ranks of one node keep ONE copy of the values, frozen ones among them, and of the optimizer's state, and
// a gradient arena for each rank that all can read. Each sums over ranks and updates only its shard, and nothing is copied
// anywhere.
//
// A shard is made of whole chunks of 64 K floats, dealt like cards: chunk c belongs to rank c mod W. Dense layers cost
// more than the word table with its untouched rows, and every rank gets its share of both.
//
// The sum happens at the end of the backward pass, between three meetings of the ranks: (1) all gradients are there;
// each rank sums its shard over all arenas, in the order of ranks, into its own; (2) all sums of squares are there;
// each rank updates its shard; (3) all values are there. Of the word table only touched rows are summed.
//
// Who may write when: a rank reads values from the start of a step to the end of its backward pass, and between steps
// (evaluation, saving). Values and state are written only between the second and the third meeting of a step, which
// every rank enters with its backward pass done and leaves when all shards are written; and by rank zero while the
// others wait (loading a checkpoint). Gradients and marks are written by their own rank only, and read by the others
// only between the first and the second meeting.

import Synchronization
import TuttiEncoders
import TuttiEnsemble
import TuttiKernels

/// The sum of all ranks' gradients in memory that they keep together, shard by shard.
package final class SharedNode: Exchange {
    package let placement: Placement
    package let summary = "summed in shared memory, a shard by each rank"
    package let ranks: any Ensemble

    let chunks: ArenaChunks
    private let isTree: Bool
    private let parameters: ParameterStore
    private let ensemble: any Ensemble
    private let squares: UnsafeMutableBufferPointer<Double>  // [chunks], of all ranks
    /// The gradient arena and the marked rows of every rank, in the order of ranks.
    private let gradientsOfRanks: [UnsafePointer<Float>]
    private let marksOfRanks: [UnsafeMutableBufferPointer<Float>]
    /// How far each rank's backward pass has come: floats of the arena, counted over all steps.
    private let progress: [UnsafeMutablePointer<Atomic<Int>>]
    private var steps = 0

    /// The bytes of each region that it takes.
    static func regions(_ parameters: ParameterStore, stateCount: Int, ranks: Int) -> [Int] {
        let chunks = ArenaChunks(parameters.layout)
        let arenas = 1 + stateCount + ranks  // values, state, gradients
        return [parameters.layout.frozenCount * 4] + Array(repeating: chunks.floats * 4, count: arenas)
            + Array(repeating: parameters.touched.marks.count * 4, count: ranks) + [chunks.count * 8]
            + Array(repeating: 64, count: ranks) + NodeRows.regions(ranks: ranks)
    }

    /// Lays everything into `memory`, in the same order on every rank; rank zero brings the values. Collective.
    ///
    /// - Parameters:
    ///   - isTree: whether ranks are added along a binary tree, rather than in their order.
    ///   - table: the nodes of the run.
    ///   - whole: all ranks of the run; nil if they are those of `ensemble`.
    init(
        _ parameters: ParameterStore, stateCount: Int, in memory: NodeMemory, isTree: Bool, table: NodeTable,
        among ensemble: any Ensemble, of whole: (any Ensemble)? = nil
    ) throws {
        self.isTree = isTree
        self.parameters = parameters
        self.ensemble = ensemble
        let chunks = ArenaChunks(parameters.layout)
        let frozen = memory.take(Float.self, parameters.layout.frozenCount)
        let values = memory.take(Float.self, chunks.floats)
        let all = StoredChunks(of: chunks)
        let state = (0..<stateCount).map { _ in StateArena(all, memory.take(Float.self, chunks.floats)) }
        let gradients = (0..<ensemble.size).map { _ in memory.take(Float.self, chunks.floats) }
        marksOfRanks = (0..<ensemble.size).map { _ in memory.take(Float.self, parameters.touched.marks.count) }
        squares = memory.take(Double.self, chunks.count)
        progress = (0..<ensemble.size).compactMap { _ in
            UnsafeMutableRawPointer(memory.take(UInt64.self, 8).baseAddress)?.bindMemory(
                to: Atomic<Int>.self, capacity: 1)
        }
        ranks = NodeRows(in: memory, table: table, own: ensemble, whole: whole ?? ensemble)
        gradientsOfRanks = gradients.compactMap { UnsafePointer($0.baseAddress) }
        self.chunks = chunks
        placement = Placement(
            state: state, shard: chunks.dealt(from: ensemble.rank, by: ensemble.size), isWriter: ensemble.isRoot,
            part: ensemble.rank, parts: ensemble.size)
        progress[ensemble.rank].initialize(to: Atomic(0))
        if ensemble.isRoot {
            _ = values.update(fromContentsOf: parameters.values)
            _ = frozen.update(fromContentsOf: parameters.frozenValues)
        }
        try ensemble.barrier()
        // Written by its own rank first: a node of several memories keeps it near.
        gradients[ensemble.rank].update(repeating: 0)
        parameters.move(
            values: values, gradients: gradients[ensemble.rank], marks: marksOfRanks[ensemble.rank], owner: memory)
        parameters.move(frozen: frozen, owner: memory)
    }

    /// Nothing: the others read the slice where it lies, at the end.
    package func finished(_ slice: Range<Int>) {}

    package func sum() throws -> GradientNorms {
        try ensemble.barrier()  // the first meeting
        parameters.touched.collect(from: marksOfRanks)
        Parallel.forRange(placement.shard.count, grain: 1) { places in
            for chunk in placement.shard[places] { sumAndSquare(chunk) }
        }
        try ensemble.barrier()  // the second
        return chunks.norms(squares)
    }

    // ---- the same in parts, for several nodes ------------------------------------------------------------------------

    /// This rank's gradients are final up to this float of the arena.
    func report(finished end: Int) {
        progress[ensemble.rank].pointee.store(steps * chunks.floats + end, ordering: .releasing)
    }

    /// Whether the gradients of all ranks of the node are final up to this float of the arena.
    func hasFinished(_ end: Int) -> Bool {
        let wanted = steps * chunks.floats + end
        return progress.allSatisfy { $0.pointee.load(ordering: .acquiring) >= wanted }
    }

    /// The first meeting; then `marks` of all ranks of the node may be read.
    func meet() throws -> [UnsafeMutableBufferPointer<Float>] {
        try ensemble.barrier()
        return marksOfRanks
    }

    /// Makes this rank's arena hold the sum over the node in its shard from float `start` on; the touched rows must have
    /// been collected.
    func sumShard(from start: Int) {
        if gradientsOfRanks.count == 1 { return }
        Parallel.forRange(placement.shard.count, grain: 1) { places in
            for chunk in placement.shard[places] where chunk.upperBound > start {
                parameters.touched.forEachStretch(in: max(chunk.lowerBound, start)..<chunk.upperBound, sumStretch)
            }
        }
    }

    /// The norms of the gradients in the shards of the node's ranks, or in parts of them. The second meeting.
    ///
    /// - Parameters:
    ///   - part: the chunks that this rank answers for; its shard if nil.
    ///   - across: where other nodes answer for the other chunks, whose numbers are `elsewhere`: one rank of each node.
    func norms(
        of part: [Range<Int>]? = nil, elsewhere: [Int] = [], across: (any Ensemble)? = nil
    ) throws -> GradientNorms {
        let part = part ?? placement.shard
        Parallel.forRange(part.count, grain: 1) { places in
            for chunk in part[places] {
                squares[chunk.lowerBound / OptimizerKernels.chunk] = OptimizerKernels.sumOfSquares { add in
                    parameters.touched.forEachStretch(in: chunk) {
                        add(UnsafeBufferPointer(rebasing: parameters.gradients[$0]))
                    }
                }
            }
        }
        try ensemble.barrier()
        if let across {
            if ensemble.isRoot {
                for chunk in elsewhere { squares[chunk] = 0 }
                try across.allReduceSum(squares)
            }
            try ensemble.barrier()
        }
        steps += 1
        return chunks.norms(squares)
    }

    package func publish() throws { try ensemble.barrier() }  // the third

    /// Between the second meeting and the third sums may be read by every rank of the node.
    package func bringSum(of range: Range<Int>) {
        guard ensemble.size > 1, let own = parameters.gradients.baseAddress else { return }
        let first = range.lowerBound / OptimizerKernels.chunk
        for chunk in first..<max(first, (range.upperBound + OptimizerKernels.chunk - 1) / OptimizerKernels.chunk) {
            let holder = chunk % ensemble.size
            if holder == ensemble.rank { continue }
            let part = chunks.range(chunk).clamped(to: range)
            (own + part.lowerBound).update(from: gradientsOfRanks[holder] + part.lowerBound, count: part.count)
        }
    }

    /// Makes this rank's arena hold the sum over ranks in a chunk of its shard, and takes the chunk's sum of squares.
    private func sumAndSquare(_ chunk: Range<Int>) {
        squares[chunk.lowerBound / OptimizerKernels.chunk] = OptimizerKernels.sumOfSquares { add in
            parameters.touched.forEachStretch(in: chunk) { stretch in
                sumStretch(stretch)
                add(UnsafeBufferPointer(rebasing: parameters.gradients[stretch]))
            }
        }
    }

    /// Makes this rank's arena hold the sum over the node in a part of its shard.
    func sumStretch(_ stretch: Range<Int>) {
        if gradientsOfRanks.count > 1, let own = parameters.gradients.baseAddress {
            if isTree {
                OptimizerKernels.sumTree(gradientsOfRanks, over: stretch, into: own)
            } else {
                OptimizerKernels.sum(gradientsOfRanks, over: stretch, into: own)
            }
        }
    }
}
