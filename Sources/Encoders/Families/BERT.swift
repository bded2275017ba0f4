// BERT and what shares its layout (MiniLM, BGE, E5, GTE ...): absolute positions from 0, token types, post-LN. Its
// decoder is BertLMHeadModel: every layer also attends to an embedding, and a head projects to the vocabulary.
//
// Reference: Devlin et al. 2019, arXiv 1810.04805; transformers/models/bert/modeling_bert.py.

import TuttiGround
import TuttiKernels

/// The settings of model_type "bert".
package struct BERT: DecoderFamily, Equatable {
    package static let modelTypes = ["bert"]
    package static let checkpointPrefixes = ["bert.", "model."]
    package static let encoderClasses = ["bert": "BertModel"]
    package static let options = OptionList<BERT>(
        TransformerShape.options.lifted(to: \.shape) + [
            TransformerShape.typeRows(atLeast: 1).lifted(to: \.shape),
            Option("tie_word_embeddings", \.tiesWords, "of a decoder: the word table projects to the vocabulary"),
            Option(
                "initializer_range", \.initializerRange,
                "of a decoder: the deviation of weights that the checkpoint does not hold", check: .atLeast(0)),
        ])

    /// Of the pooler of the first BERT, and of rubert-tiny; is_causal decides only how a folder without modules.json is pooled.
    package static let inertKeys = [
        "directionality", "pooler_fc_size", "pooler_num_attention_heads", "pooler_num_fc_layers",
        "pooler_size_per_head", "pooler_type", "emb_size", "is_causal",
    ]

    /// Dimensions.
    package var shape: TransformerShape
    /// Whether a decoder's word table projects to the vocabulary too.
    var tiesWords = true
    package var initializerRange: Float = 0.02

    package init() { shape = TransformerShape() }

    /// A BERT of these dimensions.
    package init(_ shape: TransformerShape) { self.shape = shape }

    package var sizes: FamilySizes { shape.sizes() }

    package func plan() throws(TuttiError) -> EncoderPlan {
        try checkOptions()
        try shape.validate()
        return stack(prefix: "", span: .full) { _ in [] }
    }

    package func decoderPlan(prefix: String, isTied: Bool) throws(TuttiError) -> DecoderPlan {
        try checkOptions()
        try shape.validate(isEncoder: false)
        guard tiesWords else {
            throw planError(
                "tie_word_embeddings", "is false, where only the word table can project to the vocabulary")
        }
        let (own, d) = (prefix + "bert.", shape.hiddenSize)
        let stack = stack(prefix: isTied ? "" : own, span: .causal) { layer in
            [crossAttention("\(own)encoder.layer.\(layer).crossattention")]
        }
        let name = prefix + "cls.predictions"
        let head = LanguageModelHeadPlan(
            dense: LinearPlan(name + ".transform.dense", inputs: d, outputs: d),
            norm: shape.norm(name + ".transform.LayerNorm"), activation: shape.activation,
            word: stack.embedding.word.name, bias: name + ".bias", vocabularySize: shape.vocabularySize)
        return DecoderPlan(stack: stack, head: head, padTokenID: shape.padTokenID, prefix: prefix)
    }

    /// Embedding and layers; `between` gives what a layer has between self-attention and feed-forward.
    private func stack(
        prefix: String, span: AttentionSpan, between: (_ layer: Int) -> [StagePlan]
    ) -> EncoderPlan {
        EncoderPlan(
            embedding: shape.embedding(prefix + "embeddings"),
            layers: (0..<shape.layers).map {
                shape.layer("\(prefix)encoder.layer.\($0)", span: span, between: between($0))
            }, carries: .normed, longestSequence: shape.maximumPositions)
    }

    private func crossAttention(_ name: String) -> StagePlan {
        func linear(_ module: String) -> LinearPlan {
            LinearPlan("\(name).\(module)", inputs: shape.hiddenSize, outputs: shape.hiddenSize)
        }
        let branch = CrossAttentionPlan(
            query: linear("self.query"), key: linear("self.key"), value: linear("self.value"),
            output: linear("output.dense"), heads: shape.heads, headWidth: shape.headWidth,
            dropout: shape.attentionDropout)
        return shape.stage(.crossAttention(branch), norm: name + ".output.LayerNorm")
    }
}
