// Softmax cross entropy with in-batch negatives, tiled: never all scores at once.
//
// Each row of anchors is scored against all candidates (anchor columns of every rank: M can be large). Row tiles of 512
// are scored against candidate tiles of 4096. Pass one folds running maxima and sums; with a single candidate tile the
// scores are kept for the gradient, otherwise pass two recomputes them. The loss of a row is log1p(sum
// exp(s_j - s_pos)) in fp64, exact if the positive wins by far and stable if it loses.

import CTuttiKernels

/// The fused contrastive loss.
package enum Contrastive {
    /// Rows per tile.
    static let rowTile = 512
    /// Candidates per tile.
    static let candidateTile = 4096

    /// Floats of scratch for `softmaxCrossEntropy` of these sizes.
    package static func scratchCount(rows: Int, candidates: Int) -> Int {
        let rows = min(rows, rowTile)
        return rows * min(candidates, candidateTile) + 8 * (rows + 16)
    }

    /// factor * sum over rows of log1p(sum_{j != pos} exp(s_j - s_pos)), s = scale * anchors candidates^T.
    ///
    /// Shapes: anchors [b, D], candidates [M, D], positives [b] (candidate of each row), dAnchors [b, D] (assigned),
    /// dCandidates [M, D] (assigned, or accumulated on request). Pass 1 / N as factor for a mean over N global rows.
    /// Gradients are computed where they are given, times `weight`; dCandidates only beside dAnchors. `bias` [M] is added to the scores of the candidates,
    /// and `dBias` [M] accumulates. `scratch`: `scratchCount` floats, 8-byte aligned.
    package static func softmaxCrossEntropy(
        anchors: Matrix, candidates: Matrix, positives: UnsafePointer<Int32>, scale: Float, factor: Double,
        weight: Double = 1, bias: UnsafePointer<Float>? = nil, dAnchors: Matrix? = nil, dCandidates: Matrix? = nil,
        accumulateCandidates: Bool = false, dBias: UnsafeMutablePointer<Float>? = nil,
        scratch: UnsafeMutablePointer<Float>
    ) -> Double {
        precondition(
            anchors.columns == candidates.columns,
            "softmaxCrossEntropy: widths \(anchors.columns) and \(candidates.columns)")
        precondition(
            dAnchors != nil || dCandidates == nil, "softmaxCrossEntropy: a gradient of the candidates alone")
        for r in 0..<anchors.rows {
            precondition(
                positives[r] >= 0 && Int(positives[r]) < candidates.rows,
                "softmaxCrossEntropy: positive \(positives[r]) of row \(r) outside 0 ..< \(candidates.rows)")
        }
        if let dAnchors { RowKernels.requireSameShape(anchors, dAnchors, "softmaxCrossEntropy dAnchors") }
        if let dCandidates {
            RowKernels.requireSameShape(candidates, dCandidates, "softmaxCrossEntropy dCandidates")
            if !accumulateCandidates { dCandidates.fill(0) }
        }
        var loss = 0.0
        for first in stride(from: 0, to: anchors.rows, by: rowTile) {
            let rows = first..<min(first + rowTile, anchors.rows)
            let statistics = RowStatistics(scratch, rows: rows.count)
            let tile = RowTile(
                anchors: anchors.rows(rows), candidates: candidates, positives: positives + first, scale: scale,
                bias: bias, factor: Float(factor * weight), statistics: statistics, scores: statistics.end)
            statistics.reset(rows.count)
            tile.fold()
            loss += statistics.losses(rows.count)
            if let dAnchors {
                tile.gradient(
                    dAnchors.rows(rows), dCandidates, dBias, beta: 0, scoresRemain: candidates.rows <= candidateTile)
            }
        }
        return factor * loss
    }
}

/// The same loss with candidates in blocks: fold all blocks, read the loss, then add their gradients.
package struct ContrastiveBlocks {
    private let anchors: Matrix  // [b, D]
    private let scale: Float
    private let factor: Double
    private let statistics: RowStatistics

    /// Floats of scratch for these anchors and blocks of at most `candidates` rows.
    package static func scratchCount(rows: Int, candidates: Int) -> Int {
        RowStatistics.count(rows: rows)
            + min(rows, Contrastive.rowTile) * min(candidates, Contrastive.candidateTile) + 16
    }

    /// Starts without candidates; the arguments are those of `Contrastive.softmaxCrossEntropy`.
    package init(anchors: Matrix, scale: Float, factor: Double, scratch: UnsafeMutablePointer<Float>) {
        self.anchors = anchors
        self.scale = scale
        self.factor = factor
        statistics = RowStatistics(scratch, rows: anchors.rows)
        statistics.reset(anchors.rows)
    }

    /// Folds a block.
    ///
    /// - Parameter positives: for each anchor the row of its positive in this block, or -1, `[b]`.
    package func fold(_ candidates: Matrix, positives: UnsafePointer<Int32>) {
        eachTile(candidates, positives) { _, tile in tile.fold() }
    }

    /// The loss, after every block has been folded.
    package func loss() -> Double { factor * statistics.losses(anchors.rows) }

    /// Adds the gradient of the loss with respect to a block, and its part of the gradient of the anchors.
    package func addGradient(
        _ candidates: Matrix, positives: UnsafePointer<Int32>, to dAnchors: Matrix, _ dCandidates: Matrix
    ) {
        RowKernels.requireSameShape(anchors, dAnchors, "ContrastiveBlocks dAnchors")
        RowKernels.requireSameShape(candidates, dCandidates, "ContrastiveBlocks dCandidates")
        eachTile(candidates, positives) { rows, tile in
            tile.gradient(dAnchors.rows(rows), dCandidates, nil, beta: 1, scoresRemain: false)
        }
    }

    private func eachTile(
        _ candidates: Matrix, _ positives: UnsafePointer<Int32>, _ body: (Range<Int>, RowTile) -> Void
    ) {
        precondition(
            anchors.columns == candidates.columns,
            "ContrastiveBlocks: widths \(anchors.columns) and \(candidates.columns)")
        for first in stride(from: 0, to: anchors.rows, by: Contrastive.rowTile) {
            let rows = first..<min(first + Contrastive.rowTile, anchors.rows)
            body(
                rows,
                RowTile(
                    anchors: anchors.rows(rows), candidates: candidates, positives: positives + first, scale: scale,
                    bias: nil, factor: Float(factor), statistics: statistics.from(first), scores: statistics.end))
        }
    }
}

