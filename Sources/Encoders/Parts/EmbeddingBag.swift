// Token ids to sentence vectors without token vectors: the mean of the tokens' rows, gathered and pooled in one, or the
// weights of the words that occur.
//
// Legend: T packed tokens, S sequences, D width. Reference: torch.nn.EmbeddingBag, mode "mean"; BoW.get_sentence_features in
// sentence_transformers/sentence_transformer/modules/bow.py.

import TuttiKernels

/// What makes sentence vectors of a plan without token vectors.
struct EmbeddingBag: Sendable {
    private let bag: BagPlan
    /// [V, D] of a mean.
    private let table: TensorSlot?

    init(_ bag: BagPlan, _ plan: EncoderPlan, _ layout: ParameterLayout) {
        self.bag = bag
        table = bag == .mean ? TensorSlot(layout, plan.embedding.word.name) : nil
    }

    /// pooled [S, D] = the mean of each sequence's rows, or its words' weights; zero without tokens.
    func forward(_ pass: PassContext, _ parameters: ParameterStore, into pooled: Matrix) {
        if let table { return EmbeddingBagKernels.forward(pass.tokens, table: parameters.pointer(table), into: pooled) }
        guard case .words(let weights, let isCumulative) = bag else { return }
        for s in 0..<pass.sequences {
            let row = pooled.row(s)
            row.update(repeating: 0, count: pooled.columns)
            for t in Int(pass.tokens.offsets[s])..<Int(pass.tokens.offsets[s + 1]) {
                let word = Int(pass.tokens.ids[t])
                row[word] = isCumulative ? row[word] + weights[word] : weights[word]
            }
        }
    }

    /// The gradient of a table accumulates, and the tokens' rows are marked; nothing where it is frozen.
    func backward(_ pass: PassContext, _ parameters: ParameterStore, dPooled: Matrix) {
        guard let table, let dTable = parameters.gradientPointer(table) else { return }
        EmbeddingBagKernels.backward(pass.tokens, dOutput: dPooled, dTable: dTable)
        if parameters.touched.watches(table) { parameters.touched.mark(pass.tokens) }
    }
}
