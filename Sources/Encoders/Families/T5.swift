// The encoder of T5, mT5 and umT5 (sentence-t5, GTR, instructor): RMS norms before each branch, no biases, scores without a
// scale but with a bias by distance, from one table for all layers (umT5: from one table a layer).
//
// A decoder and its head are not read and not saved, as in the reference. Dropout has six sites, all of one rate: the embedding,
// attention probabilities, what each branch adds, what the second linear layer reads, and the last layer's output.
// Reference: Raffel et al. 2020, arXiv 1910.10683; transformers/models/t5/modeling_t5.py.

import TuttiGround
import TuttiKernels

/// The settings of the model types "t5" and "mt5".
package struct T5: EncoderFamily, Equatable {
    package static let modelTypes = ["t5", "mt5"]
    package static let checkpointPrefixes: [String] = []
    package static let foreignPrefixes = ["decoder.", "lm_head."]
    package static let encoderClasses = ["t5": "T5EncoderModel", "mt5": "MT5EncoderModel"]
    package static let aliases = ["encoder.embed_tokens.weight": "shared.weight"]
    package static let options = OptionList<T5>([
        Option("vocab_size", \.vocabularySize, "tokens in the vocabulary", check: .atLeast(1), isRequired: true),
        Option("d_model", \.hiddenSize, "width of a token's vector", check: .atLeast(1), isRequired: true),
        Option("d_kv", \.headWidth, "width of an attention head", check: .atLeast(1), isRequired: true),
        Option("d_ff", \.innerSize, "width inside the feed-forward branch", check: .atLeast(1), isRequired: true),
        Option("num_layers", \.layers, "number of layers", check: .atLeast(1), isRequired: true),
        Option("num_heads", \.heads, "attention heads of a layer", check: .atLeast(1), isRequired: true),
        Option("relative_attention_num_buckets", \.buckets, "rows of the table of distances", check: .atLeast(4)),
        Option(
            "relative_attention_max_distance", \.farthest, "distance from which on all share a row", check: .atLeast(1)),
        Option("dropout_rate", \.dropout, "dropout at every site", check: .within(0..<1)),
        Option("layer_norm_epsilon", \.epsilon, "epsilon of the norms", check: .positive),
        Option("feed_forward_proj", \.feedForward, "activation of the feed-forward branch, gated or not"),
    ])

    /// Of the decoder, of tables that T5 does not have, and what the reference derives from feed_forward_proj.
    package static let inertKeys = [
        "num_decoder_layers", "scale_decoder_outputs", "n_positions", "pad_token_id", "dense_act_fn", "is_gated_act",
    ]

    /// V.
    package var vocabularySize = 0
    /// D.
    package var hiddenSize = 0
    /// E, which need not be D / H.
    package var headWidth = 0
    /// F.
    package var innerSize = 0
    /// Number of layers.
    package var layers = 0
    /// H.
    package var heads = 0
    /// Rows of a table of distances.
    package var buckets = 32
    /// The distance from which on all share a row.
    package var farthest = 128
    /// Of every site, used only while training.
    package var dropout: Float = 0.1
    /// Epsilon of every norm.
    package var epsilon: Float = 1e-6
    /// Of the feed-forward branches.
    var feedForward = FeedForwardKind(activation: .relu, isGated: false)

    package init() {}

    package var sizes: FamilySizes {
        FamilySizes(
            layersKey: "num_layers", layers: layers,
            shapes: [
                ("vocab_size", [vocabularySize, hiddenSize]), ("d_model", [hiddenSize]),
                ("d_kv", [heads, headWidth, hiddenSize]), ("d_ff", [innerSize, hiddenSize]),
                ("relative_attention_num_buckets", [buckets, heads]),
                ("num_layers", [layers, heads, headWidth, hiddenSize]),
                ("num_layers", [layers, innerSize, hiddenSize]),
            ])
    }

    package func plan() throws(TuttiError) -> EncoderPlan { try plan(hasTablePerLayer: false) }

    /// The encoder; `hasTablePerLayer` = every layer has its own table of distances, not the first one's.
    func plan(hasTablePerLayer: Bool) throws(TuttiError) -> EncoderPlan {
        try checkOptions()
        guard buckets % 4 == 0 else {
            throw planError("relative_attention_num_buckets", "is \(buckets)", hint: "It must be a multiple of 4.")
        }
        guard farthest > buckets / 4 else {
            throw planError(
                "relative_attention_max_distance", "is \(farthest)",
                hint: "It must be more than \(buckets / 4), the distances with a row of their own.")
        }
        return EncoderPlan(
            embedding: TokenEmbeddingPlan(
                word: .init(name: "shared.weight", rows: vocabularySize), paddingID: nil, width: hiddenSize,
                dropout: dropout),
            entry: norm(Self.block(0, 0) + "layer_norm"),
            layers: (0..<layers).map { layer($0, table: hasTablePerLayer ? $0 : 0) }, carries: .plain,
            outputDropout: dropout, longestSequence: EncoderPlan.unlimitedLength)
    }

    private static func block(_ number: Int, _ half: Int) -> String { "encoder.block.\(number).layer.\(half)." }

    private func norm(_ name: String) -> NormPlan {
        NormPlan(name: name, width: hiddenSize, epsilon: epsilon, kind: .rms)
    }

    private func layer(_ number: Int, table: Int) -> LayerPlan {
        let attention = Self.block(number, 0) + "SelfAttention."
        let dense = Self.block(number, 1) + "DenseReluDense."
        let positions = PositionsPlan.relative(
            table: Self.block(table, 0) + "SelfAttention.relative_attention_bias.weight", rows: buckets, heads: heads,
            buckets: DistanceBuckets(count: buckets, farthest: farthest))
        let width = heads * headWidth
        let selfAttention = SelfAttentionPlan(
            projection: LinearPlan(
                attention + "q", attention + "k", attention + "v", inputs: hiddenSize, outputs: width, hasBias: false),
            output: LinearPlan(attention + "o", inputs: width, outputs: hiddenSize, hasBias: false), heads: heads,
            headWidth: headWidth, scale: 1, positions: positions, dropout: dropout)
        let inner =
            feedForward.isGated
            ? LinearPlan(dense + "wi_0", dense + "wi_1", inputs: hiddenSize, outputs: innerSize, hasBias: false)
            : LinearPlan(dense + "wi", inputs: hiddenSize, outputs: innerSize, hasBias: false)
        let branch = FeedForwardPlan(
            inner: inner, output: LinearPlan(dense + "wo", inputs: innerSize, outputs: hiddenSize, hasBias: false),
            activation: feedForward.activation, gate: feedForward.isGated ? .first : nil, dropout: dropout)
        let next = number == layers - 1 ? "encoder.final_layer_norm" : Self.block(number + 1, 0) + "layer_norm"
        return LayerPlan(stages: [
            StagePlan(
                branch: .selfAttention(selfAttention),
                junction: JunctionPlan(norm: norm(Self.block(number, 1) + "layer_norm"), dropout: dropout)),
            StagePlan(branch: .feedForward(branch), junction: JunctionPlan(norm: norm(next), dropout: dropout)),
        ])
    }
}

