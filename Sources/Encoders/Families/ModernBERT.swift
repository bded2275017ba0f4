// ModernBERT (gte-modernbert, modernbert-embed ...): pre-LN without biases, rotary positions, gated feed-forward branches,
// and layers that see a window only, but for every third. The first layer has no norm before its attention.
//
// Older files give the pattern of layers and the bases of the rotations by keys of their own.
// Reference: Warner et al. 2024, arXiv 2412.13663; transformers/models/modernbert/modeling_modernbert.py.

import TuttiGround
import TuttiKernels

/// The settings of model_type "modernbert".
package struct ModernBERT: EncoderFamily, Equatable {
    package static let modelTypes = ["modernbert"]
    package static let checkpointPrefixes = ["model."]
    package static let encoderClasses = ["modernbert": "ModernBertModel"]
    package static let options = OptionList<ModernBERT>(
        OptionList(TransformerShape.options(keys)).lifted(to: \.shape)
            + [
                RotarySettings.nested("rope_scaling", "scaling of all rotations", at: \.scaling),
                RotarySettings.byKind(full: \.full, sliding: \.sliding),
                Option("norm_bias", \.normBias, "whether norms shift"),
                Option("attention_bias", \.attentionBias, "whether the projections of attention have biases"),
                Option("mlp_bias", \.mlpBias, "whether the products of feed-forward branches have biases"),
                Option(
                    "embedding_dropout", \.embeddingDropout, "dropout behind the embedding", check: .within(0..<1)),
                Option("local_attention", \.localAttention, "width of the window", check: .atLeast(1)),
                Option("layer_types", \.layerTypes, "what the tokens of each layer see"),
                Option(
                    "global_attn_every_n_layers", \.globalEvery, "every how many layers tokens see the whole text",
                    check: .atLeast(1)),
                Option("global_rope_theta", \.globalTheta, "base of the rotation in such layers", check: .positive),
                Option("local_rope_theta", \.localTheta, "base of the rotation in the others", check: .positive),
            ])

    /// Of heads and of the reference's kernels; and two keys of published files that its class does not read.
    package static let inertKeys = [
        "initializer_cutoff_factor", "decoder_bias", "sparse_prediction", "sparse_pred_ignore_index",
        "reference_compile", "deterministic_flash_attn", "repad_logits_with_grad", "layer_norm_eps",
        "position_embedding_type",
    ]

    private static let keys = TransformerShape.Keys(
        epsilon: "norm_eps", activation: "hidden_activation", hiddenDropout: "mlp_dropout",
        attentionDropout: "attention_dropout")

    /// Dimensions; its dropout of branches is that of what the second product of a feed-forward branch reads.
    package var shape: TransformerShape
    /// The rotations of layers that see everything and of the others, and a scaling of both.
    var (full, sliding, scaling) = (RotarySettings(), RotarySettings(), RotarySettings())
    var normBias = false
    var attentionBias = false
    var mlpBias = false
    var embeddingDropout: Float = 0
    var localAttention = 128
    /// nil = by `globalEvery`.
    var layerTypes: [LayerKind]?
    var globalEvery = 3
    var globalTheta = 160_000.0
    /// nil = that of the other layers.
    var localTheta: Double? = 10_000

    package init() {
        shape = TransformerShape()
        shape.keys = Self.keys
        shape.layerNormEpsilon = 1e-5
        shape.hiddenDropout = 0
        shape.attentionDropout = 0
        shape.padTokenID = 50283
        shape.typeRows = 0
    }

    package var sizes: FamilySizes { shape.sizes(hasPositions: false) }

    package func plan() throws(TuttiError) -> EncoderPlan {
        try checkOptions()
        try shape.validate()
        try layerTypes?.check(layers: shape.layers)
        func rotary(_ own: RotarySettings, theta: Double, _ kind: LayerKind) throws(TuttiError) -> RotaryPlan {
            var settings = own
            if scaling.type != "default" {
                settings = scaling
                settings.theta = own.theta
            }
            return try settings.plan(
                width: shape.headWidth, theta: theta, positions: shape.maximumPositions,
                key: "rope_parameters.\(kind.rawValue)")
        }
        let global = try rotary(full, theta: globalTheta, .full)
        let local = try rotary(sliding, theta: localTheta ?? globalTheta, .sliding)
        return EncoderPlan(
            embedding: TokenEmbeddingPlan(
                word: .init(name: "embeddings.tok_embeddings.weight", rows: shape.vocabularySize),
                paddingID: shape.padTokenID, width: shape.hiddenSize, norm: norm("embeddings.norm"),
                dropout: embeddingDropout),
            layers: (0..<shape.layers).map { number in
                let isGlobal = layerTypes.map { $0[number] == .full } ?? (number % globalEvery == 0)
                return layer(number, rotary: isGlobal ? global : local, isGlobal: isGlobal)
            }, carries: .plain, longestSequence: min(shape.maximumPositions, global.longest, local.longest))
    }

    private func norm(_ name: String) -> NormPlan {
        var norm = shape.norm(name)
        norm.hasBias = normBias
        return norm
    }

    /// A layer; the norm behind a branch is the one before the next branch, or the last.
    private func layer(_ number: Int, rotary: RotaryPlan, isGlobal: Bool) -> LayerPlan {
        let (name, d) = ("layers.\(number).", shape.hiddenSize)
        let attention = shape.rotaryAttention(
            projection: name + "attn.Wqkv", output: name + "attn.Wo", rotary,
            span: isGlobal ? .full : .window(reach: localAttention / 2), hasBias: attentionBias)
        let feedForward = FeedForwardPlan(
            inner: LinearPlan(name + "mlp.Wi", inputs: d, outputs: 2 * shape.innerSize, hasBias: mlpBias),
            output: LinearPlan(name + "mlp.Wo", inputs: shape.innerSize, outputs: d, hasBias: mlpBias),
            activation: shape.activation, gate: .first, dropout: shape.hiddenDropout)
        let next = number + 1 < shape.layers ? "layers.\(number + 1).attn_norm" : "final_norm"
        return LayerPlan(stages: [
            StagePlan(
                branch: attention,
                junction: JunctionPlan(norm: norm(name + "mlp_norm"), dropout: shape.attentionDropout)),
            StagePlan(branch: .feedForward(feedForward), junction: JunctionPlan(norm: norm(next), dropout: 0)),
        ])
    }
}
