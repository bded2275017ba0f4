// Self-attention up to its output projection, forward and backward.
//
// Queries, keys and values come from one product with [(H + 2 K) E, D]: one tensor, or modules that are adjacent in the
// layout. Biases of queries and values are added by the kernel, that of the output by the next junction. Where queries and
// keys are rotated or normed (HeadRows), their biases are added there. A rotation alone happens in place, since its adjoint
// needs no input; with a norm the products are kept as they are, and what attention reads is recomputed for backward. So
// are the projections of disentangled positions.
//
// Legend: T packed tokens, D hidden, H heads, K heads of keys and values, E head width. Reference: BertAttention,
// MPNetAttention, ModernBertAttention, Qwen3Attention in transformers.

import TuttiKernels

/// The plan of self-attention.
package struct SelfAttentionPlan: Sendable, Equatable {
    /// RMS norms of queries and keys over each head, before the rotation.
    struct HeadNorms: Sendable, Equatable {
        /// The tensors [E].
        let query, key: String
        let epsilon: Float
        /// 1 where the weights are stored less one.
        var shift: Float = 0

        func tensors(_ width: Int) -> [TensorSpecification] { [query, key].map { .init($0, [width]) } }
    }

    /// Where the heads of queries, keys and values are in a row of the projection.
    enum Order: Sendable, Equatable {
        /// All queries, then all keys, then all values.
        case sideBySide
        /// Query, key and value of a head, then of the next (DeBERTa v1). The projection has no biases; these tensors
        /// [H E] are those of queries and values.
        case byHead(queryBias: String, valueBias: String)
    }

    /// Queries, keys and values, [(H + 2 K) E, D].
    package let projection: LinearPlan
    /// [D, H E]
    package let output: LinearPlan
    /// H.
    package let heads: Int
    /// K, which divides H: query head h reads key head h / (H / K).
    let keyHeads: Int
    /// E.
    let headWidth: Int
    let order: Order
    /// The keys that a token sees.
    let span: AttentionSpan
    /// Factor of the scores; nil = 1 / sqrt(E).
    let scale: Float?
    /// The score biases.
    let positions: PositionsPlan
    /// The rotation of queries and keys; nil = none.
    let rotary: RotaryPlan?
    /// Norms of queries and keys; nil = none.
    let norms: HeadNorms?
    /// The projections of disentangled positions; nil = none.
    let disentangled: Disentangled?
    /// Dropout of the probabilities, used only during training.
    let dropout: Float

    init(
        projection: LinearPlan, output: LinearPlan, heads: Int, keyHeads: Int? = nil, headWidth: Int,
        order: Order = .sideBySide, span: AttentionSpan = .full, scale: Float? = nil,
        positions: PositionsPlan = .none, rotary: RotaryPlan? = nil, norms: HeadNorms? = nil,
        disentangled: Disentangled? = nil, dropout: Float = 0
    ) {
        self.projection = projection
        self.output = output
        self.heads = heads
        self.keyHeads = keyHeads ?? heads
        self.headWidth = headWidth
        self.order = order
        self.span = span
        self.scale = scale
        self.positions = positions
        self.rotary = rotary
        self.norms = norms
        self.disentangled = disentangled
        self.dropout = dropout
    }

    /// Columns of queries, H E.
    var queryColumns: Int { heads * headWidth }
    /// Columns of keys, and of values, K E.
    var keyColumns: Int { keyHeads * headWidth }
}

extension SelfAttentionPlan: BranchPart {
    var products: [BranchPlan.Product] {
        [
            .init(name: "qkv", linear: projection, readsStream: true),
            .init(name: "attention_output", linear: output, readsStream: false),
        ]
    }

    var linears: [LinearPlan] { [output] + (disentangled?.linears ?? []) + [projection] }

    var vectors: [TensorSpecification] {
        var names: [String] = []
        if case .byHead(let query, let value) = order { names = [query, value] }
        return names.map { .init($0, [queryColumns]) } + (norms?.tensors(headWidth) ?? [])
    }

