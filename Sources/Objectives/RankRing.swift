// RankRing: in-batch negatives whose candidates travel round the ranks instead of being gathered.
//
// Every rank keeps its anchors and passes a block of candidates on, W - 1 times: each block meets each rank once. Pass
// one folds the scores into the statistics of the softmax; pass two sends the blocks round again beside their
// gradients, which grow on the way and end at home. A rank holds two blocks and two gradients however many ranks there
// are, for twice the products with candidates (the scores of pass one are not kept).
//
// Legend: `W` ranks, `r` this rank, `b` rows on this rank, `K` candidate columns, `B` rows of the largest rank, `D`
// width.

import TuttiEnsemble
import TuttiKernels

/// The fused contrastive loss over blocks that travel.
struct RankRing {
    let gather: RankGather
    let ensemble: any Ensemble

    /// This rank's part of the mean over all rows of the cross entropy of each anchor with its positive. Collective.
    ///
    /// - Parameters:
    ///   - rows: the anchors, then the positives, then the negatives, `[(1 + K) b, D]`.
    ///   - columns: text columns, `1 + K`.
    ///   - dRows: assigned the derivative of the whole loss by this rank's rows; nil = evaluation only.
    func softmaxCrossEntropy(
        _ rows: Matrix, columns: Int, scale: Double, dRows: Matrix?, arena: inout Arena
    ) throws -> Double {
        let (b, rank, size) = (gather.own, ensemble.rank, ensemble.size)
        let largest = (0..<size).map(gather.rows(of:)).max() ?? 0
        let height = (columns - 1) * largest  // K B: blocks of one size on all ranks
        let own = rows.rows(b..<columns * b)  // [K b, D]
        let isOwn = arena.int32s(b)
        let isOther = arena.int32s(b)
        for row in 0..<b { (isOwn[row], isOther[row]) = (Int32(row), -1) }
        let blocks = ContrastiveBlocks(
            anchors: rows.rows(0..<b), scale: Float(scale), factor: 1 / Double(gather.total),
            scratch: arena.floats(ContrastiveBlocks.scratchCount(rows: b, candidates: height)))

        var (here, next) = (arena.matrix(height, rows.columns), arena.matrix(height, rows.columns))  // [K B, D]
        func visit(_ body: (_ candidates: Matrix, _ positives: UnsafePointer<Int32>) throws -> Void) throws {
            here.rows(0..<own.rows).copy(from: own)
            for step in 0..<size {
                let owner = (rank + size - step) % size
                let candidates = here.rows(0..<(columns - 1) * gather.rows(of: owner))
                try body(candidates, UnsafePointer(owner == rank ? isOwn : isOther))
                if step < size - 1 { try rotate(&here, &next) }
            }
        }
        try visit { blocks.fold($0, positives: $1) }
        let value = blocks.loss()
        guard let dRows else { return value }

        dRows.fill(0)
        let dAnchors = dRows.rows(0..<b)  // [b, D]
        var (dHere, dNext) = (arena.matrix(height, rows.columns), arena.matrix(height, rows.columns))  // [K B, D]
        dHere.fill(0)
        try visit { candidates, positives in
            blocks.addGradient(candidates, positives: positives, to: dAnchors, dHere.rows(0..<candidates.rows))
            if size > 1 { try rotate(&dHere, &dNext) }
        }
        dRows.rows(b..<columns * b).copy(from: dHere.rows(0..<own.rows))
        return value
    }

    private func rotate(_ here: inout Matrix, _ next: inout Matrix) throws {
        let bytes = here.rows * here.columns * MemoryLayout<Float>.stride
        try ensemble.rotate(
            UnsafeRawBufferPointer(start: here.pointer, count: bytes),
            into: UnsafeMutableRawBufferPointer(start: next.pointer, count: bytes))
        swap(&here, &next)
    }
}
