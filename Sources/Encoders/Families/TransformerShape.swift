// The numbers that describe BERT and its descendants alike, by the keys that they share in config.json.
//
// Legend: D hidden, H heads, E = D / H head width, F inner, V vocabulary.

import TuttiGround
import TuttiKernels

/// A transformer's dimensions and settings.
package struct TransformerShape: Sendable, Equatable {
    /// V.
    package var vocabularySize: Int
    /// D.
    package var hiddenSize: Int
    /// Number of layers.
    package var layers: Int
    /// H.
    package var heads: Int
    /// F.
    package var innerSize: Int
    /// Rows of the position table (some families leave the first ones out).
    package var maximumPositions: Int
    /// Epsilon of every norm.
    package var layerNormEpsilon: Float = 1e-12
    /// Of the feed-forward branches.
    package var activation: Activation = .gelu
    /// Dropout behind embeddings and branches, used only while training.
    package var hiddenDropout: Float = 0.1
    /// Dropout of attention probabilities, used only while training.
    package var attentionDropout: Float = 0.1
    /// The padding token: its row of the word table gets no gradient.
    package var padTokenID = 0

    /// These dimensions, with BERT's settings.
    package init(
        vocabularySize: Int, hiddenSize: Int, layers: Int, heads: Int, innerSize: Int, maximumPositions: Int
    ) {
        self.vocabularySize = vocabularySize
        self.hiddenSize = hiddenSize
        self.layers = layers
        self.heads = heads
        self.innerSize = innerSize
        self.maximumPositions = maximumPositions
    }

    /// No dimensions yet: each has a required key.
    init() { self.init(vocabularySize: 0, hiddenSize: 0, layers: 0, heads: 0, innerSize: 0, maximumPositions: 0) }

    /// E.
    var headWidth: Int { hiddenSize / max(heads, 1) }

    /// BERT's keys for the shape at `path` of a family's settings.
    static func keys<Family>(at path: WritableKeyPath<Family, TransformerShape>) -> [FamilyKey<Family>] {
        [
            .required("vocab_size", path.appending(path: \.vocabularySize)),
            .required("hidden_size", path.appending(path: \.hiddenSize)),
            .required("num_hidden_layers", path.appending(path: \.layers)),
            .required("num_attention_heads", path.appending(path: \.heads)),
            .required("intermediate_size", path.appending(path: \.innerSize)),
            .required("max_position_embeddings", path.appending(path: \.maximumPositions)),
            .number("layer_norm_eps", path.appending(path: \.layerNormEpsilon)),
            .activation("hidden_act", path.appending(path: \.activation)),
            .number("hidden_dropout_prob", path.appending(path: \.hiddenDropout)),
            .number("attention_probs_dropout_prob", path.appending(path: \.attentionDropout)),
            .integer("pad_token_id", path.appending(path: \.padTokenID)),
            .only("position_embedding_type", "absolute"), .isDecoder("is_decoder"), .isDecoder("add_cross_attention"),
        ]
    }

    /// Refuses dimensions that the kernels cannot compute, by their keys.
    func validate() throws(TuttiError) {
        for (name, value) in [
            ("vocab_size", vocabularySize), ("hidden_size", hiddenSize), ("num_hidden_layers", layers),
            ("num_attention_heads", heads), ("intermediate_size", innerSize),
            ("max_position_embeddings", maximumPositions),
        ] where value < 1 {
            throw planError(name, "is \(value)", hint: "It must be at least 1.")
        }
        guard hiddenSize % heads == 0 else {
            throw planError("num_attention_heads", "\(heads) does not divide hidden_size \(hiddenSize)")
        }
        guard hiddenSize % 16 == 0 else {
            throw planError("hidden_size", "is \(hiddenSize)", hint: "It must be a multiple of 16.")
        }
        guard headWidth % 8 == 0, headWidth <= 128 else {
            throw planError(
                "num_attention_heads", "heads are \(headWidth) wide", hint: "A multiple of 8 up to 128 is supported.")
        }
        for (name, rate) in [
            ("hidden_dropout_prob", hiddenDropout), ("attention_probs_dropout_prob", attentionDropout),
        ] where !(rate >= 0 && rate < 1) {
            throw planError(name, "is \(rate)", hint: "It must be in 0 ..< 1.")
        }
        guard layerNormEpsilon > 0 else { throw planError("layer_norm_eps", "is \(layerNormEpsilon)") }
    }

    // MARK: Parts

    /// A norm of this shape.
    func norm(_ name: String) -> NormPlan { NormPlan(name: name, width: hiddenSize, epsilon: layerNormEpsilon) }

    /// `branch` with a junction of this shape.
    func stage(_ branch: BranchPlan, norm name: String) -> StagePlan {
        StagePlan(branch: branch, junction: JunctionPlan(norm: norm(name), dropout: hiddenDropout))
    }

    /// Self-attention whose modules have these names.
    func selfAttention(
        query: String, key: String, value: String, output: String, positions: PositionsPlan = .none
    ) -> BranchPlan {
        .selfAttention(
            SelfAttentionPlan(
                projection: LinearPlan(query, key, value, inputs: hiddenSize, outputs: hiddenSize),
                output: LinearPlan(output, inputs: hiddenSize, outputs: hiddenSize), heads: heads,
                headWidth: headWidth, positions: positions, dropout: attentionDropout))
    }

    /// A feed-forward branch whose modules have these names.
    func feedForward(inner: String, output: String) -> BranchPlan {
        .feedForward(
            FeedForwardPlan(
                inner: LinearPlan(inner, inputs: hiddenSize, outputs: innerSize),
                output: LinearPlan(output, inputs: innerSize, outputs: hiddenSize), activation: activation))
    }
}
