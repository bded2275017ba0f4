// Queries and keys between their projection and attention: norms and rotation, forward and backward.
//
// A rotation alone happens in place, since its adjoint needs no input; with a norm the products are kept as they are, and
// what attention reads is recomputed for backward. Norms of whole queries and keys, which stand without a rotation, add the
// projection's biases to the products.
//
// Legend: T packed tokens, H heads, K heads of keys and values, E head width.

import TuttiKernels

extension SelfAttention {
    private enum Side {
        case queries
        case keys
    }

    /// Whether attention reads the products as they are.
    var isRead: Bool { rotation == nil && !isNormed }

    private var isNormed: Bool { norms != nil || rowNorms != nil }

    /// Floats of scratch that what attention reads takes: normed queries and keys, and the statistics of whole ones.
    func normedCount(_ pass: PassContext) -> Int {
        guard isNormed else { return 0 }
        return pass.tokenCount * (plan.queryColumns + plan.keyColumns + (rowNorms == nil ? 0 : 4))
    }

    /// Floats of scratch for the kernels of norms.
    func normScratchCount(_ pass: PassContext, _ parameters: ParameterStore) -> Int {
        if rowNorms != nil { return NormKernels.backwardScratch(columns: plan.queryColumns) }
        return norms == nil ? 0 : heads(.queries, pass, parameters).scratchCount
    }

    /// What attention reads, and the scratch that is left. A rotation without a norm replaces the products in forward.
    func read(
        _ qkv: Matrix, _ pass: PassContext, _ parameters: ParameterStore, scratch: UnsafeMutablePointer<Float>,
        isBackward: Bool
    ) -> (AttentionRows, UnsafeMutablePointer<Float>) {
        var (rows, rest) = (split(qkv), scratch)
        if isRead || (!isNormed && isBackward) { return (rows, rest) }
        let source = rows
        if isNormed {
            let columns = plan.queryColumns + plan.keyColumns
            let normed = Matrix(scratch, pass.tokenCount, columns)  // [T, (H + K) E]
            rows.q = normed.columns(0..<plan.queryColumns)
            rows.k = normed.columns(plan.queryColumns..<columns)
            rest += normedCount(pass)
        }
        if let rowNorms {
            if !isBackward { addBiases(source, parameters) }
            let statistics = statistics(normed: scratch, pass)
            rowNorms.query.forward(source.q, parameters, saved: statistics.queries, into: rows.q)
            rowNorms.key.forward(source.k, parameters, saved: statistics.keys, into: rows.k)
            return (rows, rest)
        }
        withHeads(pass, parameters) { queries, keys in
            queries.forward(source.q, into: rows.q)
            keys.forward(source.k, into: rows.k)
        }
        return (rows, rest)
    }

    /// Replaces the gradient of what attention read, made at `normed`, by that of the products.
    func unread(
        _ dQKV: Matrix, _ qkv: Matrix, _ pass: PassContext, _ parameters: ParameterStore,
        normed: UnsafeMutablePointer<Float>, scratch: UnsafeMutablePointer<Float>
    ) {
        if isRead { return }
        let (source, gradient) = (split(qkv), split(dQKV))
        if let rowNorms {
            let statistics = statistics(normed: normed, pass)
            rowNorms.query.backward(
                source.q, parameters, saved: statistics.queries, inPlace: gradient.q, scratch: scratch)
            // A shift of all keys changes all scores of a query alike: its gradient is zero, and is not computed.
            return rowNorms.key.backward(
                source.k, parameters, saved: statistics.keys, inPlace: gradient.k, withShift: false, scratch: scratch)
        }
        withHeads(pass, parameters) { queries, keys in
            queries.backward(
                source.q, inPlace: gradient.q, dWeight: norms.flatMap { parameters.gradientPointer($0.query) },
                scratch: scratch)
            keys.backward(
                source.k, inPlace: gradient.k, dWeight: norms.flatMap { parameters.gradientPointer($0.key) },
                scratch: scratch)
        }
    }

    /// The statistics of whole queries and keys, behind what was normed.
    private func statistics(
        normed: UnsafeMutablePointer<Float>, _ pass: PassContext
    ) -> (queries: Norm.Saved, keys: Norm.Saved) {
        let rows = pass.tokenCount
        let first = normed + rows * (plan.queryColumns + plan.keyColumns)
        return (Norm.Saved(first, rows: rows), Norm.Saved(first + 2 * rows, rows: rows))
    }

    /// Adds the projection's biases to queries and keys.
    private func addBiases(_ rows: AttentionRows, _ parameters: ParameterStore) {
        if let bias = projection.bias(parameters) { RowKernels.addBias(rows.q, bias: bias) }
        if let bias = projection.bias(parameters, from: plan.queryColumns) { RowKernels.addBias(rows.k, bias: bias) }
    }

    /// The transformations of queries and keys, with the angles of the pass.
    private func withHeads(
        _ pass: PassContext, _ parameters: ParameterStore, _ body: (_ queries: HeadRows, _ keys: HeadRows) -> Void
    ) {
        var (queries, keys) = (heads(.queries, pass, parameters), heads(.keys, pass, parameters))
        guard let rotation, let rotary = plan.rotary else { return body(queries, keys) }
        pass.angles[rotation].withUnsafeBufferPointer { angles in
            guard let angles = angles.baseAddress else { return }
            queries.rotation = .init(angles: angles, width: rotary.width)
            keys.rotation = queries.rotation
            body(queries, keys)
        }
    }

    /// The transformation of one side, without its rotation.
    private func heads(_ side: Side, _ pass: PassContext, _ parameters: ParameterStore) -> HeadRows {
        let isQuery = side == .queries
        let norm = plan.norms.flatMap { plan in
            norms.map { slots in
                HeadRows.Norm(
                    weight: UnsafePointer(parameters.pointer(isQuery ? slots.query : slots.key)), shift: plan.shift,
                    epsilon: plan.epsilon)
            }
        }
        return HeadRows(
            heads: isQuery ? plan.heads : plan.keyHeads, width: plan.headWidth,
            bias: projection.bias(parameters, from: isQuery ? 0 : plan.queryColumns), norm: norm,
            offsets: pass.tokens.offsets, sequences: pass.sequences)
    }
}
