// Self-attention up to its output projection, forward and backward.
//
// Queries, keys and values come from one product with [(H + 2 K) E, D]: one tensor, or modules that are adjacent in the
// layout. Biases of queries and values are added by the kernel, that of the output by the next junction. Where queries and
// keys are rotated or normed (QueriesAndKeys.swift), their biases are added there. The projections of disentangled positions
// are recomputed for backward.
//
// Legend: T packed tokens, D hidden, H heads, K heads of keys and values, E head width. Reference: BertAttention,
// MPNetAttention, ModernBertAttention, Qwen3Attention in transformers.

import TuttiKernels

/// The plan of self-attention.
package struct SelfAttentionPlan: Sendable, Equatable {
    /// RMS norms of queries and keys over each head, before the rotation.
    package struct HeadNorms: Sendable, Equatable {
        /// The tensors [E].
        package let query, key: String
        package let epsilon: Float
        /// 1 where the weights are stored less one.
        package var shift: Float = 0

        func tensors(_ width: Int) -> [TensorSpecification] { [query, key].map { .init($0, [width]) } }
    }

    /// Norms of all heads of a query together, and of a key, each [H E].
    package struct RowNorms: Sendable, Equatable {
        package let query, key: NormPlan

        var tensors: [TensorSpecification] { query.tensors + key.tensors }
    }

    /// Where the heads of queries, keys and values are in a row of the projection.
    package enum Order: Sendable, Equatable {
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
    package let keyHeads: Int
    /// E.
    package let headWidth: Int
    package let order: Order
    /// The keys that a token sees.
    package let span: AttentionSpan
    /// Factor of the scores; nil = 1 / sqrt(E).
    package let scale: Float?
    /// The score biases.
    package let positions: PositionsPlan
    /// The rotation of queries and keys; nil = none.
    package let rotary: RotaryPlan?
    /// Norms of the heads of queries and keys; nil = none.
    package let norms: HeadNorms?
    /// Norms of whole queries and keys, in place of those of heads and of a rotation; nil = none.
    package let rowNorms: RowNorms?
    /// The projections of disentangled positions; nil = none.
    package let disentangled: Disentangled?
    /// Dropout of the probabilities, used only during training.
    let dropout: Float

    init(
        projection: LinearPlan, output: LinearPlan, heads: Int, keyHeads: Int? = nil, headWidth: Int,
        order: Order = .sideBySide, span: AttentionSpan = .full, scale: Float? = nil,
        positions: PositionsPlan = .none, rotary: RotaryPlan? = nil, norms: HeadNorms? = nil,
        rowNorms: RowNorms? = nil, disentangled: Disentangled? = nil, dropout: Float = 0
    ) {
        precondition(rowNorms == nil || norms == nil && rotary == nil && disentangled == nil, "SelfAttention: norms")
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
        self.rowNorms = rowNorms
        self.disentangled = disentangled
        self.dropout = dropout
    }

    /// Columns of queries, H E.
    package var queryColumns: Int { heads * headWidth }
    /// Columns of keys, and of values, K E.
    package var keyColumns: Int { keyHeads * headWidth }
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
            + (rowNorms?.tensors ?? [])
    }

    var room: BranchPlan.Room { .init(context: queryColumns, wide: projection.outputs) }
}

/// attention(x Wqkv^T + b) Wo^T.
struct SelfAttention: Sendable {
    let output: Linear  // [D, H E]
    let plan: SelfAttentionPlan
    let projection: Linear  // [(H + 2 K) E, D]
    /// The layer in the dropout keys.
    private let layer: Int
    /// The position of its kind of biases among those of the pass; nil = none.
    private let positions: Range<Int>?
    /// The table of its biases, if it is the lowest layer that uses it: backward finishes the table's gradient there.
    private let finishedTable: TensorSlot?
    private let buckets: DistanceBuckets
    /// The position of its rotation among those of the pass; nil = none.
    let rotation: Int?
    /// [E] the weights of the norms of heads of queries and keys.
    let norms: (query: TensorSlot, key: TensorSlot)?
    /// The norms of whole queries and keys.
    let rowNorms: (query: Norm, key: Norm)?
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
        rowNorms = plan.rowNorms.map { (Norm($0.query, layout), Norm($0.key, layout)) }
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
        let norm = normScratchCount(pass, parameters)
        var (attention, projected) = (kernel(pass, parameters), 0)
        if let disentangled, let table = pass.disentangled {
            projected = disentangled.scratchCount(table)
            attention.relatives = AttentionRelatives(
                keys: table.values, queries: nil, rows: table.index, maximum: pass.longest)
        }
        let table =
            finishedPositions == nil ? 0 : NormKernels.backwardScratch(columns: plan.output.outputs)
        return normedCount(pass) + projected + max(attention.scratchCount, norm, table)
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
        unread(dQKV, saved.qkv, pass, parameters, normed: scratch.kernel, scratch: rest)
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

    func split(_ qkv: Matrix) -> AttentionRows {
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
