// Keys of config.json that change nothing an encoder computes; all others must be options of the family.
//
// The reference ignores a key that no class of its reads, but it cannot know a key that a newer class does read: a scale,
// a norm, another kind of layer. So a key is either an option of the family, or in one of these lists, or null, which the
// reference takes as not given; anything else is refused rather than ignored.
// Reference: transformers/configuration_utils.py, the families' configuration classes, GenerationConfig of
// transformers 5.23, and the keys of published models that transformers has dropped since.

import TuttiGround

/// The keys that no family computes anything from.
enum InertKeys {
    /// Keys of every family, whatever their value.
    static let shared = Set(files + outputs + training + heads + storage + tokens + generation)

    /// Keys of every family of which other values than this one are another model.
    static let fixed: [String: JSONValue] = [
        "is_decoder": .bool(false), "add_cross_attention": .bool(false), "pruned_heads": .object([:]),
        "use_mrope": .bool(false), "quantization_config": .null, "per_layer_config": .null,
    ]

    /// What kind of file it is, and where it came from.
    private static let files = [
        "model_type", "architectures", "auto_map", "custom_pipelines", "transformers_version", "_name_or_path",
        "name_or_path", "_commit_hash", "tokenizer_class", "prefix", "finetuning_task", "task_specific_params",
        "model_max_length", "matryoshka_dimensions", "sentence_transformers", "is_encoder_decoder",
        "tie_encoder_decoder", "cross_attention_hidden_size",
    ]

    /// What the reference's classes return.
    private static let outputs = [
        "output_attentions", "output_hidden_states", "output_past", "return_dict", "use_return_dict",
        "tie_last_hidden_states", "torchscript", "keys_to_ignore_at_inference",
    ]

    /// How weights that a checkpoint does not hold are drawn, and how the reference trains.
    private static let training = [
        "initializer_range", "initializer_factor", "gradient_checkpointing", "use_bfloat16", "problem_type",
        "num_labels",
        "id2label", "label2id", "tie_word_embeddings", "tie_weights_", "tf_legacy_loss",
    ]

    /// Heads on top of the encoder.
    private static let heads = [
        "classifier_dropout", "classifier_activation", "classifier_bias", "classifier_pooling", "cls_dropout",
        "summary_type", "summary_use_proj", "summary_activation", "summary_first_dropout", "summary_last_dropout",
        "summary_proj_to_labels",
    ]

    /// Precision of the file, kernels and memory of the reference.
    private static let storage = [
        "dtype", "torch_dtype", "chunk_size_feed_forward", "attn_implementation", "_attn_implementation",
        "_attn_implementation_autoset", "_attn_implementation_internal", "experts_implementation",
        "_experts_implementation_internal", "use_flash_attn", "pretraining_tp", "use_cache", "cache_implementation",
    ]

    /// Ids of tokens that the encoder sees as any other.
    private static let tokens = [
        "bos_token_id", "eos_token_id", "cls_token_id", "sep_token_id", "mask_token_id", "unk_token_id",
        "decoder_start_token_id",
    ]

    /// Settings of text generation.
    private static let generation = [
        "assistant_confidence_threshold", "assistant_lookbehind", "bad_words_ids", "begin_suppress_tokens",
        "diversity_penalty", "do_sample", "early_stopping", "encoder_no_repeat_ngram_size",
        "encoder_repetition_penalty", "epsilon_cutoff", "eta_cutoff", "exponential_decay_length_penalty",
        "forced_bos_token_id", "forced_eos_token_id", "length_penalty", "max_length", "min_length",
        "no_repeat_ngram_size", "num_assistant_tokens", "num_assistant_tokens_schedule", "num_beam_groups",
        "num_beams", "num_return_sequences", "output_scores", "remove_invalid_values", "repetition_penalty",
        "return_dict_in_generate", "suppress_tokens", "target_lookbehind", "temperature", "top_k", "top_p",
        "typical_p",
    ]
}

extension EncoderFamily {
    package static var inertKeys: [String] { [] }

    /// Refuses a key that is no option of the family and that is not known to change nothing.
    package static func checkKeys(of configuration: JSONObject) throws(OptionProblem) {
        let names = Set(options.names)
        for (key, value) in configuration
        where !value.isNull && !names.contains(key) && !InertKeys.shared.contains(key) && !inertKeys.contains(key) {
            if let allowed = InertKeys.fixed[key] {
                guard value != allowed else { continue }
                throw OptionProblem(
                    "is \(value.configurationText), where only \(allowed.configurationText) can be computed",
                    at: key)
            }
            let nearest = nearestName(to: key, among: options.names).map { "Did you mean '\($0)'? " } ?? ""
            throw OptionProblem(
                "is not a key of this kind of model, and may change what it computes",
                hint: "\(nearest)If it changes nothing, remove it, or set it to null with config_overrides.", at: key)
        }
    }
}
