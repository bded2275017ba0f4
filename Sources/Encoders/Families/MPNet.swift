// MPNet: no token types, positions numbered from padding_idx + 1 = 2, and one table of relative-position biases that all
// layers add to their attention scores; post-LN.
//
// transformers fixes padding_idx (1) and the bucket rule (32 buckets, distances up to 128) in code, whatever the
// configuration says; so does this file.
// Reference: Song et al. 2020, arXiv 2004.09297; transformers/models/mpnet/modeling_mpnet.py.

import TuttiGround

/// The settings of model_type "mpnet".
package struct MPNet: EncoderFamily, Equatable {
    package static let modelTypes = ["mpnet"]
    package static let checkpointPrefixes = ["mpnet.", "model."]
    package static let encoderClasses = ["mpnet": "MPNetModel"]
    package static let options = OptionList<MPNet>(
        TransformerShape.options.lifted(to: \.shape) + [
            Option(
                "relative_attention_num_buckets", \.relativeAttentionBuckets, "rows of the table of relative positions",
                check: .atLeast(DistanceBuckets.standard.count))
        ])

    private static let positionStart = 2

    /// Dimensions.
    package var shape: TransformerShape
    /// Rows of the table of relative positions.
    package var relativeAttentionBuckets = 32

    package init() { self.init(TransformerShape()) }

    /// An MPNet of these dimensions.
    package init(_ shape: TransformerShape) {
        self.shape = shape
        self.shape.typeRows = 0
    }

    package var sizes: FamilySizes { shape.sizes(("relative_attention_num_buckets", [relativeAttentionBuckets])) }

    package func plan() throws(TuttiError) -> EncoderPlan {
        try checkOptions()
        try shape.validate()
        guard shape.maximumPositions > Self.positionStart else {
            throw planError(
                "max_position_embeddings", "is \(shape.maximumPositions)",
                hint: "MPNet leaves out the first \(Self.positionStart).")
        }
        var shape = shape
        shape.padTokenID = Self.positionStart - 1
        let embedding = shape.embedding(numbering: .counting(padding: shape.padTokenID))
        let positions = PositionsPlan.relative(
            table: "encoder.relative_attention_bias.weight", rows: relativeAttentionBuckets, heads: shape.heads)
        let layers = (0..<shape.layers).map { number in
            let layer = "encoder.layer.\(number)."
            let attention = shape.selfAttention(
                query: layer + "attention.attn.q", key: layer + "attention.attn.k", value: layer + "attention.attn.v",
                output: layer + "attention.attn.o", positions: positions)
            let feedForward = shape.feedForward(inner: layer + "intermediate.dense", output: layer + "output.dense")
            return LayerPlan(stages: [
                shape.stage(attention, norm: layer + "attention.LayerNorm"),
                shape.stage(feedForward, norm: layer + "output.LayerNorm"),
            ])
        }
        return EncoderPlan(
            embedding: embedding, layers: layers, carries: .normed,
            longestSequence: shape.maximumPositions - Self.positionStart)
    }
}
