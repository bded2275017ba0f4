// Row-wise kernels: thin Swift wrappers of the C loops that split rows (or columns) over threads. Nothing allocates.
//
// Parameter gradients accumulate; activation gradients are assigned, unless stated otherwise. In sums over rows,
// either columns are split over threads or a fixed number of row chunks is added in order, so that any number of
// threads gives the same bits.

import CTuttiKernels

/// Activation functions, as torch computes them.
package enum Activation: Int32, Sendable, CaseIterable {
    case identity = 0
    /// 0.5 u (1 + erf(u / sqrt 2))
    case gelu = 1
    /// The tanh form of GELU ("gelu_new", "gelu_pytorch_tanh").
    case geluTanh = 2
    case relu = 3
    case silu = 4
    case tanh = 5
    case sigmoid = 6
    /// u sigmoid(1.702 u)
    case quickGELU = 7
    case relu6 = 8
    /// Slope 0.01 below zero.
    case leakyReLU = 9
    /// u tanh(ln(1 + e^u))
    case mish = 10
    /// u min(max(u + 3, 0), 6) / 6
    case hardSwish = 11
    /// relu(u)^2
    case reluSquared = 12
}

/// The half of a gated feed-forward's pre-activation that the activation applies to; the other half is its factor.
package enum GatedHalf: Int32, Sendable {
    case first = 0
    case second = 1
}

/// The biases of both halves of a gated pre-activation, [F] each; they need not be adjacent.
package struct GatedBias {
    let first, second: UnsafePointer<Float>

    /// The biases of both halves; nil if one is missing.
    package init?(_ first: UnsafePointer<Float>?, _ second: UnsafePointer<Float>?) {
        guard let first, let second else { return nil }
        (self.first, self.second) = (first, second)
    }

    /// Calls `body` with the C form; null = no biases.
    static func withKernel(_ bias: GatedBias?, _ body: (UnsafePointer<tutti_gate_bias>?) -> Void) {
        guard let bias else { return body(nil) }
        var kernel = tutti_gate_bias(first: bias.first, second: bias.second)
        withUnsafePointer(to: &kernel) { body($0) }
    }
}

