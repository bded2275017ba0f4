// Messages: every rank keeps all arenas to itself, and gradients travel while the backward pass goes on.
//
// The encoder reports every finished slice in the order of the layout; adjacent slices are merged into buckets of at
// least `minimumBucket` floats, and each bucket is a plain range of the arena: no copies, no negotiation, the same
// order on every rank. Of the word table only the rows that some rank touched travel, packed, at the end. Each rank
// then holds the whole sum and updates everything.
//
// With `optimizer_sharding: all` each rank updates every W-th chunk only, whose state it alone has, and its values are
// gathered afterwards. The sum is the same.
//
// One rank alone is the same path without messages.

import TuttiEncoders
import TuttiEnsemble
import TuttiKernels

/// The sum of all ranks' gradients by messages, bucket by bucket.
package final class Messages: Exchange {
    package let placement: Placement
    package let summary: String
    package var ranks: any Ensemble { ensemble }

    private let parameters: ParameterStore
    private let ensemble: any Ensemble
    /// Floats that are worth a message of their own: 4 MB.
    private let minimumBucket: Int
    private let chunks: ArenaChunks
    private let squares: UnsafeMutableBufferPointer<Double>  // [chunks]
    private let packed: UnsafeMutableBufferPointer<Float>  // [minimumBucket], where touched rows travel
    private let sent: UnsafeMutableBufferPointer<Float>  // [chunk], values that travel; empty if every rank has all
    private var arena = Arena()
    private var pending = 0..<0
    private var lengths: [Int]  // [W] bytes of one call
    private var failure: (any Error)?

    init(
        _ parameters: ParameterStore, stateCount: Int, sharding: OptimizerSharding, among ensemble: any Ensemble,
        minimumBucket: Int = 1 << 20
    ) {
        self.parameters = parameters
        self.ensemble = ensemble
        self.minimumBucket = minimumBucket
        parameters.allocateGradients()
        var arena = Arena()
        func floats(_ count: Int) -> UnsafeMutableBufferPointer<Float> {
            UnsafeMutableBufferPointer(start: arena.zeros(count), count: count)
        }
        let chunks = ArenaChunks(parameters.layout)
        let (rank, size) = sharding == .all ? (ensemble.rank, ensemble.size) : (0, 1)
        let stored = StoredChunks(of: chunks) { $0 % size == rank }
        let state = (0..<stateCount).map { _ in StateArena(stored, floats(stored.floats)) }
        squares = UnsafeMutableBufferPointer(start: arena.doubles(chunks.count), count: chunks.count)
        packed = floats(ensemble.size > 1 ? min(minimumBucket, parameters.touched.table.count) : 0)
        sent = floats(size > 1 ? OptimizerKernels.chunk : 0)
        self.chunks = chunks
        let table = parameters.touched.table
        let values = size > 1 ? " and \(sizeInWords(4 * stored.floats)) of values" : ""
        summary =
            "summed by messages; \(sizeInWords(4 * (parameters.layout.count - table.count))) of gradients\(values) a step"
            + (table.isEmpty ? "" : ", and the touched rows of the word table")
        placement = Placement(
            state: state, shard: chunks.dealt(from: rank, by: size), isWriter: true,
            holders: size > 1 ? (0..<chunks.count).map { $0 % size } : [])
        lengths = [Int](repeating: 0, count: ensemble.size)
        swap(&self.arena, &arena)
    }

    package func finished(_ slice: Range<Int>) {
        let table = parameters.touched.table
        queue(slice.clamped(to: 0..<table.lowerBound))
        queue(slice.clamped(to: table.upperBound..<max(table.upperBound, slice.upperBound)))
    }

    package func sum() throws -> GradientNorms {
        flush()
        if let failure {
            self.failure = nil
            throw failure
        }
        try ensemble.finishAllReduces()
        if ensemble.size > 1 { try ensemble.allReduceSum(parameters.touched.marks) }
        parameters.touched.collect()
        if ensemble.size > 1 { try sumTouchedRows() }
        Parallel.forRange(chunks.count, grain: 1) { places in
            for chunk in places {
                squares[chunk] = OptimizerKernels.sumOfSquares { add in
                    parameters.touched.forEachStretch(in: chunks.range(chunk)) {
                        add(UnsafeBufferPointer(rebasing: parameters.gradients[$0]))
                    }
                }
            }
        }
        return chunks.norms(squares)
    }

    /// Gathers the values of all shards: W neighboring chunks at a time, one of each rank.
    package func publish() throws {
        if sent.isEmpty { return }
        for first in stride(from: 0, to: chunks.count, by: ensemble.size) {
            for rank in lengths.indices {
                lengths[rank] = first + rank < chunks.count ? 4 * chunks.range(first + rank).count : 0
            }
            let own = lengths[ensemble.rank] / 4
            if own > 0 { _ = sent.update(fromContentsOf: parameters.values[chunks.range(first + ensemble.rank)]) }
            let last = min(first + ensemble.size, chunks.count) - 1
            let all = chunks.range(first).lowerBound..<chunks.range(last).upperBound
            try lengths.withUnsafeBufferPointer { lengths in
                try ensemble.allGather(
                    UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(sent)[..<(4 * own)]), counts: lengths,
                    into: UnsafeMutableRawBufferPointer(UnsafeMutableBufferPointer(rebasing: parameters.values[all])))
            }
        }
    }

    /// Sums the touched rows of the word table, packed into messages of at most `minimumBucket` floats.
    private func sumTouchedRows() throws {
        var left = parameters.touched.table
        while !left.isEmpty {
            let part = parameters.touched.longestPrefix(of: left, floats: packed.count)
            var count = 0
            forEachTouched(in: part) { gradients in
                _ = packed[count...].update(fromContentsOf: gradients)
                count += gradients.count
            }
            if count > 0 { try ensemble.allReduceSum(UnsafeMutableBufferPointer(rebasing: packed[..<count])) }
            count = 0
            forEachTouched(in: part) { gradients in
                _ = gradients.update(fromContentsOf: packed[count..<count + gradients.count])
                count += gradients.count
            }
            left = part.upperBound..<left.upperBound
        }
    }

    private func forEachTouched(in range: Range<Int>, _ body: (UnsafeMutableBufferPointer<Float>) -> Void) {
        parameters.touched.forEachStretch(in: range) {
            body(UnsafeMutableBufferPointer(rebasing: parameters.gradients[$0]))
        }
    }

    private func queue(_ slice: Range<Int>) {
        if slice.isEmpty { return }
        if pending.isEmpty {
            pending = slice
        } else if pending.upperBound == slice.lowerBound {
            pending = pending.lowerBound..<slice.upperBound
        } else {
            flush()
            pending = slice
        }
        if pending.count >= minimumBucket { flush() }
    }

    private func flush() {
        guard !pending.isEmpty, failure == nil else { return }
        do {
            try ensemble.beginAllReduceSum(UnsafeMutableBufferPointer(rebasing: parameters.gradients[pending]))
        } catch {
            failure = error  // backward cannot throw; sum() reports it
        }
        pending = 0..<0
    }
}
