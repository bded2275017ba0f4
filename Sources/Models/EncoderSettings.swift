// The transformer's settings in config.json, as numbers.
//
// What: one plain value for the families whose configuration shares BERT's keys. Values that change the mathematics in a
// way that no encoder here computes (relative position types, a decoder, cross attention) are refused, not ignored.
//
// Reference: transformers/models/bert/configuration_bert.py, mpnet/configuration_mpnet.py (defaults included).

import TuttiFormats

/// What config.json says about an encoder, with the defaults of its family.
struct EncoderSettings: Sendable, Equatable {
    /// model_type: the family's name.
    var architecture: String
    var vocabularySize: Int
    var hiddenSize: Int
    var layers: Int
    var heads: Int
    var intermediateSize: Int
    var maximumPositions: Int
    var typeVocabularySize: Int
    var layerNormEpsilon: Double
    var activation: String
    var hiddenDropout: Double
    var attentionDropout: Double
    var padToken: Int
    var relativeAttentionBuckets: Int

    /// Keys that may be overridden although a config.json leaves them out.
    static let keys = [
        "hidden_dropout_prob", "attention_probs_dropout_prob", "hidden_act", "layer_norm_eps", "max_position_embeddings",
        "vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size", "type_vocab_size",
        "pad_token_id", "relative_attention_num_buckets",
    ]

    /// Reads the settings of `file`.
    ///
    /// Throws: `.data` naming file and key.
    init(_ file: ConfigurationFile) throws(TuttiError) {
        guard let architecture = try file.string("model_type") else {
            throw file.error("model_type", "is missing, so the architecture is unknown")
        }
        self.architecture = architecture
        let isMPNet = architecture == "mpnet"
        hiddenSize = try file.requiredInt("hidden_size")
        layers = try file.requiredInt("num_hidden_layers")
        heads = try file.requiredInt("num_attention_heads")
        intermediateSize = try file.requiredInt("intermediate_size")
        vocabularySize = try file.requiredInt("vocab_size")
        maximumPositions = try file.requiredInt("max_position_embeddings")
        typeVocabularySize = try file.int("type_vocab_size") ?? 2
        layerNormEpsilon = try file.double("layer_norm_eps") ?? 1e-12
        activation = try file.string("hidden_act") ?? "gelu"
        hiddenDropout = try file.double("hidden_dropout_prob") ?? 0.1
        attentionDropout = try file.double("attention_probs_dropout_prob") ?? 0.1
        padToken = try file.int("pad_token_id") ?? (isMPNet ? 1 : 0)
        relativeAttentionBuckets = try file.int("relative_attention_num_buckets") ?? 32
        guard hiddenSize % heads == 0 else {
            throw file.error("num_attention_heads", "is \(heads), which does not divide hidden_size \(hiddenSize)")
        }
        for (key, rate) in [("hidden_dropout_prob", hiddenDropout), ("attention_probs_dropout_prob", attentionDropout)] {
            guard rate >= 0, rate < 1 else { throw file.error(key, "is \(rate), which must lie in [0, 1)") }
        }
        guard layerNormEpsilon > 0 else { throw file.error("layer_norm_eps", "is \(layerNormEpsilon), which must be positive") }
        if let type = try file.string("position_embedding_type"), type != "absolute" {
            throw file.error("position_embedding_type", "is '\(type)', where only 'absolute' can be computed")
        }
        for key in ["is_decoder", "add_cross_attention"] where try file.bool(key) ?? false {
            throw file.error(key, "is true, where only encoders can be trained")
        }
    }

    /// The longest sequence that has position embeddings: MPNet counts positions from the padding index on.
    var longestSequence: Int { architecture == "mpnet" ? maximumPositions - padToken - 1 : maximumPositions }
}
