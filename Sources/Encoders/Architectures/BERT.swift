// BERT and what shares its layout (MiniLM, BGE, E5, GTE ...): absolute positions from 0, token types.
//
// Reference: Devlin et al. 2019, arXiv 1810.04805; transformers/models/bert/modeling_bert.py.

/// model_type "bert".
public struct BERTArchitecture: EncoderArchitecture {
    /// The family has no settings of its own.
    public init() {}

    public let modelTypes = ["bert"]
    public let checkpointPrefixes = ["bert.", "model."]
    public let positionStart = 0
    public let relativePositionName: String? = nil
    public let unusedTensorPrefixes = ["pooler.", "embeddings.position_ids", "embeddings.token_type_ids", "cls."]

    public let embeddingNames = EmbeddingNames(
        word: "embeddings.word_embeddings.weight", position: "embeddings.position_embeddings.weight",
        type: "embeddings.token_type_embeddings.weight", norm: "embeddings.LayerNorm")

    public func paddingID(_ configuration: EncoderConfiguration) -> Int { configuration.padTokenID }

    public func blockNames(_ layer: Int) -> BlockNames {
        let prefix = "encoder.layer.\(layer)."
        return BlockNames(
            query: prefix + "attention.self.query", key: prefix + "attention.self.key",
            value: prefix + "attention.self.value", attentionOutput: prefix + "attention.output.dense",
            attentionNorm: prefix + "attention.output.LayerNorm", inner: prefix + "intermediate.dense",
            output: prefix + "output.dense", outputNorm: prefix + "output.LayerNorm")
    }

    public func validate(_ configuration: EncoderConfiguration) throws(EncoderError) {
        guard configuration.typeVocabularySize >= 1 else {
            throw EncoderError("type_vocab_size", "is \(configuration.typeVocabularySize)", hint: "BERT needs 1 or more.")
        }
    }
}