    var room: BranchPlan.Room { .init(context: queryColumns, wide: projection.outputs) }
}

/// attention(x Wqkv^T + b) Wo^T.
struct SelfAttention: Sendable {
    let output: Linear  // [D, H E]
    private let plan: SelfAttentionPlan
    private let projection: Linear  // [(H + 2 K) E, D]
    /// The layer in the dropout keys.
    private let layer: Int
    /// The position of its kind of biases among those of the pass; nil = none.
    private let positions: Range<Int>?
    /// The table of its biases, if it is the lowest layer that uses it: backward finishes the table's gradient there.
    private let finishedTable: TensorSlot?
    private let buckets: DistanceBuckets
    /// The position of its rotation among those of the pass; nil = none.
    private let rotation: Int?
    /// [E] the weights of the norms of queries and keys.
    private let norms: (query: TensorSlot, key: TensorSlot)?
    /// [H E] the biases that are not the projection's.
    private let ownBiases: (query: TensorSlot, value: TensorSlot)?
    private let disentangled: DisentangledHeads?
    /// The table of disentangled positions, if it is the lowest layer that uses it.
    private let finishedPositions: DisentangledPositions?

    /// What backward needs in addition to the input.
    struct Saved {
        /// [T, (H + 2 K) E] as attention reads it, or with norms as the product gave it; biases that are added on read
        /// are not part of it.
        let qkv: Matrix
        let context: Matrix  // [T, H E]
        let logSumExp: UnsafeMutablePointer<Float>  // [H, L] of each sequence
        let logSumExpCount: Int  // H T
    }

    /// `isLowest` = no layer below has the same kind of biases.
    init(
        _ plan: SelfAttentionPlan, layer: Int, _ positions: Positions, _ rotations: [RotaryPlan], isLowest: Bool,
        _ layout: ParameterLayout
    ) {
        output = Linear(plan.output, layout)
        projection = Linear(plan.projection, layout)
        self.plan = plan
        self.layer = layer
        self.positions = positions.rows(of: plan.positions)
        finishedTable = isLowest ? plan.positions.table.map { TensorSlot(layout, $0) } : nil
        if case .relative(_, _, _, let buckets) = plan.positions {
            self.buckets = buckets
        } else {
            buckets = .standard
        }
        rotation = plan.rotary.flatMap { rotations.firstIndex(of: $0) }
        norms = plan.norms.map { (TensorSlot(layout, $0.query), TensorSlot(layout, $0.key)) }
        if case .byHead(let query, let value) = plan.order {
            ownBiases = (TensorSlot(layout, query), TensorSlot(layout, value))
        } else {
            ownBiases = nil
        }
        if case .disentangled(let table) = plan.positions, let own = plan.disentangled {
            disentangled = DisentangledHeads(own, table, columns: plan.queryColumns, layer: layer, layout)
            finishedPositions = isLowest ? positions.disentangled : nil
        } else {
            (disentangled, finishedPositions) = (nil, nil)
        }
    }

    func allocate(tokens: Int, arena: inout Arena) -> Saved {
        Saved(
            qkv: arena.matrix(tokens, plan.projection.outputs), context: arena.matrix(tokens, plan.queryColumns),
            logSumExp: arena.floats(tokens * plan.heads), logSumExpCount: tokens * plan.heads)
    }

    /// Floats of scratch for the kernels of this pass.
    func scratchCount(_ pass: PassContext, _ parameters: ParameterStore) -> Int {
        let normed = norms == nil ? 0 : pass.tokenCount * (plan.queryColumns + plan.keyColumns)
        let norm = norms == nil ? 0 : heads(.queries, pass, parameters).scratchCount
        var (attention, projected) = (kernel(pass, parameters), 0)
        if let disentangled, let table = pass.disentangled {
            projected = disentangled.scratchCount(table)
            attention.relatives = AttentionRelatives(
                keys: table.values, queries: nil, rows: table.index, maximum: pass.longest)
        }
        let table =
            finishedPositions == nil ? 0 : NormKernels.backwardScratch(columns: plan.output.outputs)
        return normed + projected + max(attention.scratchCount, norm, table)
    }

