// Token ids to sentence vectors without layers: the mean of the tokens' rows, gathered and pooled in one.
//
// Legend: T packed tokens, S sequences, D width. Reference: torch.nn.EmbeddingBag, mode "mean".

import TuttiKernels

/// The table of a plan without layers, and the mean of its rows.
struct EmbeddingBag: Sendable {
    private let table: TensorSlot  // [V, D]

    init(_ plan: EncoderPlan, _ layout: ParameterLayout) { table = TensorSlot(layout, plan.embedding.word.name) }

    /// pooled [S, D] = the mean of each sequence's rows; zero without tokens.
    func forward(_ pass: PassContext, _ parameters: ParameterStore, into pooled: Matrix) {
        EmbeddingBagKernels.forward(pass.tokens, table: parameters.pointer(table), into: pooled)
    }

    /// The table's gradient accumulates, and the tokens' rows are marked; nothing where it is frozen.
    func backward(_ pass: PassContext, _ parameters: ParameterStore, dPooled: Matrix) {
        guard let dTable = parameters.gradientPointer(table) else { return }
        EmbeddingBagKernels.backward(pass.tokens, dOutput: dPooled, dTable: dTable)
        if parameters.touched.watches(table) { parameters.touched.mark(pass.tokens) }
    }
}
