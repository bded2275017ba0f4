// Jina embeddings v3: XLM-RoBERTa's layers with rotary positions in place of the table.
//
// The original repository keeps low-rank adapters of its tasks inside the weights' names; such a checkpoint lacks the
// tensors of this plan and is refused until the adapters are merged.
// Reference: Sturua et al. 2024, arXiv 2409.10173;
// transformers/models/jina_embeddings_v3/modular_jina_embeddings_v3.py.

import TuttiGround
import TuttiKernels

/// The settings of model_type "jina_embeddings_v3".
package struct JinaEmbeddingsV3: EncoderFamily, Equatable {
    package static let modelTypes = ["jina_embeddings_v3"]
    package static let checkpointPrefixes = ["roberta.", "model."]
    package static let moduleRenamings = [
        ModuleRenaming("emb_ln", "embeddings.LayerNorm"), ModuleRenaming("encoder.layers", "layers"),
        ModuleRenaming("mixer.out_proj", "self_attn.o_proj"), ModuleRenaming("norm1", "post_attention_layernorm"),
        ModuleRenaming("norm2", "post_mlp_layernorm"),
        ModuleRenaming("mixer.Wqkv", "self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"),
    ]
    package static let encoderClasses = ["jina_embeddings_v3": "JinaEmbeddingsV3Model"]
    package static let options = OptionList<JinaEmbeddingsV3>(
        OptionList(TransformerShape.options(.init())).lifted(to: \.shape)
            + RotarySettings.options(at: \.rotary) + [
                TransformerShape.typeRows(atLeast: 1).lifted(to: \.shape),
                .only("position_embedding_type", "rotary", "how positions enter"),
            ])

    /// Dimensions.
    package var shape: TransformerShape
    var rotary = RotarySettings()

    package init() {
        shape = TransformerShape()
        shape.layerNormEpsilon = 1e-5
        shape.padTokenID = 1
        shape.typeRows = 1
    }

    package var sizes: FamilySizes { shape.sizes(hasPositions: false) }

    package func plan() throws(TuttiError) -> EncoderPlan {
        try checkOptions()
        try shape.validate()
        let rotary = try rotary.plan(
            width: shape.headWidth, theta: 20_000, positions: shape.maximumPositions)
        var embedding = shape.embedding(hasPositions: false)
        embedding.norm = shape.norm("emb_ln")
        return EncoderPlan(
            embedding: embedding, layers: (0..<shape.layers).map { layer($0, rotary) }, carries: .normed,
            longestSequence: min(shape.maximumPositions, rotary.longest))
    }

    private func layer(_ number: Int, _ rotary: RotaryPlan) -> LayerPlan {
        let name = "encoder.layers.\(number)."
        let attention = shape.rotaryAttention(
            projection: name + "mixer.Wqkv", output: name + "mixer.out_proj", rotary)
        return LayerPlan(stages: [
            shape.stage(attention, norm: name + "norm1"),
            shape.stage(shape.feedForward(inner: name + "mlp.fc1", output: name + "mlp.fc2"), norm: name + "norm2"),
        ])
    }
}