/// The settings of model_type "umt5".
package struct UMT5: EncoderFamily, Equatable {
    package static let modelTypes = ["umt5"]
    package static let checkpointPrefixes = T5.checkpointPrefixes
    package static let foreignPrefixes = T5.foreignPrefixes
    package static let encoderClasses = ["umt5": "UMT5EncoderModel"]
    package static let aliases = T5.aliases
    package static let options = OptionList<UMT5>(T5.options.lifted(to: \.t5))
    package static let inertKeys = T5.inertKeys

    /// What it shares with T5.
    package var t5 = T5()

    package init() { t5.feedForward = FeedForwardKind(activation: .geluTanh, isGated: true) }

    package var sizes: FamilySizes { t5.sizes }

    package func plan() throws(TuttiError) -> EncoderPlan {
        try checkOptions()
        return try t5.plan(hasTablePerLayer: true)
    }
}

/// T5's name of an activation: "relu", or "gated-" and a name; its "gated-gelu" means the tanh form.
struct FeedForwardKind: OptionValue, Equatable {
    let activation: Activation
    let isGated: Bool

    init(activation: Activation, isGated: Bool) {
        self.activation = activation
        self.isGated = isGated
    }

    static var words: String { "an activation, or gated- and an activation" }

    init(option json: JSONValue) throws(OptionProblem) {
        let text = try String(option: json)
        let isGated = text.hasPrefix("gated-")
        let name = isGated ? String(text.dropFirst("gated-".count)) : text
        let activation = try Activation(option: .string(name))
        self.init(activation: isGated && activation == .gelu ? .geluTanh : activation, isGated: isGated)
    }

    var optionJSON: JSONValue {
        guard let name = activation.optionJSON.string else { return .null }
        return .string(isGated ? "gated-" + name : name)
    }
}
