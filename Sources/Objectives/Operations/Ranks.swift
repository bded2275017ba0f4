// Operations of the tape between ranks. All are Collective, and so are their adjoints.

import TuttiEnsemble
import TuttiKernels

extension Tape {
    /// The rows of all ranks, in the order of ranks: `[b, D]` to `[N, D]`. Collective.
    ///
    /// Every rank's use of the rows counts: the adjoint is the reduce-scatter sum.
    public func gatherRows(_ x: TapeValue) throws -> TapeValue {
        let (ranks, own) = (ranks, contiguous(x.matrix))
        let result = newMatrix(ranks.total, x.columns)
        try ranks.gatherRows(own, into: result)
        return record(result, from: [x], isCollective: true) { [unowned self] d in
            let mine = newMatrix(x.rows, x.columns)
            try ranks.gatherRowsAdjoint(d, into: mine)
            add(gradient: mine, to: x)
        }
    }

    /// The sum over ranks, on every rank. Collective.
    public func sumRanks(_ x: TapeValue) throws -> TapeValue {
        let result = newMatrix(x.rows, x.columns)
        result.copy(from: x.matrix)
        try sumOverRanks(result)
        return record(result, from: [x], isCollective: true) { [unowned self] d in
            try sumOverRanks(d)
            add(gradient: d, to: x)
        }
    }

    /// What every rank has computed alike, returned by one of them: x on rank zero, zero elsewhere.
    public func once(_ x: TapeValue) -> TapeValue { scaled(x, by: context.ensemble.isRoot ? 1 : 0) }

    /// A count or another number without a gradient, summed over ranks. Collective.
    public func sumOverRanks(_ value: Double) throws -> Double { try ranks.sumRanks(value) }

    /// The largest of the ranks' numbers. Collective.
    public func maxOverRanks(_ value: Double) throws -> Double { try ranks.maxRanks(value) }

    /// Whole numbers of each row, of all ranks: for text keys and classes. Collective.
    public func gatherKeys(_ own: UnsafeBufferPointer<UInt64>) throws -> UnsafeBufferPointer<UInt64> {
        precondition(own.count == batch.rows, "Tape: \(own.count) keys for \(batch.rows) rows")
        let total = UnsafeMutableBufferPointer(start: arena.uint64s(ranks.total), count: ranks.total)
        try ranks.gatherKeys(own, into: total)
        return UnsafeBufferPointer(total)
    }

    private func sumOverRanks(_ matrix: Matrix) throws {
        try context.ensemble.allReduceSum(
            UnsafeMutableBufferPointer(start: matrix.pointer, count: matrix.rows * matrix.columns))
    }

    private func contiguous(_ matrix: Matrix) -> Matrix {
        if matrix.isContiguous { return matrix }
        let copy = newMatrix(matrix.rows, matrix.columns)
        copy.copy(from: matrix)
        return copy
    }
}
