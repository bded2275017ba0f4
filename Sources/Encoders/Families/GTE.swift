// GTE (gte-*-en-v1.5, gte-multilingual-base, arctic-embed-m-v2.0, stella): post-LN with rotary positions and gated
// feed-forward branches. Checkpoints on the hub say "new" where transformers says "gte"; the tensors have the same names.
//
// Reference: Zhang et al. 2024, arXiv 2407.19669; transformers/models/gte/modular_gte.py, and
// backends/candle/src/models/gte.rs of text-embeddings-inference for the scaling "ntk".

import TuttiGround
import TuttiKernels

/// The settings of the model types "gte" and "new".
package struct GTE: EncoderFamily, Equatable {
    package static let modelTypes = ["gte", "new"]
    package static let checkpointPrefixes = ["new.", "gte.", "model."]
    package static let moduleRenamings = [
        ModuleRenaming("encoder.layer", "layers"), ModuleRenaming("attention.o_proj", "self_attn.o_proj"),
        ModuleRenaming("attn_ln", "post_attention_layernorm"), ModuleRenaming("mlp_ln", "post_mlp_layernorm"),
        ModuleRenaming("attention.qkv_proj", "self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"),
        ModuleRenaming("mlp.up_gate_proj", "mlp.up_proj", "mlp.gate_proj"),
    ]
    package static let encoderClasses = ["gte": "GteModel"]
    package static let options = OptionList<GTE>(
        OptionList(TransformerShape.options(.init())).lifted(to: \.shape)
            + RotarySettings.options(at: \.rotary) + [
                TransformerShape.typeRows(atLeast: 0).lifted(to: \.shape),
                .only("position_embedding_type", "rope", "how positions enter"),
                .only("layer_norm_type", "layer_norm", "kind of the norms"),
                .only("logn_attention_scale", false, "whether scores grow with the length"),
                .only("pack_qkv", true, "whether queries, keys and values are one tensor"),
            ])

    /// Kernels of the original class, and the clip of a scale that is not computed.
    package static let inertKeys = ["unpad_inputs", "use_memory_efficient_attention", "logn_attention_clip1"]

    /// Dimensions.
    package var shape: TransformerShape
    var rotary = RotarySettings()

    package init() {
        shape = TransformerShape()
        shape.attentionDropout = 0
        shape.padTokenID = 1
        shape.typeRows = 1
    }

    package var sizes: FamilySizes { shape.sizes(hasPositions: false) }

    package func plan() throws(TuttiError) -> EncoderPlan {
        try checkOptions()
        try shape.validate()
        let rotary = try rotary.plan(
            width: shape.headWidth, theta: 160_000, positions: shape.maximumPositions, knowsNTK: true)
        return EncoderPlan(
            embedding: shape.embedding(hasPositions: false),
            layers: (0..<shape.layers).map { layer($0, rotary) }, carries: .normed,
            longestSequence: min(shape.maximumPositions, rotary.longest))
    }

    private func layer(_ number: Int, _ rotary: RotaryPlan) -> LayerPlan {
        let (name, d) = ("encoder.layer.\(number).", shape.hiddenSize)
        let attention = shape.rotaryAttention(
            projection: name + "attention.qkv_proj", output: name + "attention.o_proj", rotary)
        // The first half is the factor, the second the gate.
        let feedForward = FeedForwardPlan(
            inner: LinearPlan(name + "mlp.up_gate_proj", inputs: d, outputs: 2 * shape.innerSize, hasBias: false),
            output: LinearPlan(name + "mlp.down_proj", inputs: shape.innerSize, outputs: d),
            activation: shape.activation, gate: .second, dropout: shape.hiddenDropout)
        return LayerPlan(stages: [
            shape.stage(attention, norm: name + "attn_ln"),
            shape.stage(.feedForward(feedForward), norm: name + "mlp_ln"),
        ])
    }
}
