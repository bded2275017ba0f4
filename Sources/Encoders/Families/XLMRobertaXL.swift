// XLM-RoBERTa-XL: RoBERTa with the norm before each branch, one after the last layer, and none in the embedding.
//
// As in the reference, nothing is dropped behind the second linear layer of the feed-forward branch.
// Reference: Goyal et al. 2021, arXiv 2105.00572; transformers/models/xlm_roberta_xl/modeling_xlm_roberta_xl.py.

import TuttiGround

/// The settings of model_type "xlm-roberta-xl".
package struct XLMRobertaXL: EncoderFamily, Equatable {
    package static let modelTypes = ["xlm-roberta-xl"]
    package static let checkpointPrefixes = ["roberta.", "model."]
    package static let encoderClasses = ["xlm-roberta-xl": "XLMRobertaXLModel"]
    package static let options = OptionList<XLMRobertaXL>(
        TransformerShape.options.lifted(to: \.shape) + [
            TransformerShape.typeRows(atLeast: 1).lifted(to: \.shape)
        ])

    /// Dimensions.
    package var shape: TransformerShape

    package init() {
        shape = TransformerShape()
        shape.padTokenID = 1
        shape.typeRows = 1
        shape.layerNormEpsilon = 1e-5
    }

    package var sizes: FamilySizes { shape.sizes() }

    package func plan() throws(TuttiError) -> EncoderPlan {
        try checkOptions()
        try shape.validate()
        var embedding = shape.embedding(numbering: .counting(padding: shape.padTokenID))
        embedding.norm = nil
        return EncoderPlan(
            embedding: embedding, entry: shape.norm(Self.attentionNorm(of: 0)), layers: (0..<shape.layers).map(layer),
            carries: .plain, longestSequence: try shape.positionsBehindPadding())
    }

    /// The layer with this number: each junction has the norm of the branch after it.
    private func layer(_ number: Int) -> LayerPlan {
        let name = "encoder.layer.\(number)"
        let attention = shape.selfAttention(
            query: name + ".attention.self.query", key: name + ".attention.self.key",
            value: name + ".attention.self.value", output: name + ".attention.output.dense")
        let feedForward = shape.feedForward(inner: name + ".intermediate.dense", output: name + ".output.dense")
        let isLast = number == shape.layers - 1
        return LayerPlan(stages: [
            shape.stage(attention, norm: name + ".LayerNorm"),
            shape.stage(
                feedForward, norm: isLast ? "encoder.LayerNorm" : Self.attentionNorm(of: number + 1), dropout: 0),
        ])
    }

    private static func attentionNorm(of layer: Int) -> String {
        "encoder.layer.\(layer).attention.self_attn_layer_norm"
    }
}
