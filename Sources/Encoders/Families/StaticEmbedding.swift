// Static embeddings (model2vec, sentence-transformers' StaticEmbedding): a table of one vector a token, and the mean of
// the tokens of a text. A plan without layers; an empty text is the zero vector, and texts have no longest length.
//
// It has no config.json, so it is not in `EncoderFamilies`: its two sizes are those of its table.
// Reference: sentence_transformers/sentence_transformer/modules/static_embedding.py; torch.nn.EmbeddingBag (mean).

import TuttiGround

/// The settings of a StaticEmbedding.
package struct StaticEmbedding: EncoderFamily, Equatable {
    /// The name of its only tensor.
    package static let table = "embedding.weight"
    package static let modelTypes = ["StaticEmbedding"]
    package static let checkpointPrefixes: [String] = []
    package static let options = OptionList<StaticEmbedding>([])

    /// V.
    package var rows = 0
    /// D.
    package var width = 0

    package init() {}

    /// A table of `rows` vectors of `width` numbers.
    package init(rows: Int, width: Int) {
        self.rows = rows
        self.width = width
    }

    package var sizes: FamilySizes { FamilySizes(layersKey: "", layers: 0, shapes: [("", [rows, width])]) }

    package func plan() throws(TuttiError) -> EncoderPlan {
        let embedding = TokenEmbeddingPlan(
            word: .init(name: Self.table, rows: rows), paddingID: nil, width: width, dropout: 0)
        return EncoderPlan(
            embedding: embedding, layers: [], carries: .normed, longestSequence: EncoderPlan.unlimitedLength, bag: .mean
        )
    }
}
