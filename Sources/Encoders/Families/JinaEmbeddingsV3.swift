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
    package static let options = OptionList<JinaEmbeddingsV3>(
        OptionList(TransformerShape.options(.init())).lifted(to: \.shape)
            + RotarySettings.options(at: \.rotary) + [
                Option("type_vocab_size", \.typeVocabularySize, "rows of the table of token types", check: .atLeast(1)),
                .only("position_embedding_type", "rotary", "how positions enter"),
            ])

    /// Dimensions.
    package var shape: TransformerShape
    var rotary = RotarySettings()
    /// Rows of the table of token types.
    package var typeVocabularySize = 1

    package init() {
        shape = TransformerShape()
        shape.layerNormEpsilon = 1e-5
        shape.padTokenID = 1
    }

    package var sizes: FamilySizes {
        shape.sizes(("type_vocab_size", [typeVocabularySize, shape.hiddenSize]), hasPositions: false)
    }

    package func plan() throws(TuttiError) -> EncoderPlan {
        try checkOptions()
        try shape.validate()
        let rotary = try rotary.plan(width: shape.headWidth, theta: 20_000)
        var embedding = shape.embedding(types: typeVocabularySize, hasPositions: false)
        embedding.norm = shape.norm("emb_ln")
        return EncoderPlan(
            embedding: embedding, layers: (0..<shape.layers).map { layer($0, rotary) }, carries: .normed,
            longestSequence: shape.maximumPositions)
    }

    private func layer(_ number: Int, _ rotary: RotaryPlan) -> LayerPlan {
        let (name, d) = ("encoder.layers.\(number).", shape.hiddenSize)
        let attention = SelfAttentionPlan(
            projection: LinearPlan(name + "mixer.Wqkv", inputs: d, outputs: 3 * d),
            output: LinearPlan(name + "mixer.out_proj", inputs: d, outputs: d), heads: shape.heads,
            headWidth: shape.headWidth, rotary: rotary, dropout: shape.attentionDropout)
        return LayerPlan(stages: [
            shape.stage(.selfAttention(attention), norm: name + "norm1"),
            shape.stage(shape.feedForward(inner: name + "mlp.fc1", output: name + "mlp.fc2"), norm: name + "norm2"),
        ])
    }
}
