// Self-attention up to its output projection, forward and backward.
//
// Queries, keys and values come from one product with [3 D, D]: their weights are adjacent in the layout. The kernel
// adds their biases, the next junction adds that of the output.
// Legend: T packed tokens, D hidden, H heads. Reference: BertAttention, MPNetAttention in transformers.

import TuttiKernels

/// The plan of self-attention.
package struct SelfAttentionPlan: Sendable, Equatable {
    /// Queries, keys and values, [3 D, D].
    package let projection: LinearPlan
    /// [D, D]
    package let output: LinearPlan
    /// H.
    package let heads: Int
    /// Width of a head, E.
    let headWidth: Int
    /// The score biases.
    let positions: PositionsPlan
    /// Dropout of the probabilities, used only during training.
    let dropout: Float
}

extension SelfAttentionPlan: BranchPart {
    var products: [BranchPlan.Product] {
        [
            .init(name: "qkv", linear: projection, readsStream: true),
            .init(name: "attention_output", linear: output, readsStream: false),
        ]
    }

    var room: BranchPlan.Room { .init(context: heads * headWidth, wide: projection.outputs) }
}

/// attention(x Wqkv^T + b) Wo^T.
struct SelfAttention: Sendable {
    let output: Linear  // [D, D]
    private let projection: Linear  // [3 D, D]
    private let heads: Int
    private let headWidth: Int
    private let dropout: Float
    /// The layer in the dropout keys.
    private let layer: Int
    /// The position of its kind of biases among those of the pass; nil = none.
    private let positions: Range<Int>?
    /// The table of its biases, if it is the lowest layer that uses it: backward finishes the table's gradient there.
    private let finishedTable: TensorSlot?

    /// What backward needs in addition to the input.
    struct Saved {
        let qkv: Matrix  // [T, 3 D], bias not yet added
        let context: Matrix  // [T, D]
        let logSumExp: UnsafeMutablePointer<Float>  // [H, L] of each sequence
    }

    /// `isLowest` = no layer below has the same kind of biases.
    init(
        _ plan: SelfAttentionPlan, layer: Int, _ positions: Positions, isLowest: Bool, _ layout: ParameterLayout
    ) {
        output = Linear(plan.output, layout)
        projection = Linear(plan.projection, layout)
        heads = plan.heads
        headWidth = plan.headWidth
        dropout = plan.dropout
        self.layer = layer
        self.positions = positions.rows(of: plan.positions)
        finishedTable = isLowest ? plan.positions.table.map { TensorSlot(layout, $0) } : nil
    }

    func allocate(tokens: Int, arena: inout Arena) -> Saved {
        let width = heads * headWidth
        return Saved(
            qkv: arena.matrix(tokens, 3 * width), context: arena.matrix(tokens, width),
            logSumExp: arena.floats(tokens * heads))
    }

    /// The attention kernel's view of this pass.
    func kernel(_ pass: PassContext, _ parameters: ParameterStore) -> Attention {
        Attention(
            heads: heads, width: headWidth, offsets: pass.tokens.offsets, sequences: pass.sequences,
            bias: projection.bias(parameters), positions: own(pass.positions).map { UnsafePointer($0.pointer) },
            maximum: pass.longest, dropout: pass.mask(layer: layer, .attentionProbabilities, rate: dropout))
    }

    /// product [T, D] from input [T, D].
    func forward(
        _ input: Matrix, _ pass: PassContext, _ parameters: ParameterStore, saved: Saved,
        scratch: UnsafeMutablePointer<Float>, into product: Matrix
    ) {
        projection.multiply(input, parameters, into: saved.qkv)
        kernel(pass, parameters).forward(
            qkv: saved.qkv, context: saved.context, logSumExp: saved.logSumExp, scratch: scratch)
        output.multiply(saved.context, parameters, into: product)
    }

    /// dInput [T, D] from dProduct [T, D], assigned or accumulated.
    func backward(
        _ dProduct: Matrix, input: Matrix, _ pass: PassContext, _ parameters: ParameterStore, saved: Saved,
        scratch: Stage.BackwardScratch, into dInput: Matrix, accumulates: Bool
    ) {
        let dContext = scratch.context.matrix(heads * headWidth)  // [T, D]
        let dQKV = scratch.wide.matrix(3 * heads * headWidth)  // [T, 3 D]
        let dPositions = own(pass.dPositions)  // [H, 2 L - 1]
        output.accumulateWeightGradient(dProduct, saved.context, parameters)
        output.inputGradient(dProduct, parameters, into: dContext)
        kernel(pass, parameters).backward(
            qkv: saved.qkv, logSumExp: saved.logSumExp, dContext: dContext, dQKV: dQKV,
            dPositions: dPositions?.pointer, scratch: scratch.kernel)
        if let finishedTable, let dPositions {
            Positions.accumulate(dPositions, longest: pass.longest, into: parameters.gradientMatrix(finishedTable))
        }
        projection.accumulateGradients(dQKV, input, parameters)
        projection.inputGradient(dQKV, parameters, into: dInput, accumulates: accumulates)
    }

    /// The rows of its kind of biases.
    private func own(_ kinds: Matrix?) -> Matrix? {
        guard let kinds, let positions else { return nil }
        return kinds.rows(positions)
    }
}
