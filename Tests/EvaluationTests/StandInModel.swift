// A model for tests of evaluators: embeddings by a rule, not by an encoder.

import TuttiEnsemble
import TuttiFormats
import TuttiGround
import TuttiModels

/// Gives every text, its prompt before it, the row that a function says.
final class StandInModel: SentenceEncoding {
    let similarity: String
    let prompts: [String: String]
    private let row: (_ text: String, _ place: Int) -> [Float]

    /// A model that embeds a text, prompt included, as `row` of it and of its place in the call.
    init(
        similarity: String = "cosine", prompts: [String: String] = [:],
        row: @escaping (_ text: String, _ place: Int) -> [Float]
    ) {
        self.similarity = similarity
        self.prompts = prompts
        self.row = row
    }

    /// A model that looks texts up in a golden case's table; a text that is not there gives NaN.
    convenience init(golden: JSONValue, prompts: [String: String]) {
        var rows: [String: [Float]] = [:]
        for (key, value) in golden["embeddings"]?.object ?? JSONObject() {
            rows[key] = value.array?.map { Float($0.double ?? .nan) }
        }
        let unknown = [Float](repeating: .nan, count: rows.values.first?.count ?? 1)
        self.init(similarity: golden["similarity"]?.string ?? "", prompts: prompts) { text, _ in
            rows[text] ?? unknown
        }
    }

    func encode(_ texts: [String], prompt: String?, tokensPerBatch: Int, ensemble: (any Ensemble)?) throws -> Embeddings
    {
        let rows = texts.enumerated().map { row((prompt ?? "") + $0.element, $0.offset) }
        return Embeddings(rows: rows.flatMap { $0 }, dimension: rows.first?.count ?? 1)
    }
}
