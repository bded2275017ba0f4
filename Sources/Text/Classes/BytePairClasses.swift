// The tokenizer classes of BPE: byte-level ones (RoBERTa, DeBERTa, GPT-2, GPT-NeoX, Qwen) and those with byte fallback
// whose vocabularies come from SentencePiece (Llama, Gemma).
// Reference: transformers/models/{roberta,deberta,gpt2,gpt_neox,qwen2,qwen3_5,llama,gemma}/tokenization_*.py.

import TuttiGround

extension TokenizerClass {
    /// RoBERTa, BART, Longformer.
    static let roberta = TokenizerClass(
        "BPE",
        [
            ("bos_token", "<s>"), ("eos_token", "</s>"), ("unk_token", "<unk>"), ("sep_token", "</s>"),
            ("pad_token", "<pad>"), ("cls_token", "<s>"), ("mask_token", "<mask>"),
        ], neededRoles: ["sep_token", "cls_token"]
    ) { context throws(TuttiError) in
        var parts = try byteLevel(context)
        parts.postProcessor = try context.processing("RobertaProcessing")
        return parts
    }

    /// DeBERTa, version 1.
    static let deberta = TokenizerClass(
        "BPE",
        [
            ("bos_token", "[CLS]"), ("eos_token", "[SEP]"), ("unk_token", "[UNK]"), ("sep_token", "[SEP]"),
            ("pad_token", "[PAD]"), ("cls_token", "[CLS]"), ("mask_token", "[MASK]"),
        ], neededRoles: ["sep_token", "cls_token"], maskStripsLeft: true
    ) { context throws(TuttiError) in
        var parts = try byteLevel(context)
        parts.postProcessor = try context.template(before: ["cls_token"], after: ["sep_token"])
        return parts
    }

    private static let endOfText = [
        ("unk_token", "<|endoftext|>"), ("bos_token", "<|endoftext|>"), ("eos_token", "<|endoftext|>"),
    ]

    /// GPT-2.
    static let gpt2 = TokenizerClass("BPE", endOfText) { context throws(TuttiError) in try byteLevel(context) }

    /// GPT-NeoX, which never keeps the file's post-processor.
    static let gptNeoX = TokenizerClass("BPE", endOfText + [("pad_token", "<|padding|>")]) {
        context throws(TuttiError) in
        var parts = try byteLevel(context)
        parts.normalizer = .object(["type": .string("NFC")])
        parts.postProcessor = .null
        return parts
    }

    /// Qwen 2 and 3.
    static let qwen2 = TokenizerClass("BPE", qwenTokens) { context throws(TuttiError) in
        try qwen(
            context,
            #"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"#
        )
    }

    /// Qwen 3.5.
    static let qwen3_5 = TokenizerClass("BPE", qwenTokens) { context throws(TuttiError) in
        try qwen(
            context,
            #"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*"#
                + #"|\s*[\r\n]+|\s+(?!\S)|\s+"#)
    }

    /// Llama 2 and older Mistral models.
    static let llama = TokenizerClass("BPE", [("unk_token", "<unk>"), ("bos_token", "<s>"), ("eos_token", "</s>")]) {
        context throws(TuttiError) in
        let (configuration, place) = (context.configuration, context.place)
        let prefixes = try place.optionalBool(configuration, "add_prefix_space") ?? true
        let isLegacy = try place.bool(configuration, "legacy", default: false)
        return Parts(
            preTokenizer: .object([
                "type": .string("Metaspace"), "replacement": .string("\u{2581}"), "split": .bool(false),
                "prepend_scheme": .string(prefixes ? (isLegacy ? "always" : "first") : "never"),
            ]),
            model: bytePairs(unknown: .null, fusesUnknown: true, fallsBack: true),
            decoder: wordDecoder(strips: prefixes))
    }

    /// Gemma.
    static let gemma = TokenizerClass(
        "BPE",
        [
            ("unk_token", "<unk>"), ("bos_token", "<bos>"), ("eos_token", "<eos>"), ("pad_token", "<pad>"),
            ("mask_token", "<mask>"),
        ], neededRoles: ["unk_token"]
    ) { context throws(TuttiError) in
        let blank = JSONValue.object(["String": .string(" ")])
        return Parts(
            normalizer: .object(["type": .string("Replace"), "pattern": blank, "content": .string("\u{2581}")]),
            preTokenizer: .object([
                "type": .string("Split"), "pattern": blank, "behavior": .string("MergedWithPrevious"),
                "invert": .bool(false),
            ]),
            model: bytePairs(
                unknown: .string(try context.token("unk_token").token), fusesUnknown: true, fallsBack: true),
            decoder: wordDecoder(strips: false))
    }

    private static let qwenTokens = [
        ("unk_token", "<|endoftext|>"), ("eos_token", "<|endoftext|>"), ("pad_token", "<|endoftext|>"),
    ]

    private static func qwen(_ context: ClassContext, _ pattern: String) throws(TuttiError) -> Parts {
        var parts = try byteLevel(context)
        let prefixes = try context.place.optionalBool(context.configuration, "add_prefix_space") ?? false
        parts.normalizer = .object(["type": .string("NFC")])
        parts.preTokenizer = .object([
            "type": .string("Sequence"),
            "pretokenizers": .array([
                .object([
                    "type": .string("Split"), "pattern": .object(["Regex": .string(pattern)]),
                    "behavior": .string("Isolated"), "invert": .bool(false),
                ]),
                .object([
                    "type": .string("ByteLevel"), "add_prefix_space": .bool(prefixes), "trim_offsets": .bool(true),
                    "use_regex": .bool(false),
                ]),
            ]),
        ])
        return parts
    }

    private static func byteLevel(_ context: ClassContext) throws(TuttiError) -> Parts {
        let prefixes = try context.place.optionalBool(context.configuration, "add_prefix_space") ?? false
        let step = JSONValue.object([
            "type": .string("ByteLevel"), "add_prefix_space": .bool(prefixes), "trim_offsets": .bool(true),
            "use_regex": .bool(true),
        ])
        return Parts(
            preTokenizer: step, model: bytePairs(unknown: .null, fusesUnknown: false, fallsBack: false), decoder: step)
    }

    private static func bytePairs(unknown: JSONValue, fusesUnknown: Bool, fallsBack: Bool) -> JSONObject {
        [
            "type": .string("BPE"), "dropout": .null, "unk_token": unknown, "continuing_subword_prefix": .null,
            "end_of_word_suffix": .null, "fuse_unk": .bool(fusesUnknown), "byte_fallback": .bool(fallsBack),
            "ignore_merges": .bool(false),
        ]
    }

    /// The decoder of vocabularies that write a blank as "▁".
    private static func wordDecoder(strips: Bool) -> JSONValue {
        var steps: [JSONValue] = [
            .object([
                "type": .string("Replace"), "pattern": .object(["String": .string("\u{2581}")]),
                "content": .string(" "),
            ]),
            .object(["type": .string("ByteFallback")]), .object(["type": .string("Fuse")]),
        ]
        if strips {
            steps.append(
                .object(["type": .string("Strip"), "content": .string(" "), "start": .integer(1), "stop": .integer(0)]))
        }
        return .object(["type": .string("Sequence"), "decoders": .array(steps)])
    }
}
