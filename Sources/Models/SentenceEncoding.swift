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

    /// The same for texts with a `task`, such as "query" or "document", which chooses the route of a model with a Router;
    /// nil = its default route. A model without one encodes all texts alike, which is what conforming types do that do
    /// not implement this. Collective.
    func encode(
        _ texts: [String], prompt: String?, task: String?, tokensPerBatch: Int, ensemble: (any Ensemble)?
    ) throws -> Embeddings
}

extension SentenceEncoding {
    /// The embeddings of `texts`, whatever their task. Collective.
    public func encode(
        _ texts: [String], prompt: String?, task: String?, tokensPerBatch: Int, ensemble: (any Ensemble)?
    ) throws -> Embeddings {
        try encode(texts, prompt: prompt, tokensPerBatch: tokensPerBatch, ensemble: ensemble)
    }

    /// The embeddings of queries by the route of the task "query"; `prompt` nil = the model's prompt of queries.
    /// Collective.
    public func encodeQueries(
        _ texts: [String], prompt: String? = nil, tokensPerBatch: Int = 8192, ensemble: (any Ensemble)? = nil
    ) throws -> Embeddings {
        try encode(
            texts, prompt: prompt ?? queryPrompt, task: "query", tokensPerBatch: tokensPerBatch, ensemble: ensemble)
    }

    /// The embeddings of documents by the route of the task "document"; `prompt` nil = the model's prompt of documents.
    /// Collective.
    public func encodeDocuments(
        _ texts: [String], prompt: String? = nil, tokensPerBatch: Int = 8192, ensemble: (any Ensemble)? = nil
    ) throws -> Embeddings {
        try encode(
            texts, prompt: prompt ?? documentPrompt, task: "document", tokensPerBatch: tokensPerBatch,
            ensemble: ensemble)
    }

    /// The prompt of queries: the one named "query", else none.
    public var queryPrompt: String { prompts["query"] ?? "" }

    /// The prompt of documents: the one named "document", else none.
    public var documentPrompt: String { prompts["document"] ?? "" }
}
