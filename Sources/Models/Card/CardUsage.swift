// The code in a model card that loads the model and compares a few texts, with the similarities that it prints.
//
// Reference: run_usage_snippet and generate_usage_snippet in sentence_transformers/sentence_transformer/model_card.py.

import TuttiFormats

/// The texts of a card's code, and what the model makes of them.
package struct CardUsage: Sendable {
    /// Whether the first text is a query, and the others are documents to find.
    package var isRetrieval = false
    /// The texts; none for those of every card.
    package var texts: [String] = []
    /// The similarities of the first text, or of all, to all or to those after it; none where they were not computed.
    package var similarities: [[Float]] = []

    /// Nothing known.
    package init() {}

    /// The texts that are shown.
    package var shown: [String] {
        guard texts.isEmpty else { return Array(texts.prefix(isRetrieval ? 4 : 3)) }
        return isRetrieval
            ? [
                "Which planet is known as the Red Planet?",
                "Venus is often called Earth's twin because of its similar size and proximity.",
                "Mars, known for its reddish appearance, is often referred to as the Red Planet.",
                "Saturn, famous for its rings, is sometimes mistaken for the Red Planet.",
            ] : ["The weather is lovely today.", "It's so sunny outside!", "He drove to the stadium."]
    }

    /// The code block for a model that is found as `id`, with embeddings of `width` numbers.
    func code(id: String, width: Int) -> String {
        let rows = shown.count
        let beginning = [
            "```python", "from sentence_transformers import SentenceTransformer", "", "# Download from the 🤗 Hub",
            "model = SentenceTransformer(\"\(id.isEmpty ? "sentence_transformers_model_id" : id)\")", "# Run inference",
        ]
        func list(_ name: String, _ texts: some Sequence<String>) -> [String] {
            ["\(name) = ["] + texts.map { "    \(pythonRepresentation(of: $0))," } + ["]"]
        }
        let encoding =
            isRetrieval
            ? list("queries", shown.prefix(1)) + list("documents", shown.dropFirst()) + [
                "query_embeddings = model.encode_query(queries)",
                "document_embeddings = model.encode_document(documents)",
                "print(query_embeddings.shape, document_embeddings.shape)",
                "# [1, \(width)] [\(rows - 1), \(width)]",
            ]
            : list("sentences", shown) + [
                "embeddings = model.encode(sentences)", "print(embeddings.shape)", "# [\(rows), \(width)]",
            ]
        let arguments = isRetrieval ? "query_embeddings, document_embeddings" : "embeddings, embeddings"
        let comparison = [
            "", "# Get the similarity scores for the embeddings", "similarities = model.similarity(\(arguments))",
        ]
        let result =
            similarities.isEmpty
            ? ["print(similarities.shape)", isRetrieval ? "# [1, \(rows - 1)]" : "# [\(rows), \(rows)]"]
            : ["print(similarities)"]
                + CardNumber.tensor(similarities).split(separator: "\n").map { "# \($0)" }
        return (beginning + encoding + comparison + result + ["```"]).joined(separator: "\n")
    }

    /// Computes the similarities by `model`.
    ///
    /// Throws: as encoding.
    package mutating func compare(by model: SentenceEncoder) throws {
        let (first, others): (Embeddings, Embeddings)
        if isRetrieval {
            first = try model.encodeQueries([shown[0]])
            others = try model.encodeDocuments(Array(shown.dropFirst()))
        } else {
            first = try model.encode(shown)
            others = first
        }
        similarities = withExtendedLifetime((first, others)) {
            (0..<first.count).map { row in
                (0..<others.count).map { CardUsage.similarity(first[row], others[$0], by: model.similarity) }
            }
        }
    }

    /// How two embeddings compare by the function with the name that models give it.
    private static func similarity(
        _ u: UnsafeBufferPointer<Float>, _ v: UnsafeBufferPointer<Float>, by function: String
    ) -> Float {
        func sum(_ term: (Double, Double) -> Double) -> Double {
            zip(u, v).reduce(0) { $0 + term(Double($1.0), Double($1.1)) }
        }
        switch function {
        case "euclidean": return Float(-sum { ($0 - $1) * ($0 - $1) }.squareRoot())
        case "manhattan": return Float(-sum { abs($0 - $1) })
        case "dot": return Float(sum(*))
        default: return Float(sum(*) / (Double(Embeddings.length(u)) * Double(Embeddings.length(v))))
        }
    }
}
