// Word embeddings (GloVe, word2vec) as token vectors: a table of one vector a word, trained or not, and no layers. What
// follows works on token vectors, and pooling makes a sentence vector of them.
//
// It has no config.json, so it is not in `EncoderFamilies`: its two sizes are those of its table.
// Reference: sentence_transformers/sentence_transformer/modules/word_embeddings.py.

import TuttiGround

/// The settings of WordEmbeddings.
package struct WordEmbeddings: EncoderFamily, Equatable {
    /// The name of its only tensor.
    package static let table = "emb_layer.weight"
    package static let modelTypes = ["WordEmbeddings"]
    package static let checkpointPrefixes: [String] = []
    package static let options = OptionList<WordEmbeddings>([])

    /// V.
    package var rows = 0
    /// D.
    package var width = 0
    /// Whether the table is trained.
    package var isTrained = false

    package init() {}

    /// A table of `rows` vectors of `width` numbers.
    package init(rows: Int, width: Int, isTrained: Bool) {
        (self.rows, self.width, self.isTrained) = (rows, width, isTrained)
    }

    package var sizes: FamilySizes { FamilySizes(layersKey: "", layers: 0, shapes: [("", [rows, width])]) }

    package func plan() throws(TuttiError) -> EncoderPlan {
        var embedding = TokenEmbeddingPlan(
            word: .init(name: Self.table, rows: rows), paddingID: nil, width: width, dropout: 0)
        embedding.use = isTrained ? .trained : .frozen
        return EncoderPlan(
            embedding: embedding, layers: [], carries: .normed, longestSequence: EncoderPlan.unlimitedLength)
    }
}
