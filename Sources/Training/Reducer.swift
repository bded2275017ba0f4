// Sums the gradient arena over ranks and takes its norm. Two ways, by where the arenas lie (TrainingMemory.swift).
//
// By messages, while the backward pass goes on: the encoder reports every finished slice in the order of the layout;
// adjacent slices are merged into buckets of at least `minimumBucket` floats, and each bucket is a plain range of the
// arena: no copies, no negotiation, the same order on every rank. Of the word table only the rows that some rank
// touched travel, packed, at the end.
//
// In shared memory, at the end of the backward pass, between three meetings of the ranks: (1) all gradients are there;
// each rank sums its shard over all arenas, in the order of ranks, into its own; (2) all sums of squares are there;
// each rank updates its shard; (3) all values are there. Here too, of the word table only touched rows are summed.
//
// Gradients are summed, never averaged: each rank's loss is already divided by the global denominator (decision 6 of
// Sources/README.md).

import TuttiEncoders
import TuttiEnsemble
import TuttiKernels

/// The sum of all ranks' gradients, bucket by bucket.
final class Reducer {
    private let memory: TrainingMemory
    private let parameters: ParameterStore
    private let ensemble: any Ensemble
    /// Floats that are worth a message of their own: 4 MB.
    private let minimumBucket: Int
    private var pending = 0..<0
    private var failure: (any Error)?
    private var arena = Arena()
    private let packed: UnsafeMutableBufferPointer<Float>  // [minimumBucket], where touched rows travel

    init(_ memory: TrainingMemory, ensemble: any Ensemble, minimumBucket: Int = 1 << 20) {
        self.memory = memory
        parameters = memory.parameters
        self.ensemble = ensemble
        self.minimumBucket = minimumBucket
        let travelling = ensemble.size > 1 ? min(minimumBucket, parameters.touched.table.count) : 0
        packed = UnsafeMutableBufferPointer(start: arena.floats(travelling), count: travelling)
    }

    /// Takes over a finished slice of the arena. Collective: all ranks report the same slices in the same order.
    func reduce(_ slice: Range<Int>) {
        if memory.isShared { return }
        let table = parameters.touched.table
        queue(slice.clamped(to: 0..<table.lowerBound))
        queue(slice.clamped(to: table.upperBound..<max(table.upperBound, slice.upperBound)))
    }

    /// Norms of the summed gradient: of the model's own parameters, and with those that losses own.
    struct Norms {
        var model: Double
        var all: Double
    }

    /// Waits until this rank's shard of the arena holds the sum over ranks; returns the norms of the whole sum, the same
    /// bits on every rank. Collective.
    func finish() throws -> Norms {
        if memory.isShared {
            try ensemble.barrier()  // the first meeting
            parameters.touched.collect(from: memory.marksOfRanks)
        } else {
            try finishMessages()
        }
        Parallel.forRange(memory.shard.count, grain: 1) { places in
            for chunk in memory.shard[places] { sumAndSquare(chunk) }
        }
        if memory.isShared { try ensemble.barrier() }  // the second
        // Parameters of losses begin with a chunk of their own.
        let chunk = OptimizerKernels.chunk
        let modelChunks = min(memory.squares.count, (parameters.layout.modelCount + chunk - 1) / chunk)
        let model = memory.squares[..<modelChunks].reduce(0, +)
        return Norms(model: model.squareRoot(), all: memory.squares[modelChunks...].reduce(model, +).squareRoot())
    }

    /// Returns when every rank has updated its shard: values may be read again. Collective.
    func meetAfterUpdate() throws {
        if memory.isShared { try ensemble.barrier() }  // the third
    }

    /// Makes this rank's arena hold the sum over ranks in a chunk of its shard, and takes the chunk's sum of squares.
    private func sumAndSquare(_ chunk: Range<Int>) {
        memory.squares[chunk.lowerBound / OptimizerKernels.chunk] = OptimizerKernels.sumOfSquares { add in
            parameters.touched.forEachStretch(in: chunk) { stretch in
                if memory.isShared, let own = parameters.gradients.baseAddress {
                    OptimizerKernels.sum(memory.gradientsOfRanks, over: stretch, into: own)
                }
                add(UnsafeBufferPointer(rebasing: parameters.gradients[stretch]))
            }
        }
    }

    private func finishMessages() throws {
        flush()
        if let failure {
            self.failure = nil
            throw failure
        }
        try ensemble.finishAllReduces()
        if ensemble.size > 1 { try ensemble.allReduceSum(parameters.touched.marks) }
        parameters.touched.collect()
        if ensemble.size > 1 { try sumTouchedRows() }
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
            failure = error  // backward cannot throw; finish() reports it
        }
        pending = 0..<0
    }
}
