// The tokenizer classes of BERT and MPNet: BertNormalizer, BertPreTokenizer, WordPiece.
// Reference: transformers/models/bert/tokenization_bert.py, models/mpnet/tokenization_mpnet.py.

import TuttiGround

extension TokenizerClass {
    private static let needed = ["unk_token", "sep_token", "cls_token"]

    /// BERT, and the families that share its class.
    static let bert = TokenizerClass(
        "WordPiece",
        [
            ("unk_token", "[UNK]"), ("sep_token", "[SEP]"), ("pad_token", "[PAD]"), ("cls_token", "[CLS]"),
            ("mask_token", "[MASK]"),
        ], neededRoles: needed
    ) { context throws(TuttiError) in
        try wordPiece(context, processing: "BertProcessing")
    }

    /// MPNet, whose mask absorbs the white space before it.
    static let mpnet = TokenizerClass(
        "WordPiece",
        [
            ("bos_token", "<s>"), ("eos_token", "</s>"), ("unk_token", "[UNK]"), ("sep_token", "</s>"),
            ("pad_token", "<pad>"), ("cls_token", "<s>"), ("mask_token", "<mask>"),
        ], neededRoles: needed, maskStripsLeft: true
    ) { context throws(TuttiError) in
        try wordPiece(context, processing: "RobertaProcessing")
    }

    private static func wordPiece(_ context: ClassContext, processing: String) throws(TuttiError) -> Parts {
        let (configuration, place) = (context.configuration, context.place)
        let accents = try place.optionalBool(configuration, "strip_accents")
        return Parts(
            normalizer: .object([
                "type": .string("BertNormalizer"), "clean_text": .bool(true),
                "handle_chinese_chars": .bool(try place.bool(configuration, "tokenize_chinese_chars", default: true)),
                "strip_accents": accents.map { .bool($0) } ?? .null,
                "lowercase": .bool(try place.bool(configuration, "do_lower_case", default: true)),
            ]),
            preTokenizer: .object(["type": .string("BertPreTokenizer")]),
            model: [
                "type": .string("WordPiece"), "unk_token": .string(try context.token("unk_token").token),
                "continuing_subword_prefix": .string("##"), "max_input_chars_per_word": .integer(100),
            ],
            postProcessor: try context.processing(processing),
            decoder: .object(["type": .string("WordPiece"), "prefix": .string("##"), "cleanup": .bool(true)]))
    }
}
