// LayerNorm and RMSNorm, alone (embeddings) and fused with bias, dropout and residual (junctions of a transformer).
//
// Forward saves the sum before the norm, and mean and 1/std of each row; backward needs nothing else, dropout masks are
// recomputed. An RMSNorm has no mean and no beta. dgamma, dbeta, dbias are summed in a fixed number of row chunks and then over chunks in order.

import CTuttiKernels

/// What a norm computes from a row.
package enum NormKind: Int32, Sendable, CaseIterable {
    /// LayerNorm: (x - mean) / std * gamma + beta; some families have no beta.
    case layer = 0
    /// RMSNorm: x / sqrt(mean(x^2) + epsilon) * gamma.
    case rms = 1
    /// RMSNorm whose parameter is the scale less 1: ... * (1 + gamma).
    case shiftedRMS = 2
}

/// Norms and their adjoints, by rows.
package enum NormKernels {
    /// Floats of scratch that `normBackward` and `biasDropoutResidualNormBackward` need for rows this wide.
    package static func backwardScratch(columns: Int) -> Int { RowKernels.gradientChunks * 3 * columns }

    /// sum = residual + dropout(branch + bias); output = norm(sum), statistics saved for backward.
    /// `sum` may be `branch` (recommended); `output` may be `residual`. mean, rstd: [rows].
    package static func biasDropoutResidualNorm(
        _ kind: NormKind = .layer, branch: Matrix, bias: UnsafePointer<Float>?, residual: Matrix,
        gamma: UnsafePointer<Float>, beta: UnsafePointer<Float>?, epsilon: Float, dropout mask: DropoutMask?,
        sum: Matrix, mean: UnsafeMutablePointer<Float>, rstd: UnsafeMutablePointer<Float>, into output: Matrix
    ) {
        RowKernels.requireSameShape(branch, residual, "residual norm")
        RowKernels.requireSameShape(branch, sum, "residual norm")
        RowKernels.requireSameShape(branch, output, "residual norm")
        var norm = tutti_norm(
            kind: kind.rawValue, epsilon: epsilon, gamma: gamma, beta: beta, mean: mean, rstd: rstd,
            dropout: DropoutMask.kernel(mask),
            carried: nil, carried_stride: 0)
        withUnsafePointer(to: &norm) { norm in
            Parallel.forRange(branch.rows, grain: RowKernels.grain(branch.columns)) { rows in
                tutti_residual_norm_forward(
                    norm, branch.kernel, bias, residual.kernel, sum.kernel, output.kernel, rows.kernel,
                    Int64(branch.columns))
            }
        }
    }

    /// dResidual = gradient of the sum, including `dCarried` if the sum itself is also carried on; dBranch = dResidual
    /// after dropout; dGamma, dBeta, dBias accumulate where they are wanted.
    /// `dResidual` may be `dOutput` or `dCarried`; without dropout `dBranch` may be `dResidual`.
    package static func biasDropoutResidualNormBackward(
        _ kind: NormKind = .layer, dOutput: Matrix, dCarried: Matrix? = nil, sum: Matrix, mean: UnsafePointer<Float>,
        rstd: UnsafePointer<Float>, gamma: UnsafePointer<Float>, dropout mask: DropoutMask?, dResidual: Matrix,
        dBranch: Matrix, dGamma: UnsafeMutablePointer<Float>?, dBeta: UnsafeMutablePointer<Float>?,
        dBias: UnsafeMutablePointer<Float>?, scratch: UnsafeMutablePointer<Float>
    ) {
        RowKernels.requireSameShape(dOutput, sum, "residual norm backward")
        RowKernels.requireSameShape(dOutput, dResidual, "residual norm backward")
        RowKernels.requireSameShape(dOutput, dBranch, "residual norm backward")
        if let dCarried { RowKernels.requireSameShape(dOutput, dCarried, "residual norm backward") }
        let columns = sum.columns
        var norm = backwardOf(kind, gamma: gamma, mean: mean, rstd: rstd, dropout: mask, carried: dCarried)
        withUnsafePointer(to: &norm) { norm in
            inChunks(rows: sum.rows, sums: 3 * columns, scratch: scratch) { rows, sums in
                tutti_residual_norm_backward(
                    norm, dOutput.kernel, sum.kernel, dResidual.kernel, dBranch.kernel, sums, rows.kernel,
                    Int64(columns))
            }
        }
        let partial = Matrix(scratch, RowKernels.gradientChunks, 3 * columns)
        if let dGamma { RowKernels.biasGradient(partial.columns(0..<columns), into: dGamma) }
        if let dBeta { RowKernels.biasGradient(partial.columns(columns..<2 * columns), into: dBeta) }
        if let dBias { RowKernels.biasGradient(partial.columns(2 * columns..<3 * columns), into: dBias) }
    }

    /// output = dropout(norm(x)), as BERT's embeddings; `output` may be `x` without a backward.
    package static func norm(
        _ x: Matrix, _ kind: NormKind = .layer, gamma: UnsafePointer<Float>, beta: UnsafePointer<Float>?,
        epsilon: Float, dropout mask: DropoutMask? = nil, mean: UnsafeMutablePointer<Float>,
        rstd: UnsafeMutablePointer<Float>, into output: Matrix
    ) {
        RowKernels.requireSameShape(x, output, "norm")
        var norm = tutti_norm(
            kind: kind.rawValue, epsilon: epsilon, gamma: gamma, beta: beta, mean: mean, rstd: rstd,
            dropout: DropoutMask.kernel(mask),
            carried: nil, carried_stride: 0)
        withUnsafePointer(to: &norm) { norm in
            Parallel.forRange(x.rows, grain: RowKernels.grain(x.columns)) { rows in
                tutti_norm_forward(norm, x.kernel, output.kernel, rows.kernel, Int64(x.columns))
            }
        }
    }

    /// The adjoint of `norm`: dX assigned, dGamma and dBeta accumulate where they are wanted; `dX` may be `dOutput`.
    package static func normBackward(
        _ kind: NormKind = .layer, dOutput: Matrix, x: Matrix, mean: UnsafePointer<Float>, rstd: UnsafePointer<Float>,
        gamma: UnsafePointer<Float>, dropout mask: DropoutMask? = nil, dX: Matrix,
        dGamma: UnsafeMutablePointer<Float>?, dBeta: UnsafeMutablePointer<Float>?, scratch: UnsafeMutablePointer<Float>
    ) {
        RowKernels.requireSameShape(dOutput, x, "normBackward")
        RowKernels.requireSameShape(dOutput, dX, "normBackward")
        let columns = x.columns
        var norm = backwardOf(kind, gamma: gamma, mean: mean, rstd: rstd, dropout: mask)
        withUnsafePointer(to: &norm) { norm in
            inChunks(rows: x.rows, sums: 2 * columns, scratch: scratch) { rows, sums in
                tutti_norm_backward(
                    norm, dOutput.kernel, x.kernel, dX.kernel, sums, rows.kernel, Int64(columns))
            }
        }
        let partial = Matrix(scratch, RowKernels.gradientChunks, 2 * columns)
        if let dGamma { RowKernels.biasGradient(partial.columns(0..<columns), into: dGamma) }
        if let dBeta { RowKernels.biasGradient(partial.columns(columns..<2 * columns), into: dBeta) }
    }

    /// What the backward kernels read from a norm; they do not write the statistics.
    private static func backwardOf(
        _ kind: NormKind, gamma: UnsafePointer<Float>, mean: UnsafePointer<Float>, rstd: UnsafePointer<Float>,
        dropout: DropoutMask?,
        carried: Matrix? = nil
    ) -> tutti_norm {
        tutti_norm(
            kind: kind.rawValue, epsilon: 0, gamma: gamma, beta: nil, mean: UnsafeMutablePointer(mutating: mean),
            rstd: UnsafeMutablePointer(mutating: rstd), dropout: DropoutMask.kernel(dropout),
            carried: carried.map { UnsafePointer($0.pointer) }, carried_stride: Int64(carried?.stride ?? 0))
    }

    /// Runs `body` on each of the fixed row chunks with the chunk's own zeroed sums.
    private static func inChunks(
        rows: Int, sums: Int, scratch: UnsafeMutablePointer<Float>,
        _ body: (Range<Int>, UnsafeMutablePointer<Float>) -> Void
    ) {
        Parallel.forRange(RowKernels.gradientChunks, grain: 1) { chunks in
            for chunk in chunks {
                let own = scratch + chunk * sums
                own.update(repeating: 0, count: sums)
                body(chunk * rows / RowKernels.gradientChunks..<(chunk + 1) * rows / RowKernels.gradientChunks, own)
            }
        }
    }
}
