// A model whose progress in encoding somebody follows: evaluators that take minutes are not silent.

import TuttiEnsemble

/// Encodes as its model does, and says how far it has come.
package final class ObservedEncoding: SentenceEncoding {
    private let model: SentenceEncoder
    private let observe: (_ done: Int, _ total: Int) -> Void

    /// Follows `model`; `observe` gets the texts that are done, of all texts of a call, from zero on.
    package init(_ model: SentenceEncoder, observe: @escaping (_ done: Int, _ total: Int) -> Void) {
        self.model = model
        self.observe = observe
    }

    /// The model's.
    package var similarity: String { model.similarity }
    /// The model's.
    package var prompts: [String: String] { model.prompts }

    /// The embeddings of `texts`, as the model's own. Collective.
    package func encode(
        _ texts: [String], prompt: String?, tokensPerBatch: Int, ensemble: (any Ensemble)?
    ) throws -> Embeddings {
        try encode(texts, prompt: prompt, task: nil, tokensPerBatch: tokensPerBatch, ensemble: ensemble)
    }

    /// The embeddings of `texts` by the route of their task, as the model's own. Collective.
    package func encode(
        _ texts: [String], prompt: String?, task: String?, tokensPerBatch: Int, ensemble: (any Ensemble)?
    ) throws -> Embeddings {
        try model.encode(
            texts, prompt: prompt, task: task, tokensPerBatch: tokensPerBatch, ensemble: ensemble, observe: observe)
    }
}
