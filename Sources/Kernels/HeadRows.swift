// Heads of queries and keys between their projection and attention: rotate(norm(x + bias)), forward and backward.
//
// Each step is optional. Without a norm nothing is saved: the adjoint of the rotation is the rotation by the negative
// angle. The adjoint of the norm recomputes the root of each head from x. Sums over rows are made in a fixed number of
// chunks, which are added in order.
//
// Legend: T packed tokens, E head width, R rotated numbers of a head.

import CTuttiKernels

/// What happens to the heads in the rows of a matrix [T, heads * E].
package struct HeadRows: @unchecked Sendable {
    /// RMS norm over each head: x / rms(x) * (weight + shift).
    package struct Norm {
        /// [E]
        package var weight: UnsafePointer<Float>
        /// 0, or 1 where the weight is stored less one.
        package var shift: Float
        package var epsilon: Float

        package init(weight: UnsafePointer<Float>, shift: Float, epsilon: Float) {
            (self.weight, self.shift, self.epsilon) = (weight, shift, epsilon)
        }
    }

    /// Rotation of the leading `width` numbers of a head.
    package struct Rotation {
        /// [positions, R]: R / 2 cosines, then R / 2 sines.
        package var angles: UnsafePointer<Float>
        /// R, even.
        package var width: Int

        package init(angles: UnsafePointer<Float>, width: Int) { (self.angles, self.width) = (angles, width) }
    }

    package var heads: Int
    /// E.
    package var width: Int
    /// [heads, E]; nil = none.
    package var bias: UnsafePointer<Float>?
    package var norm: Norm?
    package var rotation: Rotation?
    /// [S + 1] row offsets of the sequences.
    package var offsets: UnsafePointer<Int32>
    /// S.
    package var sequences: Int

    package init(
        heads: Int, width: Int, bias: UnsafePointer<Float>? = nil, norm: Norm? = nil, rotation: Rotation? = nil,
        offsets: UnsafePointer<Int32>, sequences: Int
    ) {
        precondition(
            rotation.map { $0.width > 0 && $0.width % 2 == 0 && $0.width <= width } ?? true,
            "HeadRows: a rotation of \(rotation?.width ?? 0) of \(width)")
        self.heads = heads
        self.width = width
        self.bias = bias
        self.norm = norm
        self.rotation = rotation
        self.offsets = offsets
        self.sequences = sequences
    }

    /// Floats of scratch for `backward`.
    package var scratchCount: Int { norm == nil ? 0 : RowKernels.gradientChunks * width }

    /// output [T, heads * E]; it may be `x` if there is no norm or no backward.
    package func forward(_ x: Matrix, into output: Matrix) {
        requireShapes(x, output)
        var arguments = kernel
        withUnsafePointer(to: &arguments) { arguments in
            Parallel.forRange(x.rows, grain: RowKernels.grain(x.columns)) { rows in
                tutti_heads_forward(arguments, x.kernel, output.kernel, rows.kernel)
            }
        }
    }

    /// Replaces the gradient of the output by that of x, the forward's input; dWeight [E] accumulates if there is a norm
    /// and it is wanted.
    package func backward(
        _ x: Matrix, inPlace gradient: Matrix, dWeight: UnsafeMutablePointer<Float>?,
        scratch: UnsafeMutablePointer<Float>
    ) {
        requireShapes(x, gradient)
        var arguments = kernel
        withUnsafePointer(to: &arguments) { arguments in
            guard norm != nil else {
                return Parallel.forRange(x.rows, grain: RowKernels.grain(x.columns)) { rows in
                    tutti_heads_backward(arguments, x.kernel, gradient.kernel, nil, rows.kernel)
                }
            }
            let chunks = RowKernels.gradientChunks
            Parallel.forRange(chunks, grain: 1) { range in
                for chunk in range {
                    let own = scratch + chunk * width
                    own.update(repeating: 0, count: width)
                    let rows = chunk * x.rows / chunks..<(chunk + 1) * x.rows / chunks
                    tutti_heads_backward(arguments, x.kernel, gradient.kernel, own, rows.kernel)
                }
            }
            if let dWeight { RowKernels.biasGradient(Matrix(scratch, chunks, width), into: dWeight) }
        }
    }

    /// Rows `positions` of a table of angles [positions, 2 * frequencies], for `Rotation`.
    package static func fillAngles(
        frequencies: [Float], factor: Float, positions: Range<Int>, into table: inout [Float]
    ) {
        precondition(
            table.count >= positions.upperBound * 2 * frequencies.count, "HeadRows: a table of \(table.count) angles")
        frequencies.withUnsafeBufferPointer { frequencies in
            table.withUnsafeMutableBufferPointer { table in
                guard let from = frequencies.baseAddress, let to = table.baseAddress else { return }
                tutti_rotary_table(from, Int64(frequencies.count), factor, positions.kernel, to)
            }
        }
    }

    private var kernel: tutti_heads {
        tutti_heads(
            bias: bias, weight: norm?.weight, weight_shift: norm?.shift ?? 0, epsilon: norm?.epsilon ?? 0,
            angles: rotation?.angles, rotated: Int64(rotation?.width ?? 0), heads: Int64(heads), width: Int64(width),
            offsets: offsets, sequences: Int64(sequences))
    }

    private func requireShapes(_ x: Matrix, _ y: Matrix) {
        let tokens = Int(offsets[sequences])
        precondition(
            x.rows == tokens && y.rows == tokens && x.columns == heads * width && y.columns == heads * width,
            "HeadRows: [\(x.rows), \(x.columns)], [\(y.rows), \(y.columns)] for \(tokens) tokens, \(heads) heads of"
                + " \(width)")
    }
}
