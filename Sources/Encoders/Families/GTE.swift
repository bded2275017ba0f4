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
    package static let options = OptionList<GTE>(
        OptionList(TransformerShape.options(.init())).lifted(to: \.shape)
            + RotarySettings.options(at: \.rotary) + [
                Option("type_vocab_size", \.typeVocabularySize, "rows of the table of token types", check: .atLeast(0)),
                .only("position_embedding_type", "rope", "how positions enter"),
                .only("layer_norm_type", "layer_norm", "kind of the norms"),
                .only("logn_attention_scale", false, "whether scores grow with the length"),
                .only("pack_qkv", true, "whether queries, keys and values are one tensor"),
            ])

    /// Dimensions.
    package var shape: TransformerShape
    var rotary = RotarySettings()
    /// Rows of the table of token types; 0 = there is none.
    package var typeVocabularySize = 1

    package init() {
        shape = TransformerShape()
        shape.attentionDropout = 0
        shape.padTokenID = 1
    }

    package var sizes: FamilySizes {
        let types = typeVocabularySize > 0 ? [("type_vocab_size", [typeVocabularySize, shape.hiddenSize])] : []
        return shape.sizes(of: types, hasPositions: false)
    }

    package func plan() throws(TuttiError) -> EncoderPlan {
        try checkOptions()
        try shape.validate()
        let rotary = try rotary.plan(width: shape.headWidth, theta: 160_000, knowsNTK: true)
        return EncoderPlan(
            embedding: shape.embedding(types: typeVocabularySize, hasPositions: false),
            layers: (0..<shape.layers).map { layer($0, rotary) }, carries: .normed,
            longestSequence: shape.maximumPositions)
    }

    private func layer(_ number: Int, _ rotary: RotaryPlan) -> LayerPlan {
        let (name, d) = ("encoder.layer.\(number).", shape.hiddenSize)
        let attention = SelfAttentionPlan(
            projection: LinearPlan(name + "attention.qkv_proj", inputs: d, outputs: 3 * d),
            output: LinearPlan(name + "attention.o_proj", inputs: d, outputs: d), heads: shape.heads,
            headWidth: shape.headWidth, rotary: rotary, dropout: shape.attentionDropout)
        // The first half is the factor, the second the gate.
        let feedForward = FeedForwardPlan(
            inner: LinearPlan(name + "mlp.up_gate_proj", inputs: d, outputs: 2 * shape.innerSize, hasBias: false),
            output: LinearPlan(name + "mlp.down_proj", inputs: shape.innerSize, outputs: d),
            activation: shape.activation, gate: .second, dropout: shape.hiddenDropout)
        return LayerPlan(stages: [
            shape.stage(.selfAttention(attention), norm: name + "attn_ln"),
            shape.stage(.feedForward(feedForward), norm: name + "mlp_ln"),
        ])
    }
}
