// Sums the gradient arena over ranks, slice by slice while the backward pass goes on, and takes its norm.
//
// The encoder reports every finished slice in the order of the layout; adjacent slices are merged into buckets of at
// least `minimumBucket` floats, and each bucket is a plain range of the arena: no copies, no negotiation, the same
// order on every rank. Of the word table only the rows that some rank touched travel, packed, at the end. Gradients are
// summed, never averaged: each rank's loss is already divided by the global denominator (decision 6 of
// Sources/README.md).

import TuttiEncoders
import TuttiEnsemble
import TuttiKernels

/// The sum of all ranks' gradients, bucket by bucket.
final class Reducer {
    private let parameters: ParameterStore
    private let ensemble: any Ensemble
    /// Floats that are worth a message of their own: 4 MB.
    private let minimumBucket: Int
    private var pending = 0..<0
    private var failure: (any Error)?
    private var arena = Arena()
    private let packed: UnsafeMutableBufferPointer<Float>  // [minimumBucket], where touched rows travel
    private let squares: UnsafeMutableBufferPointer<Double>  // [chunks], the sum of squares of each

    /// - Parameter parameters: the owner of the gradients, which have been allocated.
    init(_ parameters: ParameterStore, ensemble: any Ensemble, minimumBucket: Int = 1 << 20) {
        self.parameters = parameters
        self.ensemble = ensemble
        self.minimumBucket = minimumBucket
        let travelling = ensemble.size > 1 ? min(minimumBucket, parameters.touched.table.count) : 0
        packed = UnsafeMutableBufferPointer(start: arena.floats(travelling), count: travelling)
        let chunks = (parameters.layout.count + OptimizerKernels.chunk - 1) / OptimizerKernels.chunk
        squares = UnsafeMutableBufferPointer(start: arena.doubles(chunks), count: chunks)
    }

    /// Takes over a finished slice of the arena. Collective: all ranks report the same slices in the same order.
    func reduce(_ slice: Range<Int>) {
        let table = parameters.touched.table
        queue(slice.clamped(to: 0..<table.lowerBound))
        queue(slice.clamped(to: table.upperBound..<max(table.upperBound, slice.upperBound)))
    }

    /// Waits until the whole arena holds the sum over ranks; returns the norm of it, the same bits on every rank.
    /// Collective.
    func finish() throws -> Double {
        flush()
        if let failure {
            self.failure = nil
            throw failure
        }
        try ensemble.finishAllReduces()
        if ensemble.size > 1 { try ensemble.allReduceSum(parameters.touched.marks) }
        parameters.touched.collect()
        if ensemble.size > 1 { try sumTouchedRows() }
        return norm()
    }

    /// Sums the touched rows of the word table, packed into one message of at most `minimumBucket` floats after another.
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

    /// The norm of the gradient, from sums of squares of fixed chunks in a fixed order.
    private func norm() -> Double {
        Parallel.forRange(squares.count, grain: 1) { chunks in
            for chunk in chunks {
                let start = chunk * OptimizerKernels.chunk
                let range = start..<min(start + OptimizerKernels.chunk, parameters.layout.count)
                squares[chunk] = OptimizerKernels.sumOfSquares { add in
                    forEachTouched(in: range) { add(UnsafeBufferPointer($0)) }
                }
            }
        }
        return squares.reduce(0, +).squareRoot()
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