    /// product [T, D] from input [T, D].
    func forward(
        _ input: Matrix, _ pass: PassContext, _ parameters: ParameterStore, saved: Saved,
        scratch: UnsafeMutablePointer<Float>, into product: Matrix
    ) {
        let draw = pass.draw(layer: layer)
        projection.multiply(input, parameters, draw: draw, into: saved.qkv)
        let (rows, left) = read(saved.qkv, pass, parameters, scratch: scratch, isBackward: false)
        let (projected, rest) = project(pass, parameters, scratch: left, isBackward: false)
        var attention = kernel(pass, parameters)
        attention.relatives = projected?.relatives
        attention.forward(rows, context: saved.context, logSumExp: saved.logSumExp, scratch: rest)
        output.multiply(saved.context, parameters, draw: draw, into: product)
    }

    /// dInput [T, D] from dProduct [T, D], assigned or accumulated; nil = nobody wants it.
    func backward(
        _ dProduct: Matrix, input: Matrix, _ pass: PassContext, _ parameters: ParameterStore, saved: Saved,
        scratch: Stage.BackwardScratch, into dInput: Matrix?, accumulates: Bool
    ) {
        let dContext = scratch.context.matrix(plan.queryColumns)  // [T, H E]
        let dQKV = scratch.wide.matrix(plan.projection.outputs)  // [T, (H + 2 K) E]
        let dPositions = plan.positions.table == nil ? nil : own(pass.dPositions)  // [H, 2 L - 1]
        let draw = pass.draw(layer: layer)
        output.accumulateWeightGradient(dProduct, saved.context, parameters, draw: draw)
        output.inputGradient(dProduct, parameters, draw: draw, into: dContext)
        let (rows, left) = read(saved.qkv, pass, parameters, scratch: scratch.kernel, isBackward: true)
        let (projected, rest) = project(pass, parameters, scratch: left, isBackward: true)
        var attention = kernel(pass, parameters)
        attention.relatives = projected?.relatives
        attention.backward(
            rows, context: saved.context, logSumExp: saved.logSumExp, dContext: dContext, into: split(dQKV),
            dPositions: dPositions?.pointer, dRelatives: projected?.gradients, scratch: rest)
        if let disentangled, let projected, let table = pass.disentangled {
            disentangled.backward(projected, pass, table, parameters)
            finishedPositions?.backward(table, parameters, scratch: rest)
        }
        if let ownBiases { sumBiases(split(dQKV), ownBiases, parameters) }
        if let dPositions, let dTable = finishedTable.flatMap({ parameters.gradientMatrix($0) }) {
            Positions.accumulate(dPositions, buckets, longest: pass.longest, into: dTable)
        }
        unread(dQKV, saved.qkv, pass, parameters, scratch: rest)
        projection.accumulateGradients(dQKV, input, parameters, draw: draw)
        if let dInput {
            projection.inputGradient(dQKV, parameters, draw: draw, into: dInput, accumulates: accumulates)
        }
    }

    /// The attention kernel's view of this pass.
    private func kernel(_ pass: PassContext, _ parameters: ParameterStore) -> Attention {
        let values = plan.queryColumns + plan.keyColumns
        return Attention(
            heads: plan.heads, keyHeads: plan.keyHeads, width: plan.headWidth, span: plan.span, scale: plan.scale,
            offsets: pass.tokens.offsets, sequences: pass.sequences,
            queryBias: isRead ? ownBias(ownBiases?.query, parameters) ?? projection.bias(parameters) : nil,
            keyBias: projection.bias(parameters, from: plan.queryColumns),
            valueBias: ownBias(ownBiases?.value, parameters) ?? projection.bias(parameters, from: values),
            positions: own(pass.positions).map { UnsafePointer($0.pointer) }, maximum: pass.longest,
            dropout: pass.mask(layer: layer, .attentionProbabilities, rate: plan.dropout))
    }

