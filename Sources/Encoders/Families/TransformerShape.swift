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
    /// Whether tokens see what comes before them only.
    var isDecoder = false
    /// Whether layers attend to an encoder's output too.
    var addsCrossAttention = false

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

    /// BERT's keys of config.json.
    static let options = OptionList<TransformerShape>([
        Option(
            "vocab_size", \.vocabularySize, "tokens in the vocabulary", check: .atLeast(1), isRequired: true),
        Option("hidden_size", \.hiddenSize, "width of a token's vector", check: .atLeast(1), isRequired: true),
        Option("num_hidden_layers", \.layers, "number of layers", check: .atLeast(1), isRequired: true),
        Option(
            "num_attention_heads", \.heads, "attention heads of a layer", check: .atLeast(1), isRequired: true),
        Option(
            "intermediate_size", \.innerSize, "width inside the feed-forward branch", check: .atLeast(1),
            isRequired: true),
        Option(
            "max_position_embeddings", \.maximumPositions, "rows of the position table", check: .atLeast(1),
            isRequired: true),
        Option("layer_norm_eps", \.layerNormEpsilon, "epsilon of the norms", check: .positive),
        Option("hidden_act", \.activation, "activation of the feed-forward branch"),
        Option(
            "hidden_dropout_prob", \.hiddenDropout, "dropout behind embeddings and branches", check: .within(0..<1)),
        Option(
            "attention_probs_dropout_prob", \.attentionDropout, "dropout of attention probabilities",
            check: .within(0..<1)),
        Option("pad_token_id", \.padTokenID, "the padding token; its row of the word table gets no gradient"),
        .only("position_embedding_type", "absolute", "how positions enter"),
        Option("is_decoder", \.isDecoder, "of a decoder, which cannot be trained as an encoder"),
        Option("add_cross_attention", \.addsCrossAttention, "of a decoder, which cannot be trained as an encoder"),
    ])

    /// What these dimensions ask for.
    func sizes(_ more: (key: String, shape: [Int])...) -> FamilySizes {
        FamilySizes(
            layersKey: "num_hidden_layers", layers: layers,
            shapes: [
                ("hidden_size", [hiddenSize, hiddenSize]), ("vocab_size", [vocabularySize, hiddenSize]),
                ("max_position_embeddings", [maximumPositions, hiddenSize]),
                ("intermediate_size", [innerSize, hiddenSize]), ("num_attention_heads", [heads]),
            ] + more + [
                ("num_hidden_layers", [layers, hiddenSize, hiddenSize]),
                ("num_hidden_layers", [layers, innerSize, hiddenSize]),
            ])
    }

    /// Refuses dimensions that the kernels cannot compute together, by their keys; of an encoder a decoder's flags too.
    func validate(isEncoder: Bool = true) throws(TuttiError) {
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
        guard (0..<vocabularySize).contains(padTokenID) else {
            throw planError("pad_token_id", "is \(padTokenID), which is outside of the vocabulary")
        }
        for (name, isSet) in [("is_decoder", isDecoder), ("add_cross_attention", addsCrossAttention)]
        where isSet && isEncoder {
            throw planError(name, "is true, where only encoders can be trained")
        }
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
        query: String, key: String, value: String, output: String, positions: PositionsPlan = .none,
        span: AttentionSpan = .full
    ) -> BranchPlan {
        .selfAttention(
            SelfAttentionPlan(
                projection: LinearPlan(query, key, value, inputs: hiddenSize, outputs: hiddenSize),
                output: LinearPlan(output, inputs: hiddenSize, outputs: hiddenSize), heads: heads,
                headWidth: headWidth, span: span, positions: positions, dropout: attentionDropout))
    }

    /// A feed-forward branch whose modules have these names.
    func feedForward(inner: String, output: String) -> BranchPlan {
        .feedForward(
            FeedForwardPlan(
                inner: LinearPlan(inner, inputs: hiddenSize, outputs: innerSize),
                output: LinearPlan(output, inputs: innerSize, outputs: hiddenSize), activation: activation))
    }
}
