// Softmax cross entropy of in-batch negatives, tiled: never all scores at once.
//
// Each row of anchors is scored against all candidates (anchor columns of every rank: M can be large). Row tiles of 128
// meet candidate tiles of 4096. Pass one folds running maxima and sums; with everything in one candidate tile the scores
// stay for the gradient, otherwise pass two computes them again. The loss of a row is log1p(sum exp(s_j - s_pos)) in fp64,
// exact where the positive wins by far and stable where it loses.

import CTuttiKernels

/// The fused contrastive loss.
public enum Contrastive {
    /// Rows of a tile.
    static let rowTile = 128
    /// Candidates of a tile.
    static let candidateTile = 4096

    /// Floats of scratch for `softmaxCrossEntropy` of these sizes.
    public static func scratchCount(rows: Int, candidates: Int) -> Int {
        let rows = min(rows, rowTile)
        return rows * min(candidates, candidateTile) + 8 * (rows + 16)
    }

    /// factor * sum over rows of log1p(sum_{j != pos} exp(s_j - s_pos)), s = scale * anchors candidates^T.
    ///
    /// Shapes: anchors [b, D], candidates [M, D], positives [b] (candidate of each row), dAnchors [b, D] (assigned),
    /// dCandidates [M, D] (assigned, or accumulated on request). Pass 1 / N as factor for a mean over N global rows.
    /// Gradients are computed when both are given, times `weight`. `bias` [M] is added to the scores of the candidates,
    /// and `dBias` [M] to be accumulated. `scratch`: `scratchCount` floats, 8-byte aligned.
    public static func softmaxCrossEntropy(
        anchors: Matrix, candidates: Matrix, positives: UnsafePointer<Int32>, scale: Float, factor: Double,
        weight: Double = 1, bias: UnsafePointer<Float>? = nil, dAnchors: Matrix? = nil, dCandidates: Matrix? = nil,
        accumulateCandidates: Bool = false, dBias: UnsafeMutablePointer<Float>? = nil,
        scratch: UnsafeMutablePointer<Float>
    ) -> Double {
        precondition(
            anchors.columns == candidates.columns,
            "softmaxCrossEntropy: widths \(anchors.columns) and \(candidates.columns)")
        precondition(
            (dAnchors == nil) == (dCandidates == nil), "softmaxCrossEntropy: both gradients are wanted, or none")
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
            let tile = RowTile(
                anchors: anchors.rows(rows), candidates: candidates, positives: positives + first, scale: scale,
                bias: bias, factor: Float(factor * weight), scratch: scratch)
            loss += tile.loss()
            if let dAnchors, let dCandidates { tile.gradient(dAnchors.rows(rows), dCandidates, dBias) }
        }
        return factor * loss
    }
}

/// One row tile against all candidates: the two passes.
private struct RowTile {
    let anchors: Matrix  // [r, D]
    let candidates: Matrix  // [M, D]
    let positives: UnsafePointer<Int32>
    let scale: Float
    let bias: UnsafePointer<Float>?
    let factor: Float
    let scores: Matrix  // [r, min(M, tile)]
    let maximum: UnsafeMutablePointer<Float>
    let positiveScore: UnsafeMutablePointer<Float>
    let sums: UnsafeMutablePointer<Double>
    let losses: UnsafeMutablePointer<Double>

    init(
        anchors: Matrix, candidates: Matrix, positives: UnsafePointer<Int32>, scale: Float,
        bias: UnsafePointer<Float>?, factor: Float, scratch: UnsafeMutablePointer<Float>
    ) {
        self.anchors = anchors
        self.candidates = candidates
        self.positives = positives
        self.scale = scale
        self.bias = bias
        self.factor = factor
        let rows = (anchors.rows + 15) & ~15
        // fp64 arrays first: they keep the scratch's alignment.
        sums = UnsafeMutableRawPointer(scratch).bindMemory(to: Double.self, capacity: rows)
        losses = UnsafeMutableRawPointer(scratch + 2 * rows).bindMemory(to: Double.self, capacity: rows)
        maximum = scratch + 4 * rows
        positiveScore = scratch + 5 * rows
        scores = Matrix(scratch + 6 * rows, anchors.rows, min(candidates.rows, Contrastive.candidateTile))
    }

    /// Pass one: folds every candidate tile; returns the sum of the row losses.
    func loss() -> Double {
        for r in 0..<anchors.rows {
            maximum[r] = -.infinity
            sums[r] = 0
            positiveScore[r] = 0
        }
        eachTile { first, scores in
            score(first, scores)
            Parallel.forRange(anchors.rows, grain: RowKernels.grain(scores.columns)) { rows in
                let at = rows.lowerBound
                tutti_contrastive_fold(
                    scores.row(at), Int64(scores.stride), Int64(rows.count), Int64(scores.columns), Int64(first),
                    positives + at, maximum + at, sums + at, positiveScore + at)
            }
        }
        return tutti_contrastive_losses(Int64(anchors.rows), maximum, sums, positiveScore, losses)
    }

    /// Pass two: dAnchors assigned, dCandidates and dBias accumulated.
    func gradient(_ dAnchors: Matrix, _ dCandidates: Matrix, _ dBias: UnsafeMutablePointer<Float>?) {
        eachTile { first, scores in
            if candidates.rows > Contrastive.candidateTile { score(first, scores) }
            Parallel.forRange(anchors.rows, grain: RowKernels.grain(scores.columns)) { rows in
                let at = rows.lowerBound
                tutti_contrastive_gradient(
                    scores.row(at), Int64(scores.stride), Int64(rows.count), Int64(scores.columns), Int64(first),
                    positives + at, positiveScore + at, losses + at, factor)
            }
            let range = first..<first + scores.columns
            if let dBias { RowKernels.biasGradient(scores, into: dBias + first) }
            Gemm.multiply(scores, candidates.rows(range), into: dAnchors, alpha: scale, beta: first == 0 ? 0 : 1)
            Gemm.multiply(scores, transposeA: true, anchors, into: dCandidates.rows(range), alpha: scale, beta: 1)
        }
    }

    private func eachTile(_ body: (Int, Matrix) -> Void) {
        for first in stride(from: 0, to: candidates.rows, by: Contrastive.candidateTile) {
            let columns = min(Contrastive.candidateTile, candidates.rows - first)
            body(first, Matrix(scores.pointer, anchors.rows, columns))
        }
    }

    private func score(_ first: Int, _ scores: Matrix) {
        Gemm.multiply(
            anchors, candidates.rows(first..<first + scores.columns), transposeB: true, into: scores, alpha: scale)
        if let bias { RowKernels.addBias(scores, bias: bias + first) }
    }
}
