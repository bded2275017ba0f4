// Token vectors to one sentence vector: the six modes of sentence-transformers' Pooling module, over packed rows.

import CTuttiKernels

/// Pooling kernels over packed tokens: [T, D] -> [S, D] and back.
package enum Pooling {
    /// How a sentence vector is computed.
    package enum Mode: Int32, Sendable, CaseIterable {
        /// The first remaining token (the very first if none remains).
        case cls = 0
        /// The maximum of each column.
        case max = 1
        case mean = 2
        /// Sum over the square root of the number of tokens.
        case meanSqrtLength = 3
        /// Mean with weights 1, 2, ... L by position in the sequence.
        case weightedMean = 4
        /// The last token.
        case lastToken = 5
    }

    /// output [S, D] = pooled rows of x [T, D]; the first skip[s] tokens of a sequence (its prompt) are excluded. If
    /// no token remains: `cls` takes the first token, `max` gives -infinity, the others zeros (as the reference).
    package static func forward(
        _ mode: Mode, _ x: Matrix, offsets: UnsafePointer<Int32>, skip: UnsafePointer<Int32>? = nil, into output: Matrix
    ) {
        precondition(x.columns == output.columns, "Pooling: width \(x.columns) into \(output.columns)")
        Parallel.forRange(output.rows, grain: 4) { sequences in
            tutti_pool_forward(
                mode.rawValue, x.kernel, offsets, skip, output.kernel, sequences.kernel, Int64(x.columns))
        }
    }

    /// dX [T, D] += the adjoint of `forward`. dX accumulates (several modes may share one x): zero it first.
    package static func backward(
        _ mode: Mode, _ x: Matrix, offsets: UnsafePointer<Int32>, skip: UnsafePointer<Int32>? = nil, dOutput: Matrix,
        into dX: Matrix
    ) {
        precondition(dX.columns == dOutput.columns, "Pooling: gradient width \(dOutput.columns) into \(dX.columns)")
        Parallel.forRange(dOutput.rows, grain: 4) { sequences in
            tutti_pool_backward(
                mode.rawValue, x.kernel, offsets, skip, dOutput.kernel, dX.kernel, sequences.kernel,
                Int64(dX.columns))
        }
    }
}
