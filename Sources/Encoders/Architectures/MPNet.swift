// MPNet: no token types, positions numbered from padding_idx + 1 = 2, and a table of relative-position biases that all
// blocks add to their attention scores.
//
// transformers fixes padding_idx (1) and the bucket rule (32 buckets, distances up to 128) in code, whatever the
// configuration says; so does this file.
// Reference: Song et al. 2020, arXiv 2004.09297; transformers/models/mpnet/modeling_mpnet.py.

/// model_type "mpnet".
public struct MPNetArchitecture: EncoderArchitecture {
    /// The family has no settings of its own.
    public init() {}

    public let modelTypes = ["mpnet"]
    public let checkpointPrefixes = ["mpnet.", "model."]
    public let positionStart = 2
    public let relativePositionName: String? = "encoder.relative_attention_bias.weight"
    public let unusedTensorPrefixes = ["pooler.", "embeddings.position_ids", "lm_head."]

    public let embeddingNames = EmbeddingNames(
        word: "embeddings.word_embeddings.weight", position: "embeddings.position_embeddings.weight", type: nil,
        norm: "embeddings.LayerNorm")

    public func paddingID(_ configuration: EncoderConfiguration) -> Int { 1 }

    public func blockNames(_ layer: Int) -> BlockNames {
        let prefix = "encoder.layer.\(layer)."
        return BlockNames(
            query: prefix + "attention.attn.q", key: prefix + "attention.attn.k", value: prefix + "attention.attn.v",
            attentionOutput: prefix + "attention.attn.o", attentionNorm: prefix + "attention.LayerNorm",
            inner: prefix + "intermediate.dense", output: prefix + "output.dense",
            outputNorm: prefix + "output.LayerNorm")
    }

    public func validate(_ configuration: EncoderConfiguration) throws(EncoderError) {
        guard configuration.relativeAttentionBuckets >= RelativePositions.buckets else {
            throw EncoderError(
                "relative_attention_num_buckets", "is \(configuration.relativeAttentionBuckets)",
                hint: "MPNet's bucket rule needs at least \(RelativePositions.buckets).")
        }
        guard configuration.maximumPositions > positionStart else {
            throw EncoderError(
                "max_position_embeddings", "is \(configuration.maximumPositions)",
                hint: "MPNet leaves out the first \(positionStart).")
        }
    }
}
