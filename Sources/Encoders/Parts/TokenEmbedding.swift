// Token ids to vectors: dropout(norm(word + type + position)), forward and backward.
//
// Legend: T packed tokens, D hidden. Reference: BertEmbeddings and MPNetEmbeddings in transformers.

import TuttiKernels

/// The plan of the token embedding.
struct TokenEmbeddingPlan: Sendable, Equatable {
    /// A table [rows, D].
    struct Table: Sendable, Equatable {
        let name: String
        let rows: Int
    }

    /// Rows of tokens, [V, D].
    let word: Table
    /// Rows of positions in the sequence, of which the first token uses row `positionStart`; families whose attention
    /// knows positions have none.
    let position: Table?
    let positionStart: Int
    /// Token types; every token has the first one; some families have none.
    let type: Table?
    /// The word's row without a gradient (torch's padding_idx).
    let paddingID: Int
    let norm: NormPlan
    /// Dropout after the norm, used only during training.
    let dropout: Float

    /// Its tensors, in the order in which backward finishes their gradients.
    var tensors: [TensorSpecification] {
        norm.tensors + [type, position, word].compactMap { $0 }.map { .init($0.name, [$0.rows, norm.width]) }
    }
}

/// The tables and the norm of their sum.
struct TokenEmbedding: Sendable {
    private let word: TensorSlot
    private let position: TensorSlot?
    private let type: TensorSlot?
    private let norm: Norm
    private let positionStart: Int
    private let paddingID: Int
    private let dropoutRate: Float
    private let width: Int

    /// What backward needs.
    struct Saved {
        let sum: Matrix  // [T, D]
        let norm: Norm.Saved
    }

    init(_ plan: TokenEmbeddingPlan, _ layout: ParameterLayout) {
        word = TensorSlot(layout, plan.word.name)
        position = plan.position.map { TensorSlot(layout, $0.name) }
        type = plan.type.map { TensorSlot(layout, $0.name) }
        norm = Norm(plan.norm, layout)
        positionStart = plan.positionStart
        paddingID = plan.paddingID
        dropoutRate = plan.dropout
        width = plan.norm.width
    }

    func allocate(tokens: Int, arena: inout Arena) -> Saved {
        Saved(sum: arena.matrix(tokens, width), norm: Norm.Saved(rows: tokens, arena: &arena))
    }

    /// output [T, D] = the embedded tokens.
    func forward(_ pass: PassContext, _ parameters: ParameterStore, saved: Saved, into output: Matrix) {
        EmbeddingKernels.gatherEmbeddings(
            pass.tokens, word: parameters.pointer(word),
            position: position.map { UnsafePointer(parameters.pointer($0)) }, positionStart: positionStart,
            type: type.map { UnsafePointer(parameters.pointer($0)) }, into: saved.sum)
        norm.forward(saved.sum, parameters, dropout: mask(pass), saved: saved.norm, into: output)
    }

    /// Gradients of tables and norm accumulate, and the tokens' rows are marked; `dOutput` [T, D] is overwritten.
    func backward(
        _ pass: PassContext, _ parameters: ParameterStore, saved: Saved, dOutput: Matrix,
        scratch: UnsafeMutablePointer<Float>
    ) {
        norm.backward(
            saved.sum, parameters, dropout: mask(pass), saved: saved.norm, inPlace: dOutput, scratch: scratch)
        EmbeddingKernels.scatterEmbeddings(
            pass.tokens, dOutput: dOutput, dWord: parameters.gradientPointer(word),
            dPosition: position.map { parameters.gradientPointer($0) }, positionStart: positionStart,
            dType: type.map { parameters.gradientPointer($0) }, paddingID: paddingID)
        if parameters.touched.watches(word) { parameters.touched.mark(pass.tokens) }
    }

    private func mask(_ pass: PassContext) -> DropoutMask? {
        pass.mask(layer: 0, .embedding, rate: dropoutRate)
    }
}
