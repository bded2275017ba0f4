// NomicBERT (nomic-embed-text): post-LN with rotary positions and gated feed-forward branches; only norms have biases.
//
// Files on the hub have keys of an older class beside those of transformers, or only them; where both are given, those of
// transformers hold, as in the reference. Texts longer than the model was trained on would need frequencies that depend on
// the batch, and are cut.
// Reference: Nussbaum et al. 2024, arXiv 2402.01613; transformers/models/nomic_bert/modeling_nomic_bert.py, and
// backends/candle/src/models/nomic.rs of text-embeddings-inference for the older keys.

import TuttiGround
import TuttiKernels

/// The settings of model_type "nomic_bert".
package struct NomicBERT: EncoderFamily, Equatable {
    package static let modelTypes = ["nomic_bert"]
    package static let checkpointPrefixes = ["nomic_bert.", "bert.", "model."]
    package static let moduleRenamings = [
        ModuleRenaming("encoder.layers", "layers"), ModuleRenaming("emb_ln", "embeddings.LayerNorm"),
        ModuleRenaming("attn.out_proj", "self_attn.o_proj"), ModuleRenaming("fc11", "up_proj"),
        ModuleRenaming("fc12", "gate_proj"), ModuleRenaming("fc2", "down_proj"),
        ModuleRenaming("norm1", "post_attention_layernorm"), ModuleRenaming("norm2", "post_mlp_layernorm"),
        ModuleRenaming("attn.Wqkv", "self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"),
    ]
    package static let encoderClasses = ["nomic_bert": "NomicBertModel"]
    package static let options = OptionList<NomicBERT>(
        older
            + OptionList(TransformerShape.options(.init()).map { $0.orElse(substitutes[$0.name]) }).lifted(to: \.shape)
            + RotarySettings.options(at: \.rotary) + [
                TransformerShape.typeRows(atLeast: 1).lifted(to: \.shape),
                Option("head_dim", \.headWidth, "width of a head", check: .atLeast(1)),
            ] + computed)

    /// Kernels and heads of the older class, whose embedding has the dropout of branches.
    package static let inertKeys = [
        "dense_seq_output", "fused_bias_fc", "fused_dropout_add_ln", "use_xentropy", "pad_vocab_size_multiple",
        "embd_pdrop", "reorder_and_upcast_attn", "parallel_block_tied_norm",
    ]

    /// The older keys, by the keys that replaced them.
    private static let substitutes = [
        "hidden_size": "n_embd", "num_hidden_layers": "n_layer", "num_attention_heads": "n_head",
        "intermediate_size": "n_inner", "max_position_embeddings": "n_positions",
    ]

    private static let older: [Option<NomicBERT>] = [
        Option("n_embd", \.shape.hiddenSize, "hidden_size in older files", check: .atLeast(1)),
        Option("n_layer", \.shape.layers, "num_hidden_layers in older files", check: .atLeast(1)),
        Option("n_head", \.shape.heads, "num_attention_heads in older files", check: .atLeast(1)),
        Option("n_inner", \.shape.innerSize, "intermediate_size in older files", check: .atLeast(1)),
        Option("n_positions", \.shape.maximumPositions, "longest text in older files", check: .atLeast(1)),
        Option("max_trained_positions", \.trainedPositions, "longest text of training", check: .atLeast(1)),
        Option("layer_norm_epsilon", \.shape.layerNormEpsilon, "layer_norm_eps in older files", check: .positive),
        Option(
            "rotary_scaling_factor", \.olderScaling, "scaling of texts beyond those of training, which are cut",
            check: .positive),
        Option("rotary_emb_base", \.olderTheta, "rope_theta in older files", check: .positive),
        Option("resid_pdrop", \.shape.hiddenDropout, "hidden_dropout_prob in older files", check: .within(0..<1)),
        Option(
            "attn_pdrop", \.shape.attentionDropout, "attention_probs_dropout_prob in older files",
            check: .within(0..<1)),
        Option("activation_function", \.gate, "gate of the feed-forward branch in older files"),
    ]

    /// Keys whose other values are another model.
    private static let computed: [Option<NomicBERT>] = [
        .only("prenorm", false, "whether norms come before branches"),
        .only("parallel_block", false, "whether branches read the same input"),
        .only("causal", false, "whether tokens see only those before them"),
        .only("use_rms_norm", false, "whether norms are RMS norms"),
        .only("rotary_emb_fraction", 1.0, "part of a head that is rotated"),
        .only("rotary_emb_interleaved", false, "whether neighbours are rotated together"),
        .only("qkv_proj_bias", false, "whether projections have biases"),
        .only("mlp_fc1_bias", false, "whether feed-forward branches have biases"),
        .only("mlp_fc2_bias", false, "whether feed-forward branches have biases"),
        .only("scale_attn_weights", true, "whether scores are divided by the root of the head's width"),
        .only("scale_attn_by_inverse_layer_idx", false, "whether they are divided by the layer's number"),
        .only("num_experts", 0, "experts of a feed-forward branch"),
    ]

    /// A gate as older files name it.
    enum Gate: String, OptionChoice {
        case swiglu
        case geglu
    }

    /// Dimensions.
    package var shape: TransformerShape
    var rotary = RotarySettings()
    /// nil = hidden_size / heads.
    var headWidth: Int?
    var trainedPositions: Int?
    var olderTheta = 1000.0
    var olderScaling: Double?
    var gate: Gate? {
        didSet { if let gate { shape.activation = gate == .swiglu ? .silu : .gelu } }
    }

    package init() {
        shape = TransformerShape()
        shape.activation = .silu
        shape.hiddenDropout = 0
        shape.attentionDropout = 0
    }

    package var sizes: FamilySizes { shape.sizes(hasPositions: false) }

    package func plan() throws(TuttiError) -> EncoderPlan {
        try checkOptions()
        try shape.validate()
        if let headWidth, headWidth != shape.headWidth {
            throw planError("head_dim", "is \(headWidth), where hidden_size / num_attention_heads = \(shape.headWidth)")
        }
        let rotary = try rotary.plan(
            width: shape.headWidth, theta: olderTheta, positions: shape.maximumPositions)
        var embedding = shape.embedding(hasPositions: false)
        embedding.norm = shape.norm("emb_ln")
        return EncoderPlan(
            embedding: embedding, layers: (0..<shape.layers).map { layer($0, rotary) }, carries: .normed,
            longestSequence: min(
                shape.maximumPositions, rotary.longest, trainedPositions ?? (olderScaling == nil ? .max : 2048)))
    }

    private func layer(_ number: Int, _ rotary: RotaryPlan) -> LayerPlan {
        let (name, d) = ("encoder.layers.\(number).", shape.hiddenSize)
        let attention = shape.rotaryAttention(
            projection: name + "attn.Wqkv", output: name + "attn.out_proj", rotary, hasBias: false)
        // fc11 is the factor, fc12 the gate.
        let feedForward = FeedForwardPlan(
            inner: LinearPlan(
                name + "mlp.fc11", name + "mlp.fc12", inputs: d, outputs: shape.innerSize, hasBias: false),
            output: LinearPlan(name + "mlp.fc2", inputs: shape.innerSize, outputs: d, hasBias: false),
            activation: shape.activation, gate: .second)
        return LayerPlan(stages: [
            shape.stage(attention, norm: name + "norm1"),
            shape.stage(.feedForward(feedForward), norm: name + "norm2"),
        ])
    }
}