/// Allocation-free kernels over the rows of matrices.
package enum RowKernels {
    /// Row chunks that gradient sums of norms are split into, whatever the number of threads.
    static let gradientChunks = 16

    /// Rows per work item, so that it costs some tens of microseconds.
    static func grain(_ columns: Int) -> Int { max(1, 16_384 / max(columns, 1)) }

    /// x += bias on every row.
    package static func addBias(_ x: Matrix, bias: UnsafePointer<Float>) {
        Parallel.forRange(x.rows, grain: grain(x.columns)) { rows in
            tutti_add_bias(x.kernel, bias, rows.kernel, Int64(x.columns))
        }
    }

    /// dBias [columns] += column sums of dY.
    package static func biasGradient(_ dY: Matrix, into dBias: UnsafeMutablePointer<Float>) {
        Parallel.forRange((dY.columns + 15) / 16, grain: 4) { blocks in
            let columns = blocks.lowerBound * 16..<min(blocks.upperBound * 16, dY.columns)
            tutti_column_sums(dY.kernel, Int64(dY.rows), columns.kernel, dBias)
        }
    }

    /// output = f(x + bias); `x` is kept, so that backward can recompute from it. `output` may be `x` without backward.
    package static func activation(
        _ kind: Activation, _ x: Matrix, bias: UnsafePointer<Float>? = nil, into output: Matrix
    ) {
        requireSameShape(x, output, "activation")
        Parallel.forRange(x.rows, grain: grain(x.columns)) { rows in
            tutti_activation_forward(
                kind.rawValue, x.kernel, bias, output.kernel, rows.kernel, Int64(x.columns))
        }
    }

    /// dX = dOutput * f'(x + bias), recomputed from the pre-activation; `dX` may be `dOutput`.
    package static func activationBackward(
        _ kind: Activation, _ x: Matrix, bias: UnsafePointer<Float>? = nil, dOutput: Matrix, into dX: Matrix
    ) {
        requireSameShape(x, dOutput, "activationBackward")
        requireSameShape(x, dX, "activationBackward")
        Parallel.forRange(x.rows, grain: grain(x.columns)) { rows in
            tutti_activation_backward(
                kind.rawValue, x.kernel, bias, dOutput.kernel, dX.kernel, rows.kernel, Int64(x.columns))
        }
    }

    /// dOutput *= f'(x + bias), and activated = f(x + bias): what backward needs of an activation, in one pass.
    package static func activationWithGradient(
        _ kind: Activation, _ x: Matrix, bias: UnsafePointer<Float>? = nil, dOutput: Matrix, activated: Matrix
    ) {
        requireSameShape(x, dOutput, "activationWithGradient")
        requireSameShape(x, activated, "activationWithGradient")
        Parallel.forRange(x.rows, grain: grain(x.columns)) { rows in
            tutti_activation_both(
                kind.rawValue, x.kernel, bias, dOutput.kernel, activated.kernel, rows.kernel, Int64(x.columns))
        }
    }

    /// output [R, F] = f(u) * v of the halves u and v of x + bias [R, 2 F]; `x` is kept, unless `output` is one of its halves.
    package static func gated(
        _ kind: Activation, of half: GatedHalf, _ x: Matrix, bias: GatedBias? = nil, into output: Matrix
    ) {
        requireHalf(output, x, "gated")
        GatedBias.withKernel(bias) { bias in
            Parallel.forRange(x.rows, grain: grain(x.columns)) { rows in
                tutti_gated_forward(
                    kind.rawValue, half.rawValue, x.kernel, bias, output.kernel, rows.kernel, Int64(output.columns))
            }
        }
    }

    /// The adjoint of `gated`, in place: x [R, 2 F] becomes the gradient of both halves, and dOutput [R, F] the output
    /// again, for the weight gradient of the next product.
    package static func gatedWithGradient(
        _ kind: Activation, of half: GatedHalf, _ x: Matrix, bias: GatedBias? = nil, dOutput: Matrix
    ) {
        requireHalf(dOutput, x, "gatedWithGradient")
        GatedBias.withKernel(bias) { bias in
            Parallel.forRange(x.rows, grain: grain(x.columns)) { rows in
                tutti_gated_backward(
                    kind.rawValue, half.rawValue, x.kernel, bias, dOutput.kernel, rows.kernel, Int64(dOutput.columns))
            }
        }
    }

    /// output = dropout(x), and also its adjoint: dX = dropout(dY). `output` may be `x`; without a mask it copies.
    package static func dropout(_ x: Matrix, _ mask: DropoutMask?, into output: Matrix) {
        requireSameShape(x, output, "dropout")
        let dropout = DropoutMask.kernel(mask)
        if dropout.keys == nil && x.pointer == output.pointer && x.stride == output.stride { return }
        Parallel.forRange(x.rows, grain: grain(x.columns)) { rows in
            tutti_dropout_rows(x.kernel, output.kernel, rows.kernel, Int64(x.columns), dropout)
        }
    }

    /// x [T, D] += uniform noise in +-alpha / sqrt(L D), L the tokens of a sequence: a function of its keys, as a mask is.
    package static func addNoise(_ x: Matrix, alpha: Float, _ mask: DropoutMask) {
        let keys = DropoutMask.kernel(mask)
        Parallel.forRange(x.rows, grain: grain(x.columns)) { rows in
            tutti_noise_rows(x.kernel, rows.kernel, Int64(x.columns), alpha, keys)
        }
    }

    /// x = softmax of every row.
    package static func softmax(_ x: Matrix) {
        Parallel.forRange(x.rows, grain: grain(x.columns)) { rows in
            tutti_softmax_rows(x.kernel, rows.kernel, Int64(x.columns))
        }
    }

    /// norms [rows] = L2 norms of the rows of x; output = x / max(norm, epsilon), as F.normalize. `output` may be `x`.
    package static func normalize(
        _ x: Matrix, norms: UnsafeMutablePointer<Float>, epsilon: Float = 1e-12, into output: Matrix
    ) {
        requireSameShape(x, output, "normalize")
        Parallel.forRange(x.rows, grain: grain(x.columns)) { rows in
            tutti_normalize_forward(x.kernel, output.kernel, norms, epsilon, rows.kernel, Int64(x.columns))
        }
    }

    /// The adjoint of `normalize` from its output y and its norms; `dX` may be `dY`.
    package static func normalizeBackward(
        _ y: Matrix, norms: UnsafePointer<Float>, dY: Matrix, epsilon: Float = 1e-12, into dX: Matrix
    ) {
        requireSameShape(y, dY, "normalizeBackward")
        requireSameShape(y, dX, "normalizeBackward")
        Parallel.forRange(y.rows, grain: grain(y.columns)) { rows in
            tutti_normalize_backward(
                y.kernel, norms, dY.kernel, dX.kernel, epsilon, rows.kernel, Int64(y.columns))
        }
    }

    private static func requireHalf(_ half: Matrix, _ whole: Matrix, _ name: String) {
        precondition(
            half.rows == whole.rows && 2 * half.columns == whole.columns,
            "\(name): [\(half.rows), \(half.columns)] is not half of [\(whole.rows), \(whole.columns)]")
    }

    /// Both matrices must have the same shape: otherwise it is a bug of the caller.
    static func requireSameShape(_ a: Matrix, _ b: Matrix, _ name: String) {
        precondition(
            a.rows == b.rows && a.columns == b.columns,
            "\(name): [\(a.rows), \(a.columns)] against [\(b.rows), \(b.columns)]")
    }
}
