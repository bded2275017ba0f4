// LayerNorm, alone (embeddings) and fused with bias, dropout and residual (post-LN transformer blocks).
//
// Forward saves the sum before the norm, and mean and 1/std of each row; backward needs nothing else, dropout masks are
// recomputed. dgamma, dbeta, dbias are summed in a fixed number of row chunks and then over chunks in order.

import CTuttiKernels

/// LayerNorm and its adjoint, by rows.
package enum LayerNormKernels {
    /// Floats of scratch that `layerNormBackward` and `biasDropoutResidualLayerNormBackward` need for rows this wide.
    package static func layerNormBackwardScratch(columns: Int) -> Int { RowKernels.gradientChunks * 3 * columns }

    /// sum = residual + dropout(branch + bias); output = LayerNorm(sum), statistics saved for backward.
    /// `sum` may be `branch` (recommended); `output` may be `residual`. mean, rstd: [rows].
    package static func biasDropoutResidualLayerNorm(
        branch: Matrix, bias: UnsafePointer<Float>?, residual: Matrix, gamma: UnsafePointer<Float>,
        beta: UnsafePointer<Float>, epsilon: Float, dropout mask: DropoutMask?, sum: Matrix,
        mean: UnsafeMutablePointer<Float>, rstd: UnsafeMutablePointer<Float>, into output: Matrix
    ) {
        RowKernels.requireSameShape(branch, residual, "residual LayerNorm")
        RowKernels.requireSameShape(branch, sum, "residual LayerNorm")
        RowKernels.requireSameShape(branch, output, "residual LayerNorm")
        var norm = tutti_layernorm(
            gamma: gamma, beta: beta, epsilon: epsilon, mean: mean, rstd: rstd, dropout: DropoutMask.kernel(mask),
            carried: nil, carried_stride: 0)
        withUnsafePointer(to: &norm) { norm in
            Parallel.forRange(branch.rows, grain: RowKernels.grain(branch.columns)) { rows in
                tutti_residual_layernorm_forward(
                    norm, branch.kernel, bias, residual.kernel, sum.kernel, output.kernel, rows.kernel,
                    Int64(branch.columns))
            }
        }
    }

    /// dResidual = gradient of the sum, including `dCarried` if the sum itself is also carried on; dBranch = dResidual
    /// after dropout; dGamma, dBeta, dBias accumulate.
    /// `dResidual` may be `dOutput` or `dCarried`; without dropout `dBranch` may be `dResidual`.
    package static func biasDropoutResidualLayerNormBackward(
        dOutput: Matrix, dCarried: Matrix? = nil, sum: Matrix, mean: UnsafePointer<Float>, rstd: UnsafePointer<Float>,
        gamma: UnsafePointer<Float>, dropout mask: DropoutMask?, dResidual: Matrix, dBranch: Matrix,
        dGamma: UnsafeMutablePointer<Float>, dBeta: UnsafeMutablePointer<Float>, dBias: UnsafeMutablePointer<Float>?,
        scratch: UnsafeMutablePointer<Float>
    ) {
        RowKernels.requireSameShape(dOutput, sum, "residual LayerNorm backward")
        RowKernels.requireSameShape(dOutput, dResidual, "residual LayerNorm backward")
        RowKernels.requireSameShape(dOutput, dBranch, "residual LayerNorm backward")
        if let dCarried { RowKernels.requireSameShape(dOutput, dCarried, "residual LayerNorm backward") }
        let columns = sum.columns
        var norm = backwardOf(gamma: gamma, mean: mean, rstd: rstd, dropout: mask, carried: dCarried)
        withUnsafePointer(to: &norm) { norm in
            inChunks(rows: sum.rows, sums: 3 * columns, scratch: scratch) { rows, sums in
                tutti_residual_layernorm_backward(
                    norm, dOutput.kernel, sum.kernel, dResidual.kernel, dBranch.kernel, sums, rows.kernel,
                    Int64(columns))
            }
        }
        let partial = Matrix(scratch, RowKernels.gradientChunks, 3 * columns)
        RowKernels.biasGradient(partial.columns(0..<columns), into: dGamma)
        RowKernels.biasGradient(partial.columns(columns..<2 * columns), into: dBeta)
        if let dBias { RowKernels.biasGradient(partial.columns(2 * columns..<3 * columns), into: dBias) }
    }

    /// output = dropout(LayerNorm(x)), as BERT's embeddings; `output` may be `x` without a backward.
    package static func layerNorm(
        _ x: Matrix, gamma: UnsafePointer<Float>, beta: UnsafePointer<Float>, epsilon: Float,
        dropout mask: DropoutMask? = nil, mean: UnsafeMutablePointer<Float>, rstd: UnsafeMutablePointer<Float>,
        into output: Matrix
    ) {
        RowKernels.requireSameShape(x, output, "layerNorm")
        var norm = tutti_layernorm(
            gamma: gamma, beta: beta, epsilon: epsilon, mean: mean, rstd: rstd, dropout: DropoutMask.kernel(mask),
            carried: nil, carried_stride: 0)
        withUnsafePointer(to: &norm) { norm in
            Parallel.forRange(x.rows, grain: RowKernels.grain(x.columns)) { rows in
                tutti_layernorm_forward(norm, x.kernel, output.kernel, rows.kernel, Int64(x.columns))
            }
        }
    }

    /// The adjoint of `layerNorm`: dX assigned, dGamma and dBeta accumulate; `dX` may be `dOutput`.
    package static func layerNormBackward(
        dOutput: Matrix, x: Matrix, mean: UnsafePointer<Float>, rstd: UnsafePointer<Float>,
        gamma: UnsafePointer<Float>, dropout mask: DropoutMask? = nil, dX: Matrix,
        dGamma: UnsafeMutablePointer<Float>, dBeta: UnsafeMutablePointer<Float>, scratch: UnsafeMutablePointer<Float>
    ) {
        RowKernels.requireSameShape(dOutput, x, "layerNormBackward")
        RowKernels.requireSameShape(dOutput, dX, "layerNormBackward")
        let columns = x.columns
        var norm = backwardOf(gamma: gamma, mean: mean, rstd: rstd, dropout: mask)
        withUnsafePointer(to: &norm) { norm in
            inChunks(rows: x.rows, sums: 2 * columns, scratch: scratch) { rows, sums in
                tutti_layernorm_backward(
                    norm, dOutput.kernel, x.kernel, dX.kernel, sums, rows.kernel, Int64(columns))
            }
        }
        let partial = Matrix(scratch, RowKernels.gradientChunks, 2 * columns)
        RowKernels.biasGradient(partial.columns(0..<columns), into: dGamma)
        RowKernels.biasGradient(partial.columns(columns..<2 * columns), into: dBeta)
    }

    /// What the backward kernels read from a norm; they do not write the statistics.
    private static func backwardOf(
        gamma: UnsafePointer<Float>, mean: UnsafePointer<Float>, rstd: UnsafePointer<Float>, dropout: DropoutMask?,
        carried: Matrix? = nil
    ) -> tutti_layernorm {
        tutti_layernorm(
            gamma: gamma, beta: nil, epsilon: 0, mean: UnsafeMutablePointer(mutating: mean),
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
