// Gather: how row matrices cross ranks, and where the number of ranks would sneak in.
//
// THE LOSS IS THE SUM OF WHAT THE RANKS RETURN. So a rank that uses gathered rows makes a summand of their gradient, and
// the adjoint of the gather is the reduce-scatter *sum* of all ranks' summands, each rank keeping its own rows. To keep
// the own slice instead, or to divide by W, is the error of three in seven published recipes. What every rank computes
// in full, one of them returns (`Tape.once`). W appears in no formula: losses divide by global denominators, and the
// exchange sums. That it is so is held by laws over 1 to 4 ranks for every registered loss, each with a negative
// control (Tests/ObjectivesTests/LossLawTests.swift, tutti-world).
//
// In a run the ensemble that losses get carries rows in two levels, once a node (Training/Exchange/NodeRows.swift).
//
// Legend: `W` ranks, `b` rows on this rank, `N` rows of all ranks.

import TuttiEnsemble
import TuttiKernels

/// How the rows of a batch are dealt to the ranks, and the exchange of row matrices among them.
package struct RankGather {
    private let ensemble: any Ensemble
    private let rows: UnsafeMutableBufferPointer<Int>  // [W]
    private let lengths: UnsafeMutableBufferPointer<Int>  // [W] floats or bytes of one call

    /// Rows of all ranks, `N`.
    package let total: Int

    /// The place of this rank's first row among those of all ranks.
    package let offset: Int

    /// This rank's rows, `b`.
    package let own: Int

    /// Learns how many rows each rank has; memory comes from `arena`. Collective.
    package init(rows own: Int, ensemble: any Ensemble, arena: inout Arena) throws {
        self.ensemble = ensemble
        self.own = own
        rows = Self.integers(ensemble.size, &arena)
        lengths = Self.integers(ensemble.size, &arena)
        try ensemble.gatherCounts(own, into: rows)
        total = rows.reduce(0, +)
        offset = rows[..<ensemble.rank].reduce(0, +)
    }

    /// Rows of one of the ranks.
    package func rows(of rank: Int) -> Int { rows[rank] }

    /// Rows of all ranks, in the order of ranks. Collective.
    ///
    /// - Parameters:
    ///   - source: this rank's, `[b, D]`, without gaps between rows.
    ///   - into: receives those of all, `[N, D]`, without gaps between rows.
    package func gatherRows(_ source: Matrix, into: Matrix) throws {
        requireRows(source, own, "gatherRows own")
        requireRows(into, total, "gatherRows into")
        precondition(source.columns == into.columns, "gatherRows: \(source.columns) columns into \(into.columns)")
        let rowBytes = source.columns * MemoryLayout<Float>.stride
        for rank in rows.indices { lengths[rank] = rows[rank] * rowBytes }
        try ensemble.allGather(
            UnsafeRawBufferPointer(start: source.pointer, count: own * rowBytes),
            counts: UnsafeBufferPointer(lengths),
            into: UnsafeMutableRawBufferPointer(start: into.pointer, count: total * rowBytes))
    }

    /// The adjoint of `gatherRows`: the sum over ranks, each keeping its own rows. Collective.
    ///
    /// - Parameters:
    ///   - gradient: this rank's summand of the derivative by the gathered rows, `[N, D]`.
    ///   - into: receives the derivative by this rank's rows, `[b, D]`.
    package func gatherRowsAdjoint(_ gradient: Matrix, into: Matrix) throws {
        requireRows(gradient, total, "gatherRowsAdjoint gradient")
        requireRows(into, own, "gatherRowsAdjoint into")
        precondition(gradient.columns == into.columns, "gatherRowsAdjoint: \(gradient.columns) into \(into.columns)")
        for rank in rows.indices { lengths[rank] = rows[rank] * gradient.columns }
        try ensemble.reduceScatterSum(
            UnsafeBufferPointer(start: gradient.pointer, count: total * gradient.columns),
            counts: UnsafeBufferPointer(lengths),
            into: UnsafeMutableBufferPointer(start: into.pointer, count: own * gradient.columns))
    }

    /// A whole number of each row, of all ranks, `[b]` to `[N]`. Collective.
    package func gatherKeys(_ keys: UnsafeBufferPointer<UInt64>, into: UnsafeMutableBufferPointer<UInt64>) throws {
        precondition(keys.count == own && into.count == total, "gatherKeys: \(keys.count) of \(own), \(into.count)")
        for rank in rows.indices { lengths[rank] = rows[rank] * MemoryLayout<UInt64>.stride }
        try ensemble.allGather(
            UnsafeRawBufferPointer(keys), counts: UnsafeBufferPointer(lengths),
            into: UnsafeMutableRawBufferPointer(into))
    }

    /// The sum of the ranks' numbers. Collective.
    package func sumRanks(_ value: Double) throws -> Double {
        var sum = value
        try withUnsafeMutablePointer(to: &sum) {
            try ensemble.allReduceSum(UnsafeMutableBufferPointer(start: $0, count: 1))
        }
        return sum
    }

    /// The largest of the ranks' numbers, for selections (no gradient flows through it). Collective.
    package func maxRanks(_ value: Double) throws -> Double {
        var largest = value
        try withUnsafeMutablePointer(to: &largest) {
            try ensemble.allReduceMax(UnsafeMutableBufferPointer(start: $0, count: 1))
        }
        return largest
    }

    private func requireRows(_ matrix: Matrix, _ count: Int, _ name: String) {
        precondition(
            matrix.rows == count && matrix.isContiguous,
            "\(name): [\(matrix.rows), \(matrix.columns)] stride \(matrix.stride), expected \(count) rows without gaps")
    }

    private static func integers(_ count: Int, _ arena: inout Arena) -> UnsafeMutableBufferPointer<Int> {
        let memory = UnsafeMutableRawPointer(arena.uint64s(count)).bindMemory(to: Int.self, capacity: count)
        return UnsafeMutableBufferPointer(start: memory, count: count)
    }
}
