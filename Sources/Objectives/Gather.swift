// Gather: the scaling law, in types.
//
// A value that W ranks compute together is one of three things:
//   Sharded     each rank holds its own rows;
//   Partial     each rank holds a summand: the true value is the sum over ranks;
//   Replicated  each rank holds the true value.
// Every operation between them has one adjoint, and the type of what follows decides which. Gathered rows that are
// consumed into a Partial loss receive Partial gradients, so the adjoint of the gather is a reduce-scatter *sum*; where
// the consumer ends Replicated, the gradient is already whole on every rank and the adjoint is the own slice. Picking
// the wrong one of the two is the error by W or 1 / W of three in seven published recipes; here it does not compile.
// W itself appears in no formula: losses divide by global denominators, and the reducer sums.
//
// Legend: `W` ranks, `b` rows on this rank, `N` rows of all ranks.

import TuttiEnsemble
import TuttiKernels

/// A value of which each rank holds its own rows.
public struct Sharded<Value> {
    /// This rank's rows.
    public let own: Value

    /// Declares that `own` is this rank's rows.
    public init(_ own: Value) { self.own = own }
}

/// A value of which each rank holds a summand.
public struct Partial<Value> {
    /// This rank's summand.
    public let summand: Value

    /// Declares that the true value is the sum of the ranks' summands.
    public init(_ summand: Value) { self.summand = summand }
}

/// A value that every rank holds.
public struct Replicated<Value> {
    /// The true value.
    public let value: Value

    /// Declares that every rank holds `value`.
    public init(_ value: Value) { self.value = value }
}

/// How the rows of a batch are dealt to the ranks, and the exchange of row matrices among them.
public struct RankGather {
    private let ensemble: any Ensemble
    private let rows: UnsafeMutableBufferPointer<Int>  // [W]
    private let lengths: UnsafeMutableBufferPointer<Int>  // [W] floats or bytes of one call

    /// Rows of all ranks, `N`.
    public let total: Int

    /// The place of this rank's first row among those of all ranks.
    public let offset: Int

    /// This rank's rows, `b`.
    public let own: Int

    /// Learns how many rows each rank has; memory comes from `arena`. Collective.
    public init(rows own: Int, ensemble: any Ensemble, arena: inout Arena) throws {
        self.ensemble = ensemble
        self.own = own
        rows = Self.integers(ensemble.size, &arena)
        lengths = Self.integers(ensemble.size, &arena)
        try ensemble.gatherCounts(own, into: rows)
        total = rows.reduce(0, +)
        offset = rows[..<ensemble.rank].reduce(0, +)
    }

    /// Rows of one of the ranks.
    public func rows(of rank: Int) -> Int { rows[rank] }

    /// Rows of all ranks, in the order of ranks. Collective.
    ///
    /// - Parameter into: receives them, `[N, D]`, without gaps between rows.
    public func gatherRows(_ matrix: Sharded<Matrix>, into: Matrix) throws -> Replicated<Matrix> {
        let source = matrix.own
        requireRows(source, own, "gatherRows own")
        requireRows(into, total, "gatherRows into")
        precondition(source.columns == into.columns, "gatherRows: \(source.columns) columns into \(into.columns)")
        let rowBytes = source.columns * MemoryLayout<Float>.stride
        for rank in rows.indices { lengths[rank] = rows[rank] * rowBytes }
        try ensemble.allGather(
            UnsafeRawBufferPointer(start: source.pointer, count: own * rowBytes),
            counts: UnsafeBufferPointer(lengths),
            into: UnsafeMutableRawBufferPointer(start: into.pointer, count: total * rowBytes))
        return Replicated(into)
    }

    /// The adjoint of `gatherRows` where its consumer ends Partial: the sum over ranks, each keeping its own rows.
    /// Collective.
    ///
    /// - Parameters:
    ///   - gradient: this rank's summand of the derivative by the gathered rows, `[N, D]`.
    ///   - into: receives the derivative by this rank's rows, `[b, D]`.
    public func gatherRowsAdjoint(_ gradient: Partial<Matrix>, into: Matrix) throws -> Sharded<Matrix> {
        let source = gradient.summand
        requireRows(source, total, "gatherRowsAdjoint gradient")
        requireRows(into, own, "gatherRowsAdjoint into")
        precondition(source.columns == into.columns, "gatherRowsAdjoint: \(source.columns) into \(into.columns)")
        for rank in rows.indices { lengths[rank] = rows[rank] * source.columns }
        try ensemble.reduceScatterSum(
            UnsafeBufferPointer(start: source.pointer, count: total * source.columns),
            counts: UnsafeBufferPointer(lengths),
            into: UnsafeMutableBufferPointer(start: into.pointer, count: own * source.columns))
        return Sharded(into)
    }

    /// The adjoint of `gatherRows` where its consumer ends Replicated: the own slice, no exchange.
    public func gatherRowsAdjoint(_ gradient: Replicated<Matrix>) -> Sharded<Matrix> {
        requireRows(gradient.value, total, "gatherRowsAdjoint gradient")
        return Sharded(gradient.value.rows(offset..<offset + own))
    }

    /// A whole number of each row, of all ranks, `[b]` to `[N]`. Collective.
    public func gatherKeys(_ keys: UnsafeBufferPointer<UInt64>, into: UnsafeMutableBufferPointer<UInt64>) throws {
        precondition(keys.count == own && into.count == total, "gatherKeys: \(keys.count) of \(own), \(into.count)")
        for rank in rows.indices { lengths[rank] = rows[rank] * MemoryLayout<UInt64>.stride }
        try ensemble.allGather(
            UnsafeRawBufferPointer(keys), counts: UnsafeBufferPointer(lengths),
            into: UnsafeMutableRawBufferPointer(into))
    }

    /// The true value of a Partial number; its adjoint is the identity. Collective.
    public func sumRanks(_ value: Partial<Double>) throws -> Replicated<Double> {
        var sum = value.summand
        try withUnsafeMutablePointer(to: &sum) {
            try ensemble.allReduceSum(UnsafeMutableBufferPointer(start: $0, count: 1))
        }
        return Replicated(sum)
    }

    /// The largest of the ranks' numbers, for selections (no gradient flows through it). Collective.
    public func maxRanks(_ value: Sharded<Double>) throws -> Replicated<Double> {
        var largest = value.own
        try withUnsafeMutablePointer(to: &largest) {
            try ensemble.allReduceMax(UnsafeMutableBufferPointer(start: $0, count: 1))
        }
        return Replicated(largest)
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
