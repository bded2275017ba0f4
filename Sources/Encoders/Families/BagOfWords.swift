// A bag of words: a sentence vector has one number for each word of a vocabulary, the word's weight if the text has it. It
// has no parameters; Dense modules after it have.
//
// Reference: sentence_transformers/sentence_transformer/modules/bow.py.

import TuttiGround

/// The settings of a BoW.
package struct BagOfWords: EncoderFamily, Equatable {
    package static let modelTypes = ["BoW"]
    package static let checkpointPrefixes: [String] = []
    package static let options = OptionList<BagOfWords>([])

    /// [V] the weight of each word.
    package var weights: [Float] = []
    /// Whether a word counts as often as it occurs.
    package var isCumulative = true

    package init() {}

    /// A vocabulary of words with these weights.
    package init(weights: [Float], isCumulative: Bool) {
        (self.weights, self.isCumulative) = (weights, isCumulative)
    }

    package var sizes: FamilySizes { FamilySizes(layersKey: "", layers: 0, shapes: []) }

    package func plan() throws(TuttiError) -> EncoderPlan {
        var embedding = TokenEmbeddingPlan(
            word: .init(name: "", rows: weights.count), paddingID: nil, width: weights.count, dropout: 0)
        embedding.use = .none
        return EncoderPlan(
            embedding: embedding, layers: [], carries: .normed, longestSequence: EncoderPlan.unlimitedLength,
            bag: .words(weights: weights, isCumulative: isCumulative))
    }
}
