// Exchange: how the ranks of a run keep its arenas and add up their gradients. A value, chosen once a run and printed.
//
// Messages (ranks that keep memory of their own), SharedNode (ranks of one node that keep memory together) and TwoLevel
// (several such nodes); ExchangeChoice.swift chooses. A step knows none of them: it reports finished slices, asks for
// the sum, updates its shard, and says that it is done.
//
// Gradients are summed, never averaged: each rank's loss is already divided by the global denominator (decision 6 of
// Sources/README.md).

import TuttiEncoders
import TuttiEnsemble
import TuttiKernels

/// Norms of the summed gradient: of the model's own parameters, and with those that losses own.
package struct GradientNorms: Sendable, Equatable {
    /// Of the model's own.
    package var model: Double
    /// Of all.
    package var all: Double
}

/// Where an exchange has placed the arenas of a run, and what of them this rank is to do.
package struct Placement {
    /// The optimizer's arenas, as far as this rank's memory stores them, zeros.
    package var state: [StateArena]
    /// The chunks of the arenas that this rank sums and updates, ascending.
    package var shard: [Range<Int>]
    /// Whether this rank writes values and state where all ranks would write the same: one rank for memory of all.
    package var isWriter: Bool
    /// Where memories keep the state together: a rank whose memory has each chunk of it, rank zero where its memory does.
    /// Empty where every memory has all.
    package var holders: [Int] = []
    /// This rank's number among the ranks that update one memory together, and how many they are.
    package var part = 0
    package var parts = 1
}

/// A way to keep the arenas and to sum gradients over ranks. Making one places the arenas.
///
/// All ranks make the same calls in the same order; no call allocates.
package protocol Exchange: AnyObject {
    /// Where everything lies.
    var placement: Placement { get }

    /// What the run prints about it, a few words.
    var summary: String { get }

    /// The ranks of the run for its losses: their gathers of rows go the way of this exchange.
    var ranks: any Ensemble { get }

    /// Takes over a slice of the gradient arena that backward has finished.
    func finished(_ slice: Range<Int>)

    /// Returns when this rank's shard of the gradients holds the sum over ranks; the norms are those of the whole sum,
    /// the same bits on every rank. Collective.
    func sum() throws -> GradientNorms

    /// Makes this rank's gradients hold the sum over ranks in a range of the arena outside its shard too, where another rank
    /// of its memory has it. After `sum`, before any gradient is cleared.
    func bringSum(of range: Range<Int>)

    /// Returns when every rank has updated its shard: values may be read again. Collective.
    func publish() throws

    /// What it has to tell the user, once.
    func takeNotice() -> String?
}

extension Exchange {
    package func takeNotice() -> String? { nil }
    package func bringSum(of range: Range<Int>) {}
}

/// A number of bytes with one decimal: "43.4 MB", or "4.6 KB" below a megabyte.
func sizeInWords(_ bytes: Int) -> String {
    let (unit, name) = bytes < 1_000_000 ? (1e3, "KB") : (1e6, "MB")
    return "\((Double(bytes) / unit * 10).rounded() / 10) \(name)"
}

/// The arenas as whole chunks of 64 K floats, and their sums of squares.
struct ArenaChunks {
    /// Floats of an arena.
    let floats: Int
    /// Floats of the model's own parameters; those of losses begin with a chunk of their own.
    let modelFloats: Int

    init(_ layout: ParameterLayout) { (floats, modelFloats) = (layout.count, layout.modelCount) }

    /// Chunks of an arena.
    var count: Int { (floats + OptimizerKernels.chunk - 1) / OptimizerKernels.chunk }

    /// Every `step`-th chunk from `first` on, as floats of the arena.
    func dealt(from first: Int, by step: Int) -> [Range<Int>] {
        stride(from: first, to: count, by: step).map(range)
    }

    /// The floats of a chunk.
    @inline(__always)
    func range(_ chunk: Int) -> Range<Int> {
        let start = chunk * OptimizerKernels.chunk
        return start..<min(start + OptimizerKernels.chunk, floats)
    }

    /// The norms that the sums of squares of all chunks give.
    func norms(_ squares: UnsafeMutableBufferPointer<Double>) -> GradientNorms {
        let chunk = OptimizerKernels.chunk
        let modelChunks = min(squares.count, (modelFloats + chunk - 1) / chunk)
        let model = squares[..<modelChunks].reduce(0, +)
        return GradientNorms(
            model: model.squareRoot(), all: squares[modelChunks...].reduce(model, +).squareRoot())
    }
}
