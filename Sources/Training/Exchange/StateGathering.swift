// StateGathering: parts of an optimizer's state that several memories keep together, put together on rank zero.
//
// A checkpoint holds the whole state. It may be more than a node is to keep, so it is gathered a few megabytes at a time,
// straight into the file (Optimizers/OptimizerFile.swift).

import TuttiEnsemble
import TuttiKernels

/// Collects ranges of sharded arenas on rank zero.
final class StateGathering {
    /// Floats of one call at most.
    static let most = 16 * OptimizerKernels.chunk

    private let placement: Placement
    private let ensemble: any MessagePassing
    private let messages = PostedMessages(tag: ExchangeTag.state)
    private let buffer: UnsafeMutablePointer<Float>  // [most] on rank zero
    private var arena = Arena()

    /// Gathers what `placement` says that the memories of `ensemble` have.
    init(_ placement: Placement, among ensemble: any MessagePassing) {
        (self.placement, self.ensemble) = (placement, ensemble)
        var arena = Arena()
        buffer = arena.floats(ensemble.isRoot ? Self.most : 0)
        swap(&self.arena, &arena)
    }

    /// Floats of a state arena: on rank zero valid until the next call, elsewhere none. Collective.
    ///
    /// - Parameters:
    ///   - range: not empty, at most `most` floats.
    ///   - arena: the index of the arena in the placement's state.
    func gather(_ range: Range<Int>, of arena: Int) throws -> UnsafeBufferPointer<Float> {
        precondition(!range.isEmpty && range.count <= Self.most, "StateGathering: \(range.count) floats")
        let own = placement.state[arena]
        messages.clear()
        for chunk in range.lowerBound / OptimizerKernels.chunk...(range.upperBound - 1) / OptimizerKernels.chunk {
            let start = chunk * OptimizerKernels.chunk
            let part = (start..<start + OptimizerKernels.chunk).clamped(to: range)
            let holder = placement.holders[chunk]
            if ensemble.isRoot {
                let target = UnsafeMutableBufferPointer(
                    start: buffer + (part.lowerBound - range.lowerBound), count: part.count)
                if holder == 0 {
                    _ = target.update(fromContentsOf: own[part])
                } else {
                    messages.receive(UnsafeMutableRawBufferPointer(target), from: holder)
                }
            } else if holder == ensemble.rank {
                messages.send(UnsafeMutableRawBufferPointer(own[part]), to: 0)
            }
        }
        try ensemble.begin(messages)
        try ensemble.finishAllReduces()
        return UnsafeBufferPointer(
            start: ensemble.isRoot ? UnsafePointer(buffer) : nil, count: ensemble.isRoot ? range.count : 0)
    }
}
