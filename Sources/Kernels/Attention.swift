// Self-attention over packed sequences of any lengths, forward and backward.
//
// Own loops rather than small BLAS calls. Forward keeps each query's log-sum-exp; backward recomputes the probabilities
// from it, and dropout masks from their keys (FlashAttention's scheme, Dao et al. 2022). A block of queries meets all keys
// that it sees at once, or tile by tile in long sequences, so memory grows with the length. Query heads may share keys and
// values, which are not copied. Biases of queries and values are added while a head is packed, which saves a pass over
// [T, 3 D].
//
// Legend: T packed tokens, H query heads, K heads of keys and values, E head width, L length of a sequence.

import CTuttiKernels

/// Packed variable-length self-attention.
package struct Attention: @unchecked Sendable {
    /// H.
    package var heads: Int
    /// K, which divides H: query head h reads key head h / (H / K).
    package var keyHeads: Int
    /// E.
    package var width: Int
    /// The keys that a token sees.
    package var span: AttentionSpan
    /// Factor of the scores; by default 1 / sqrt(E).
    package var scale: Float
    /// [S + 1] row offsets of the sequences.
    package var offsets: UnsafePointer<Int32>
    /// S.
    package var sequences: Int
    /// Tokens of the longest sequence.
    package var longest: Int
    /// [H E] bias added to queries inside the kernel; nil = already added. A bias of keys would not change the result.
    package var queryBias: UnsafePointer<Float>?
    /// [K E] bias added to values inside the kernel; nil = already added.
    package var valueBias: UnsafePointer<Float>?
    /// [H, 2 M - 1] relative-position biases, added to the scaled score (i, j) at j - i + M - 1; nil = none.
    package var positions: UnsafePointer<Float>?
    /// M, at least `longest`.
    package var maximum: Int
    /// Disentangled positions; nil = none. They need `keyBias`, heads that share no keys, and the full span.
    package var relatives: AttentionRelatives?
    /// [K E] bias added to keys inside the kernel: only disentangled positions see it.
    package var keyBias: UnsafePointer<Float>?
    /// Dropout of probabilities with one site key per sequence; element (h, i, j) has index (h * L + i) * L + j.
    package var dropout: DropoutMask?

    private static let chunks = 8

    /// Attention over these sequences.
    package init(
        heads: Int, keyHeads: Int? = nil, width: Int, span: AttentionSpan = .full, scale: Float? = nil,
        offsets: UnsafePointer<Int32>, sequences: Int, queryBias: UnsafePointer<Float>? = nil,
        keyBias: UnsafePointer<Float>? = nil,
        valueBias: UnsafePointer<Float>? = nil, positions: UnsafePointer<Float>? = nil, maximum: Int = 0,
        dropout: DropoutMask? = nil
    ) {
        self.heads = heads
        self.keyHeads = keyHeads ?? heads
        self.width = width
        self.span = span
        self.scale = scale ?? 1 / Float(width).squareRoot()
        self.offsets = offsets
        self.sequences = sequences
        self.queryBias = queryBias
        self.keyBias = keyBias
        self.valueBias = valueBias
        self.positions = positions
        self.maximum = maximum
        self.dropout = dropout
        longest = (0..<sequences).reduce(0) { Swift.max($0, Int(offsets[$1 + 1] - offsets[$1])) }
        precondition(
            width > 0 && self.keyHeads > 0 && heads % self.keyHeads == 0,
            "Attention: \(heads) heads of width \(width) over \(self.keyHeads) of keys")
        precondition(
            span.before >= 0 && span.after >= 0 && span.before <= Int32.max && span.after <= Int32.max,
            "Attention: \(span)")
        precondition(
            positions == nil || longest <= maximum,
            "Attention: \(longest) tokens but relative positions for \(maximum)")
    }

    /// Floats of scratch for `forward` and `backward` with the current number of threads.
    package var scratchCount: Int {
        perThread * Parallel.threads
            + (positions == nil ? 0 : Self.chunks * heads * Swift.max(2 * longest - 1, 0))
    }

    private var perThread: Int {
        Int(tutti_attention_scratch(Int64(longest), Int64(width), Int64(relatives?.count ?? 0)))
    }

    /// context [T, H E] and logSumExp ([H, L] per sequence, concatenated); logSumExp may be nil without a backward.
    package func forward(
        _ rows: AttentionRows, context: Matrix, logSumExp: UnsafeMutablePointer<Float>?,
        scratch: UnsafeMutablePointer<Float>
    ) {
        requireShapes(rows, context)
        let perThread = perThread
        withKernel(rows, nil) { arguments in
            Parallel.forRangeWithWorker(sequences * keyHeads, grain: keyHeads) { pairs, worker in
                tutti_attention_forward(
                    arguments, context.kernel, logSumExp, scratch + worker * perThread, pairs.kernel)
            }
        }
    }

    /// The gradients of `rows`, assigned, from dContext [T, H E] and forward's context and logSumExp; dPositions
    /// [H, 2 M - 1] and the tables of dRelatives accumulate, in an order that does not depend on the number of threads.
    package func backward(
        _ rows: AttentionRows, context: Matrix, logSumExp: UnsafePointer<Float>, dContext: Matrix,
        into dRows: AttentionRows, dPositions: UnsafeMutablePointer<Float>? = nil,
        dRelatives: AttentionRelatives? = nil, scratch: UnsafeMutablePointer<Float>
    ) {
        requireShapes(rows, context)
        requireShapes(dRows, dContext)
        precondition(rows.step == dRows.step, "Attention: heads \(rows.step) apart, gradients \(dRows.step)")
        precondition(
            (relatives == nil) == (dRelatives == nil), "Attention: disentangled positions and their gradients")
        let gradient = tutti_attention_gradient(q: dRows.q.kernel, k: dRows.k.kernel, v: dRows.v.kernel)
        let perThread = perThread
        let span = Swift.max(2 * longest - 1, 0)
        let partial: UnsafeMutablePointer<Float>? =
            dPositions == nil || positions == nil ? nil : scratch + perThread * Parallel.threads
        withKernel(rows, dRelatives) { arguments in
            if relatives != nil {  // a head's table sums over sequences: one thread does them all, in order
                Parallel.forRangeWithWorker(heads, grain: 1) { own, worker in
                    for head in own {
                        for s in 0..<sequences { run(s * heads + head..<s * heads + head + 1, nil, worker) }
                    }
                }
                return
            }
            // The position gradient sums over sequences: a fixed number of chunks owns one partial table each.
            let pieces = partial == nil ? sequences * keyHeads : Self.chunks
            let grain = partial == nil ? keyHeads : 1
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
                    run(first * keyHeads..<end * keyHeads, own, worker)
                }
            }
            func run(_ pairs: Range<Int>, _ table: UnsafeMutablePointer<Float>?, _ worker: Int) {
                tutti_attention_backward(
                    arguments, context.kernel, logSumExp, dContext.kernel, gradient, table, Int64(longest),
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

    private func withKernel(
        _ rows: AttentionRows, _ dRelatives: AttentionRelatives?, _ body: (UnsafePointer<tutti_attention>) -> Void
    ) {
        guard let relatives else {
            var arguments = kernel(rows, nil)
            return withUnsafePointer(to: &arguments) { body($0) }
        }
        precondition(
            heads == keyHeads && span == .full && positions == nil && longest <= relatives.maximum,
            "Attention: disentangled positions with other settings")
        var relative = relatives.kernel(dRelatives)
        withUnsafePointer(to: &relative) { relative in
            var arguments = kernel(rows, relative)
            withUnsafePointer(to: &arguments) { body($0) }
        }
    }

    private func kernel(_ rows: AttentionRows, _ relative: UnsafePointer<tutti_relative>?) -> tutti_attention {
        tutti_attention(
            q: rows.q.kernel, k: rows.k.kernel, v: rows.v.kernel, step: Int64(rows.step), query_bias: queryBias,
            key_bias: relatives == nil ? nil : keyBias, value_bias: valueBias, positions: positions,
            maximum: Int64(maximum), relative: relative, offsets: offsets,
            heads: Int64(heads), key_heads: Int64(keyHeads), width: Int64(width), before: Int64(span.before),
            after: Int64(span.after), scale: scale, dropout: DropoutMask.kernel(dropout))
    }

    private func requireShapes(_ rows: AttentionRows, _ context: Matrix) {
        let tokens = Int(offsets[sequences])
        func isFit(_ matrix: Matrix, _ heads: Int) -> Bool {
            matrix.rows == tokens && matrix.columns == (heads - 1) * rows.step + width
        }
        precondition(
            isFit(rows.q, heads) && isFit(rows.k, keyHeads) && isFit(rows.v, keyHeads) && rows.step >= width
                && context.rows == tokens && context.columns == heads * width,
            "Attention: q [\(rows.q.rows), \(rows.q.columns)], k [\(rows.k.rows), \(rows.k.columns)], context"
                + " [\(context.rows), \(context.columns)] for \(tokens) tokens, \(heads) heads of \(width) over"
                + " \(keyHeads)")
    }
}