/// The softmax statistics of each row over all its candidates.
private struct RowStatistics {
    let sums: UnsafeMutablePointer<Double>
    let losses: UnsafeMutablePointer<Double>
    let maximum: UnsafeMutablePointer<Float>
    let positiveScore: UnsafeMutablePointer<Float>
    /// The scratch memory after them.
    let end: UnsafeMutablePointer<Float>

    static func count(rows: Int) -> Int { 6 * ((rows + 15) & ~15) }

    init(_ scratch: UnsafeMutablePointer<Float>, rows: Int) {
        let rows = (rows + 15) & ~15
        // fp64 arrays first: they keep the scratch's alignment.
        sums = UnsafeMutableRawPointer(scratch).bindMemory(to: Double.self, capacity: rows)
        losses = UnsafeMutableRawPointer(scratch + 2 * rows).bindMemory(to: Double.self, capacity: rows)
        maximum = scratch + 4 * rows
        positiveScore = scratch + 5 * rows
        end = scratch + 6 * rows
    }

    private init(_ whole: RowStatistics, from first: Int) {
        sums = whole.sums + first
        losses = whole.losses + first
        maximum = whole.maximum + first
        positiveScore = whole.positiveScore + first
        end = whole.end
    }

    /// Those of the rows starting at `first`.
    func from(_ first: Int) -> RowStatistics { RowStatistics(self, from: first) }

    /// Resets to no candidates.
    func reset(_ rows: Int) {
        for r in 0..<rows {
            maximum[r] = -.infinity
            sums[r] = 0
            positiveScore[r] = 0
        }
    }

    /// Writes the row losses and returns their sum.
    func losses(_ rows: Int) -> Double {
        var state = kernel
        return tutti_contrastive_losses(Int64(rows), &state)
    }

    /// The C form.
    var kernel: tutti_row_losses {
        tutti_row_losses(maximum: maximum, sum: sums, positive_score: positiveScore, losses: losses)
    }
}

/// One row tile against the candidates of a block: the two passes.
private struct RowTile {
    let anchors: Matrix  // [r, D]
    let candidates: Matrix  // [M, D]
    let positives: UnsafePointer<Int32>
    let scale: Float
    let bias: UnsafePointer<Float>?
    let factor: Float
    let statistics: RowStatistics
    let scores: UnsafeMutablePointer<Float>  // [r, min(M, tile)]

    /// Pass one: folds every candidate tile.
    func fold() {
        eachTile { first, scores in
            score(first, scores)
            Parallel.forRange(anchors.rows, grain: RowKernels.grain(scores.columns)) { rows in
                var state = statistics.kernel
                tutti_contrastive_fold(
                    scores.kernel, rows.kernel, Int64(scores.columns), Int64(first), positives, &state)
            }
        }
    }

    /// Pass two: dAnchors assigned (beta 0) or accumulated (beta 1), dCandidates and dBias accumulated
    /// where they are wanted.
    ///
    /// - Parameter scoresRemain: the scores of the only candidate tile are those that `fold` has just made.
    func gradient(
        _ dAnchors: Matrix, _ dCandidates: Matrix?, _ dBias: UnsafeMutablePointer<Float>?, beta: Float,
        scoresRemain: Bool
    ) {
        eachTile { first, scores in
            if !scoresRemain { score(first, scores) }
            Parallel.forRange(anchors.rows, grain: RowKernels.grain(scores.columns)) { rows in
                var state = statistics.kernel
                tutti_contrastive_gradient(
                    scores.kernel, rows.kernel, Int64(scores.columns), Int64(first), positives, &state, factor)
            }
            let range = first..<first + scores.columns
            if let dBias { RowKernels.biasGradient(scores, into: dBias + first) }
            Gemm.multiply(scores, candidates.rows(range), into: dAnchors, alpha: scale, beta: first == 0 ? beta : 1)
            if let dCandidates {
                Gemm.multiply(scores, transposeA: true, anchors, into: dCandidates.rows(range), alpha: scale, beta: 1)
            }
        }
    }

    private func eachTile(_ body: (Int, Matrix) -> Void) {
        for first in stride(from: 0, to: candidates.rows, by: Contrastive.candidateTile) {
            let columns = min(Contrastive.candidateTile, candidates.rows - first)
            body(first, Matrix(scores, anchors.rows, columns))
        }
    }

    private func score(_ first: Int, _ scores: Matrix) {
        Gemm.multiply(
            anchors, candidates.rows(first..<first + scores.columns), transposeB: true, into: scores, alpha: scale)
        if let bias { RowKernels.addBias(scores, bias: bias + first) }
    }
}