    /// The rows of its kind of biases.
    private func own(_ kinds: Matrix?) -> Matrix? {
        guard let kinds, let positions else { return nil }
        return kinds.rows(positions)
    }

    private func split(_ qkv: Matrix) -> AttentionRows {
        guard ownBiases != nil else {
            return AttentionRows(qkv, heads: plan.heads, keyHeads: plan.keyHeads, width: plan.headWidth)
        }
        return AttentionRows(byHead: qkv, width: plan.headWidth)
    }

    private func ownBias(_ slot: TensorSlot?, _ parameters: ParameterStore) -> UnsafePointer<Float>? {
        slot.map { UnsafePointer(parameters.pointer($0)) }
    }

    /// The gradients of biases that are not the projection's: column sums, head by head.
    private func sumBiases(
        _ rows: AttentionRows, _ slots: (query: TensorSlot, value: TensorSlot), _ parameters: ParameterStore
    ) {
        for (matrix, slot) in [(rows.q, slots.query), (rows.v, slots.value)] {
            guard let gradient = parameters.gradientPointer(slot) else { continue }
            for head in 0..<plan.heads {
                let columns = matrix.columns(head * rows.step..<head * rows.step + plan.headWidth)
                RowKernels.biasGradient(columns, into: gradient + head * plan.headWidth)
            }
        }
    }

    /// Projections of disentangled positions, if there are any, and the scratch that is left.
    private func project(
        _ pass: PassContext, _ parameters: ParameterStore, scratch: UnsafeMutablePointer<Float>, isBackward: Bool
    ) -> (DisentangledHeads.Projected?, UnsafeMutablePointer<Float>) {
        guard let disentangled, let table = pass.disentangled else { return (nil, scratch) }
        return disentangled.project(pass, table, parameters, isBackward: isBackward, scratch: scratch)
    }
}

// MARK: Norm and rotation of queries and keys

extension SelfAttention {
    private enum Side {
        case queries
        case keys
    }

    /// Whether attention reads the products as they are.
    private var isRead: Bool { rotation == nil && norms == nil }

    /// What attention reads, and the scratch that is left. A rotation without a norm replaces the products in forward.
    private func read(
        _ qkv: Matrix, _ pass: PassContext, _ parameters: ParameterStore, scratch: UnsafeMutablePointer<Float>,
        isBackward: Bool
    ) -> (AttentionRows, UnsafeMutablePointer<Float>) {
        var (rows, rest) = (split(qkv), scratch)
        if isRead || (norms == nil && isBackward) { return (rows, rest) }
        let source = rows
        if norms != nil {
            let columns = plan.queryColumns + plan.keyColumns
            let normed = Matrix(scratch, pass.tokenCount, columns)  // [T, (H + K) E]
            rows.q = normed.columns(0..<plan.queryColumns)
            rows.k = normed.columns(plan.queryColumns..<columns)
            rest += pass.tokenCount * columns
        }
        withHeads(pass, parameters) { queries, keys in
            queries.forward(source.q, into: rows.q)
            keys.forward(source.k, into: rows.k)
        }
        return (rows, rest)
    }

    /// Replaces the gradient of what attention read by that of the products.
    private func unread(
        _ dQKV: Matrix, _ qkv: Matrix, _ pass: PassContext, _ parameters: ParameterStore,
        scratch: UnsafeMutablePointer<Float>
    ) {
        if isRead { return }
        let (source, gradient) = (split(qkv), split(dQKV))
        withHeads(pass, parameters) { queries, keys in
            queries.backward(
                source.q, inPlace: gradient.q, dWeight: norms.flatMap { parameters.gradientPointer($0.query) },
                scratch: scratch)
            keys.backward(
                source.k, inPlace: gradient.k, dWeight: norms.flatMap { parameters.gradientPointer($0.key) },
                scratch: scratch)
        }
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
