// Which transformers tokenizer class a model folder names, and what that class builds itself.
//
// Why: the BERT classes and MPNet's take only the vocabulary and the added tokens from tokenizer.json. Normalizer,
// pre-tokenizer and template come from the class and from tokenizer_config.json, so that its do_lower_case, strip_accents
// and tokenize_chinese_chars override tokenizer.json. All other classes follow tokenizer.json.
// Reference: transformers/models/auto/tokenization_auto.py, models/bert/tokenization_bert.py,
// models/mpnet/tokenization_mpnet.py, tokenization_utils_tokenizers.py (convert_to_native_format).

import TuttiGround

/// A tokenizer class that builds its own pipeline.
enum TokenizerClass: Sendable {
    case bert
    case mpnet

    /// The class names and what they build.
    private static let classes: [String: TokenizerClass] = [
        "BertTokenizer": .bert, "DistilBertTokenizer": .bert, "ElectraTokenizer": .bert, "MobileBertTokenizer": .bert,
        "LayoutLMTokenizer": .bert, "SqueezeBertTokenizer": .bert, "MPNetTokenizer": .mpnet,
    ]

    /// The class of a model family if the folder names none.
    private static let families: [String: TokenizerClass] = [
        "bert": .bert, "distilbert": .bert, "electra": .bert, "mpnet": .mpnet,
    ]

    /// The supported class names, for messages.
    static let known = classes.keys.sorted()

    /// The class name given by the folder, without "Fast"; nil if it gives none.
    static func name(configuration: JSONValue, model: JSONValue) -> String? {
        guard let name = configuration["tokenizer_class"]?.string ?? model["tokenizer_class"]?.string else {
            return nil
        }
        return name.hasSuffix("Fast") ? String(name.dropLast(4)) : name
    }

    /// The class of a folder with these files; nil for a class that follows tokenizer.json.
    init?(configuration: JSONValue, model: JSONValue) {
        let found: TokenizerClass?
        if let name = TokenizerClass.name(configuration: configuration, model: model) {
            found = TokenizerClass.classes[name]
        } else {
            found = model["model_type"]?.string.flatMap { TokenizerClass.families[$0] }
        }
        guard let found else { return nil }
        self = found
    }

    /// The default named special tokens of the class, in the order in which it adds them.
    var defaultTokens: [(role: String, token: DeclaredToken)] {
        switch self {
        case .bert:
            [
                ("unk_token", DeclaredToken("[UNK]")), ("sep_token", DeclaredToken("[SEP]")),
                ("pad_token", DeclaredToken("[PAD]")), ("cls_token", DeclaredToken("[CLS]")),
                ("mask_token", DeclaredToken("[MASK]")),
            ]
        case .mpnet:
            [
                ("bos_token", DeclaredToken("<s>")), ("eos_token", DeclaredToken("</s>")),
                ("unk_token", DeclaredToken("[UNK]")), ("sep_token", DeclaredToken("</s>")),
                ("pad_token", DeclaredToken("<pad>")), ("cls_token", DeclaredToken("<s>")),
                ("mask_token", DeclaredToken("<mask>")),
            ]
        }
    }

    /// A named token that the files write as a plain string; MPNet's mask absorbs the white space before it.
    func token(named role: String, _ content: String) -> DeclaredToken {
        DeclaredToken(content, stripsLeft: self == .mpnet && role == "mask_token")
    }

    /// The normalizer, from the keys of tokenizer_config.json that the class reads.
    ///
    /// Throws: `.data` for a value of the wrong type.
    func normalizer(_ configuration: JSONValue, _ place: TokenizerPlace) throws(TuttiError) -> JSONValue {
        let accents = try place.optionalBool(configuration, "strip_accents")
        return .object([
            "type": .string("BertNormalizer"), "clean_text": .bool(true),
            "handle_chinese_chars": .bool(try place.bool(configuration, "tokenize_chinese_chars", default: true)),
            "strip_accents": accents.map { .bool($0) } ?? .null,
            "lowercase": .bool(try place.bool(configuration, "do_lower_case", default: true)),
        ])
    }

    /// The special tokens around a text.
    func postProcessor(cls: (token: String, id: Int32), sep: (token: String, id: Int32)) -> JSONValue {
        let first = JSONValue.array([.string(sep.token), .integer(Int64(sep.id))])
        let second = JSONValue.array([.string(cls.token), .integer(Int64(cls.id))])
        switch self {
        case .bert: return .object(["type": .string("BertProcessing"), "sep": first, "cls": second])
        case .mpnet:
            return .object([
                "type": .string("RobertaProcessing"), "sep": first, "cls": second, "trim_offsets": .bool(true),
                "add_prefix_space": .bool(false),
            ])
        }
    }
}
