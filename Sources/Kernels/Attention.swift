// Self-attention over packed sequences of any lengths, forward and backward.
//
// Own loops rather than small BLAS calls. Forward keeps each query's log-sum-exp; backward recomputes the probabilities
// from it, and dropout masks from their keys (FlashAttention's scheme, Dao et al. 2022, with whole rows: a block of
// queries against all keys of its head stays in cache up to thousands of tokens). The QKV bias is added while a head is
// packed, which saves a pass over [T, 3 D].

import CTuttiKernels

/// Packed variable-length self-attention.
package struct Attention: @unchecked Sendable {
    /// Heads H.
    package var heads: Int
    /// Width E of a head: a multiple of 8.
    package var width: Int
    /// [S + 1] row offsets of the sequences.
    package var offsets: UnsafePointer<Int32>
    /// S.
    package var sequences: Int
    /// Tokens of the longest sequence.
    package var longest: Int
    /// [3 D] bias added to qkv inside the kernel; nil = already added. Its gradient is `RowKernels.biasGradient(dQKV)`.
    package var bias: UnsafePointer<Float>?
    /// [H, 2 M - 1] relative-position biases, added to the scaled score (i, j) at j - i + M - 1; nil = none.
    package var positions: UnsafePointer<Float>?
    /// M, at least `longest`.
    package var maximum: Int
    /// Dropout of probabilities with one site key per sequence; element (h, i, j) has index (h * L + i) * L + j.
    package var dropout: DropoutMask?

    private static let chunks = 8

    /// Attention over these sequences.
    package init(
        heads: Int, width: Int, offsets: UnsafePointer<Int32>, sequences: Int, bias: UnsafePointer<Float>? = nil,
        positions: UnsafePointer<Float>? = nil, maximum: Int = 0, dropout: DropoutMask? = nil
    ) {
        precondition(width > 0 && width % 8 == 0, "Attention: head width \(width) is not a multiple of 8")
        self.heads = heads
        self.width = width
        self.offsets = offsets
        self.sequences = sequences
        self.bias = bias
        self.positions = positions
        self.maximum = maximum
        self.dropout = dropout
        longest = (0..<sequences).reduce(0) { Swift.max($0, Int(offsets[$1 + 1] - offsets[$1])) }
        precondition(
            positions == nil || longest <= maximum,
            "Attention: \(longest) tokens but relative positions for \(maximum)")
    }

    /// Floats of scratch for `forward` and `backward` with the current number of threads.
    package var scratchCount: Int {
        let own = Int(tutti_attention_scratch(Int64(longest), Int64(width))) * Parallel.threads
        return own + (positions == nil ? 0 : Self.chunks * heads * Swift.max(2 * longest - 1, 0))
    }

    /// context [T, D] and logSumExp ([H, L] per sequence, concatenated) from qkv [T, 3 D]; logSumExp may be nil
    /// without a backward.
    package func forward(
        qkv: Matrix, context: Matrix, logSumExp: UnsafeMutablePointer<Float>?, scratch: UnsafeMutablePointer<Float>
    ) {
        requireShapes(qkv, context)
        var arguments = kernel(qkv)
        let perThread = Int(tutti_attention_scratch(Int64(longest), Int64(width)))
        withUnsafePointer(to: &arguments) { arguments in
            Parallel.forRangeWithWorker(sequences * heads, grain: Swift.max(heads, 1)) { pairs, worker in
                tutti_attention_forward(
                    arguments, context.kernel, logSumExp, scratch + worker * perThread, pairs.kernel)
            }
        }
    }

    /// dQKV [T, 3 D] assigned from dContext, with the logSumExp of forward; dPositions [H, 2 M - 1] accumulates, in an
    /// order that does not depend on the number of threads.
    package func backward(
        qkv: Matrix, logSumExp: UnsafePointer<Float>, dContext: Matrix, dQKV: Matrix,
        dPositions: UnsafeMutablePointer<Float>? = nil, scratch: UnsafeMutablePointer<Float>
    ) {
        requireShapes(qkv, dContext)
        requireShapes(dQKV, dContext)
        var arguments = kernel(qkv)
        let perThread = Int(tutti_attention_scratch(Int64(longest), Int64(width)))
        let span = Swift.max(2 * longest - 1, 0)
        let partial: UnsafeMutablePointer<Float>? =
            dPositions == nil || positions == nil ? nil : scratch + perThread * Parallel.threads
        withUnsafePointer(to: &arguments) { arguments in
            // The position gradient sums over sequences: a fixed number of chunks owns one partial table each.
            let pieces = partial == nil ? sequences * heads : Self.chunks
            let grain = partial == nil ? Swift.max(heads, 1) : 1
            Parallel.forRangeWithWorker(pieces, grain: grain) { range, worker in
                guard let partial else {
                    run(range, nil, worker)
                    return
                }
                for chunk in range {
                    let own = partial + chunk * heads * span
                    own.update(repeating: 0, count: heads * span)
                    let first = chunk * sequences / Self.chunks
                    let end = (chunk + 1) * sequences / Self.chunks
                    run(first * heads..<end * heads, own, worker)
                }
            }
            func run(_ pairs: Range<Int>, _ table: UnsafeMutablePointer<Float>?, _ worker: Int) {
                tutti_attention_backward(
                    arguments, logSumExp, dContext.kernel, dQKV.kernel, table, Int64(longest),
                    scratch + worker * perThread, pairs.kernel)
            }
        }
        if let partial, let dPositions { addPartials(partial, span: span, into: dPositions) }
    }

    /// dPositions[h, centre +- ...] += partial tables, chunk by chunk.
    private func addPartials(
        _ partial: UnsafeMutablePointer<Float>, span: Int, into dPositions: UnsafeMutablePointer<Float>
    ) {
        for chunk in 0..<Self.chunks {
            for head in 0..<heads {
                tutti_add_scaled(
                    dPositions + head * (2 * maximum - 1) + (maximum - longest),
                    partial + (chunk * heads + head) * span, 1, Int64(span))
            }
        }
    }

    private func kernel(_ qkv: Matrix) -> tutti_attention {
        tutti_attention(
            qkv: qkv.kernel, bias: bias, positions: positions,
            maximum: Int64(maximum), offsets: offsets, heads: Int64(heads), width: Int64(width),
            scale: 1 / Float(width).squareRoot(), dropout: DropoutMask.kernel(dropout))
    }

    private func requireShapes(_ qkv: Matrix, _ context: Matrix) {
        let tokens = Int(offsets[sequences])
        precondition(
            qkv.rows == tokens && context.rows == tokens && qkv.columns == 3 * heads * width
                && context.columns == heads * width,
            "Attention: qkv [\(qkv.rows), \(qkv.columns)], context [\(context.rows), \(context.columns)]"
                + " for \(tokens) tokens, \(heads) heads of \(width)")
    }
}
