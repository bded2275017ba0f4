// What evaluators and miners need of a model: texts in, embeddings out, and the names that its configuration gives.

import TuttiEnsemble

/// Anything that turns texts into embeddings: a `SentenceEncoder`, or a stand-in with the same contract.
public protocol SentenceEncoding: AnyObject {
    /// The similarity function of the model: "cosine", "dot", "euclidean" or "manhattan".
    var similarity: String { get }
    /// Prompts by name.
    var prompts: [String: String] { get }

    /// The embeddings of `texts` in their order.
    ///
    /// `prompt` is put before every text; nil stands for the model's default prompt, "" for none.
    /// Collective: with an ensemble every rank must call with the same texts, and every rank gets all rows.
    func encode(
        _ texts: [String], prompt: String?, tokensPerBatch: Int, ensemble: (any Ensemble)?
    ) throws -> Embeddings
}

extension SentenceEncoding {
    /// The prompt of queries: the one named "query", else none.
    public var queryPrompt: String { prompts["query"] ?? "" }

    /// The prompt of documents: the one named "document", else none.
    public var documentPrompt: String { prompts["document"] ?? "" }
}
