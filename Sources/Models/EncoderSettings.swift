// The transformer's settings, from config.json to the encoder's own description.
//
// What: one reading for the families whose configuration shares BERT's keys. Values that change the mathematics in a
// way that no encoder here computes (relative position types, a decoder, cross attention) are refused, not ignored.
//
// Reference: transformers/models/bert/configuration_bert.py, mpnet/configuration_mpnet.py (defaults included).

import TuttiEncoders
import TuttiFormats
import TuttiGround

/// Reads an encoder's description from config.json.
enum EncoderSettings {
    /// Keys that may be overridden although a config.json leaves them out.
    static let keys = [
        "hidden_dropout_prob", "attention_probs_dropout_prob", "hidden_act", "layer_norm_eps",
        "max_position_embeddings",
        "vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size", "type_vocab_size",
        "pad_token_id", "relative_attention_num_buckets",
    ]

    /// The description that `file` gives, of an encoder or of what is to be a decoder.
    ///
    /// Throws: `.data` naming file and key.
    static func read(_ file: ConfigurationFile, isDecoder: Bool = false) throws(TuttiError) -> EncoderConfiguration {
        guard let architecture = try file.string("model_type") else {
            throw file.error("model_type", "is missing, so the architecture is unknown")
        }
        try known(file) { () throws(EncoderError) in _ = try EncoderArchitectures.named(architecture) }
        if let type = try file.string("position_embedding_type"), type != "absolute" {
            throw file.error("position_embedding_type", "is '\(type)', where only 'absolute' can be computed")
        }
        for key in ["is_decoder", "add_cross_attention"] {
            guard !isDecoder, try file.bool(key) ?? false else { continue }
            throw file.error(key, "is true, where only encoders can be trained")
        }
        var configuration = EncoderConfiguration(
            architecture: architecture, vocabularySize: try file.requiredInt("vocab_size"),
            hiddenSize: try file.requiredInt("hidden_size"), layers: try file.requiredInt("num_hidden_layers"),
            heads: try file.requiredInt("num_attention_heads"),
            intermediateSize: try file.requiredInt("intermediate_size"),
            maximumPositions: try file.requiredInt("max_position_embeddings"))
        configuration.typeVocabularySize = try file.int("type_vocab_size") ?? configuration.typeVocabularySize
        configuration.layerNormEpsilon =
            try file.double("layer_norm_eps").map(Float.init) ?? configuration.layerNormEpsilon
        configuration.hiddenDropout =
            try file.double("hidden_dropout_prob").map(Float.init) ?? configuration.hiddenDropout
        configuration.attentionDropout =
            try file.double("attention_probs_dropout_prob").map(Float.init) ?? configuration.attentionDropout
        configuration.padTokenID = try file.int("pad_token_id") ?? configuration.padTokenID
        configuration.relativeAttentionBuckets =
            try file.int("relative_attention_num_buckets") ?? configuration.relativeAttentionBuckets
        let activation = try file.string("hidden_act") ?? "gelu"
        var found = configuration.activation
        try known(file, as: "hidden_act") { () throws(EncoderError) in
            found = try EncoderConfiguration.activation(named: activation)
        }
        configuration.activation = found
        return configuration
    }

    /// Runs `body` and tells its error with the file that is at fault.
    static func known(
        _ file: ConfigurationFile, as key: String? = nil, _ body: () throws(EncoderError) -> Void
    ) throws(TuttiError) {
        do { try body() } catch { throw file.error(key ?? error.subject, error.problem, hint: error.hint) }
    }
}
