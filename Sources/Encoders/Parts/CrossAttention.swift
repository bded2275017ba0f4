// Cross-attention of a decoder to the one embedding of each sequence, up to its output projection.
//
// A softmax over one key is always 1: the context of a token is the value of its sequence's embedding, and queries and
// keys have no gradient. Only the dropout of the probabilities remains, a mask on
// (head, token). The projections of queries and keys are still parameters: the reference has them.
//
// Legend: T packed tokens, S sequences, D hidden, H heads. Reference: BertCrossAttention in transformers.

import TuttiKernels

/// The plan of cross-attention.
package struct CrossAttentionPlan: Sendable, Equatable {
    /// [D, D] each. Queries and keys are stored, not computed.
    let query: LinearPlan
    let key: LinearPlan
    let value: LinearPlan
    let output: LinearPlan
    let heads: Int
    /// Width of a head, E.
    let headWidth: Int
    /// Dropout of the probabilities, used only during training.
    let dropout: Float
}

extension CrossAttentionPlan: BranchPart {
    var products: [BranchPlan.Product] {
        [
            .init(name: "cross_value", linear: value, readsStream: false),
            .init(name: "cross_output", linear: output, readsStream: false),
        ]
    }

    var linears: [LinearPlan] { [output, value, key, query] }

    var room: BranchPlan.Room { .init(context: heads * headWidth) }
}

/// dropout(1) (e Wv^T + bv) Wo^T, e the embedding of the token's sequence.
struct CrossAttention: Sendable {
    let output: Linear  // [D, D]
    private let value: Linear  // [D, D]
    private let heads: Int
    private let headWidth: Int
    private let dropout: Float
    /// The layer in the dropout keys.
    private let layer: Int

    /// The memory of attention: one row per sequence.
    struct Memory {
        let embeddings: Matrix  // [S, D]
        /// Their gradient, which accumulates; nil = evaluation.
        let dEmbeddings: Matrix?  // [S, D]
        /// Scratch: values, later their gradient.
        let values: Matrix  // [S, D]
    }

    /// What backward needs in addition to the embeddings.
    struct Saved {
        let context: Matrix  // [T, D]
    }

    init(_ plan: CrossAttentionPlan, layer: Int, _ layout: ParameterLayout) {
        output = Linear(plan.output, layout)
        value = Linear(plan.value, layout)
        heads = plan.heads
        headWidth = plan.headWidth
        dropout = plan.dropout
        self.layer = layer
    }

    func allocate(tokens: Int, arena: inout Arena) -> Saved {
        Saved(context: arena.matrix(tokens, heads * headWidth))
    }

    /// product [T, D], from the embeddings alone.
    func forward(_ pass: PassContext, _ parameters: ParameterStore, saved: Saved, into product: Matrix) {
        let memory = memory(of: pass)
        value.multiply(memory.embeddings, parameters, into: memory.values)
        if let bias = value.bias(parameters) { RowKernels.addBias(memory.values, bias: bias) }
        forEachHead(pass) { sequence, token, head, factor in
            let from = memory.values.row(sequence) + head * headWidth
            let to = saved.context.row(token) + head * headWidth
            for k in 0..<headWidth { to[k] = factor * from[k] }
        }
        output.multiply(saved.context, parameters, into: product)
    }

    /// The gradient of the embeddings accumulates; that of the branch's input is zero.
    func backward(
        _ dProduct: Matrix, _ pass: PassContext, _ parameters: ParameterStore, saved: Saved,
        scratch: Stage.BackwardScratch
    ) {
        let memory = memory(of: pass)
        guard let dEmbeddings = memory.dEmbeddings else {
            preconditionFailure("CrossAttention: backward of an evaluation")
        }
        let (dContext, dValues) = (scratch.context.matrix(heads * headWidth), memory.values)
        output.accumulateWeightGradient(dProduct, saved.context, parameters)
        output.inputGradient(dProduct, parameters, into: dContext)
        dValues.fill(0)
        forEachHead(pass) { sequence, token, head, factor in
            let (from, to) = (dContext.row(token) + head * headWidth, dValues.row(sequence) + head * headWidth)
            for k in 0..<headWidth { to[k] += factor * from[k] }
        }
        value.accumulateGradients(dValues, memory.embeddings, parameters)
        value.inputGradient(dValues, parameters, into: dEmbeddings, accumulates: true)
    }

    private func memory(of pass: PassContext) -> Memory {
        guard let memory = pass.memory else { preconditionFailure("CrossAttention: a pass without embeddings") }
        return memory
    }

    /// Calls `body` with the dropout factor of each probability: 0 or 1 / (1 - rate); sequences side by side.
    private func forEachHead(
        _ pass: PassContext, _ body: (_ sequence: Int, _ token: Int, _ head: Int, _ factor: Float) -> Void
    ) {
        let mask = pass.mask(layer: layer, .attentionProbabilities, rate: dropout)
        let scale = 1 / (1 - (mask?.rate ?? 0))
        Parallel.forRange(pass.sequences, grain: 4) { sequences in
            for s in sequences {
                let (first, end) = (Int(pass.tokens.offsets[s]), Int(pass.tokens.offsets[s + 1]))
                for token in first..<end {
                    for head in 0..<heads {
                        let index = UInt32(head * (end - first) + token - first)
                        let isKept = mask.map { Dropout.keeps(siteKey: $0.keys[s], index: index, rate: $0.rate) }
                        body(s, token, head, isKept ?? true ? scale : 0)
                    }
                }
            }
        }
    }
}
