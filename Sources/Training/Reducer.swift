// All-reduces the gradient arena slice by slice while the backward pass goes on.
//
// The encoder reports every finished slice in the order of the layout; adjacent slices are merged into buckets of at
// least `minimumBucket` floats, and each bucket is a plain range of the arena: no copies, no negotiation, the same
// order on every rank. Gradients are summed, never averaged: each rank's loss is already divided by the global
// denominator (decision 6 of Sources/README.md).

import TuttiEnsemble

/// The sum of all ranks' gradients, bucket by bucket.
final class Reducer {
    private let gradients: UnsafeMutableBufferPointer<Float>
    private let ensemble: any Ensemble
    /// Floats that are worth a message of their own: 4 MB.
    private let minimumBucket: Int
    private var pending = 0..<0
    private var failure: (any Error)?

    /// - Parameter gradients: the gradient arena; it must outlive the reducer.
    init(gradients: UnsafeMutableBufferPointer<Float>, ensemble: any Ensemble, minimumBucket: Int = 1 << 20) {
        self.gradients = gradients
        self.ensemble = ensemble
        self.minimumBucket = minimumBucket
    }

    /// Takes over a finished slice of the arena. Collective: all ranks report the same slices in the same order.
    func reduce(_ slice: Range<Int>) {
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

    /// Waits until the whole arena holds the sum over ranks. Collective.
    func finish() throws {
        flush()
        if let failure {
            self.failure = nil
            throw failure
        }
        try ensemble.finishAllReduces()
    }

    private func flush() {
        guard !pending.isEmpty, failure == nil else { return }
        do {
            try ensemble.beginAllReduceSum(UnsafeMutableBufferPointer(rebasing: gradients[pending]))
        } catch {
            failure = error  // backward cannot throw; finish() reports it
        }
        pending = 0..<0
    }
}
