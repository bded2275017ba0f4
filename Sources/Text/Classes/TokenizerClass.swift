// Which transformers tokenizer class a model folder names, and what that class builds itself.
//
// Why: a class with a constructor of its own takes only the vocabulary, the merges, the added tokens and perhaps the
// post-processor from tokenizer.json. Normalizer and pre-tokenizer come from the class and from tokenizer_config.json, so
// that its do_lower_case, add_prefix_space and the like override tokenizer.json. All other classes follow tokenizer.json.
// Reference: transformers/models/auto/tokenization_auto.py, tokenization_utils_tokenizers.py (convert_to_native_format).

import TuttiGround

/// A tokenizer class that builds its own pipeline.
struct TokenizerClass: Sendable {
    /// The parts of tokenizer.json that a class builds.
    struct Parts {
        var normalizer = JSONValue.null
        var preTokenizer = JSONValue.null
        /// The model without its vocabulary.
        var model: JSONObject
        /// nil: the file's.
        var postProcessor: JSONValue?
        /// Whether it gives way where add_bos_token or add_eos_token asks for another one.
        var yieldsPostProcessor = false
        var decoder = JSONValue.null
    }

    /// Special tokens of a configuration and of a SentencePiece model.
    typealias FurtherTokens = @Sendable (JSONValue, [DeclaredToken]?) -> [DeclaredToken]
    /// Entries of `vocab` from entries of `vocab`, each [piece, score].
    typealias PieceRule = @Sendable ([JSONValue], PieceContext) -> [JSONValue]

    /// The type of its model. A folder whose tokenizer.json has another one is followed as it is.
    let model: String
    /// The default named special tokens of the class, by role.
    let defaultTokens: [(role: String, token: DeclaredToken)]
    /// The roles required to encode any text.
    let neededRoles: [String]
    /// True if a mask token that the files write as a plain string absorbs the white space before it.
    let maskStripsLeft: Bool
    /// Special tokens without a role where the files have no list of them: from tokenizer_config.json, and from what a
    /// SentencePiece model declares (nil without one).
    let furtherTokens: FurtherTokens
    /// What a class of Unigram makes of the pieces of a SentencePiece model.
    let pieces: PieceRule
    /// What the class makes of a vocabulary and of the folder's files.
    let parts: @Sendable (ClassContext) throws(TuttiError) -> Parts

    /// The class names and what they build. A new class is one line here and one entry in a file beside this one.
    private static let classes: [String: TokenizerClass] = [
        "BertTokenizer": .bert, "DistilBertTokenizer": .bert, "ElectraTokenizer": .bert, "MobileBertTokenizer": .bert,
        "LayoutLMTokenizer": .bert, "SqueezeBertTokenizer": .bert, "MPNetTokenizer": .mpnet,
        "RobertaTokenizer": .roberta, "BartTokenizer": .roberta, "LongformerTokenizer": .roberta,
        "DebertaTokenizer": .deberta, "GPT2Tokenizer": .gpt2, "GPTNeoXTokenizer": .gptNeoX, "Qwen2Tokenizer": .qwen2,
        "Qwen3_5Tokenizer": .qwen3_5, "LlamaTokenizer": .llama, "GemmaTokenizer": .gemma,
        "AlbertTokenizer": .albert, "CamembertTokenizer": .camembert, "DebertaV2Tokenizer": .debertaV2,
        "T5Tokenizer": .t5, "XLMRobertaTokenizer": .xlmRoberta,
    ]

    /// The class of a model family; it counts if the folder names none.
    private static let families: [String: String] = [
        "bert": "BertTokenizer", "distilbert": "BertTokenizer", "electra": "BertTokenizer",
        "nomic_bert": "BertTokenizer", "mpnet": "MPNetTokenizer", "roberta": "RobertaTokenizer",
        "bart": "RobertaTokenizer", "longformer": "RobertaTokenizer", "roberta-prelayernorm": "RobertaTokenizer",
        "deberta": "DebertaTokenizer", "gpt2": "GPT2Tokenizer", "gpt_neo": "GPT2Tokenizer",
        "gpt_neox": "GPTNeoXTokenizer", "qwen2": "Qwen2Tokenizer", "qwen3": "Qwen2Tokenizer",
        "qwen2_moe": "Qwen2Tokenizer", "qwen3_moe": "Qwen2Tokenizer", "qwen3_5": "Qwen3_5Tokenizer",
        "qwen3_5_text": "Qwen3_5Tokenizer", "gemma": "GemmaTokenizer", "gemma2": "GemmaTokenizer",
        "gemma3": "GemmaTokenizer", "gemma3_text": "GemmaTokenizer", "t5gemma": "GemmaTokenizer",
        "albert": "AlbertTokenizer", "camembert": "CamembertTokenizer", "deberta-v2": "DebertaV2Tokenizer",
        "gte": "XLMRobertaTokenizer", "jina_embeddings_v3": "XLMRobertaTokenizer", "mt5": "T5Tokenizer",
        "t5": "T5Tokenizer", "xlm-roberta": "XLMRobertaTokenizer", "xmod": "XLMRobertaTokenizer",
    ]

    /// Families whose folders name classes that do not fit; they follow tokenizer.json, or their family's class.
    private static let misnamed: Set<String> = [
        "modernbert", "modernbert-decoder", "phi3", "qwen2", "qwen3_5", "nemotron", "minicpm3", "internlm2",
        "mistral", "ministral", "mixtral", "umt5", "xlm-roberta-xl",
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

    /// Other classes of the reference that build a pipeline of their own, whatever tokenizer.json says.
    private static let others: Set<String> = [
        "BarthezTokenizer", "BigBirdTokenizer", "BlenderbotTokenizer", "CLIPTokenizer", "CodeGenTokenizer",
        "CodeLlamaTokenizer", "CohereTokenizer", "EsmcTokenizer", "FunnelTokenizer", "HerbertTokenizer",
        "LasrTokenizer", "LayoutLMv2Tokenizer", "LayoutLMv3Tokenizer", "LayoutXLMTokenizer", "LukeTokenizer",
        "MarkupLMTokenizer", "MBartTokenizer", "MBart50Tokenizer", "MLukeTokenizer", "NllbTokenizer",
        "NougatTokenizer", "OpenAIGPTTokenizer", "ParakeetTokenizer", "PegasusTokenizer", "ReformerTokenizer",
        "RemBertTokenizer", "SeamlessM4TTokenizer", "Siglip2Tokenizer", "SplinterTokenizer", "Tipsv2Tokenizer",
        "UdopTokenizer", "VideoPrismTokenizer", "WhisperTokenizer", "XGLMTokenizer", "XLNetTokenizer",
    ]

    /// Refuses a folder whose class builds a pipeline that is not built here: following its tokenizer.json could give
    /// other ids than the reference.
    static func checkName(configuration: JSONValue, model: JSONValue, _ place: TokenizerPlace) throws(TuttiError) {
        guard let name = effectiveName(configuration: configuration, model: model), others.contains(name) else {
            return
        }
        throw place.error(
            key: "tokenizer_class", "the class \(name) builds a pipeline of its own, which is not supported",
            hint: "If tokenizer.json is right as it is, name PreTrainedTokenizerFast in tokenizer_config.json.")
    }

    /// The name that counts: the folder's, unless its family's folders name classes that do not fit.
    private static func effectiveName(configuration: JSONValue, model: JSONValue) -> String? {
        let family = model["model_type"]?.string ?? ""
        let registered = families[family]
        return misnamed.contains(family) ? registered : name(configuration: configuration, model: model) ?? registered
    }

    /// The class of a folder with these files, `file` its tokenizer.json; nil for a class that follows tokenizer.json.
    init?(configuration: JSONValue, model: JSONValue, file: JSONValue = .null) {
        let name = TokenizerClass.effectiveName(configuration: configuration, model: model)
        // Llama 3 and its kin name Llama 2's class, which cannot be meant for byte-level vocabularies.
        if name == "LlamaTokenizer", TokenizerClass.isByteLevel(file) { return nil }
        guard let name, let found = TokenizerClass.classes[name] else { return nil }
        self = found
    }

    /// A named token that the files write as a plain string.
    func token(named role: String, _ content: String) -> DeclaredToken {
        DeclaredToken(content, stripsLeft: maskStripsLeft && role == "mask_token")
    }

    /// True if a part of a tokenizer.json is ByteLevel, or has it as a step.
    private static func isByteLevel(_ file: JSONValue) -> Bool {
        [
            ("normalizer", "normalizers"), ("pre_tokenizer", "pretokenizers"), ("post_processor", "processors"),
            ("decoder", "decoders"),
        ].contains { part, steps in
            let value = file[part] ?? .null
            return ([value] + (value[steps]?.array ?? [])).contains { $0["type"]?.string == "ByteLevel" }
        }
    }

    /// A class with a model of type `model` and the default tokens `tokens`: roles and contents.
    init(
        _ model: String, _ tokens: [(String, String)], neededRoles: [String] = [], maskStripsLeft: Bool = false,
        furtherTokens: @escaping FurtherTokens = { $1 ?? [] }, pieces: @escaping PieceRule = { pieces, _ in pieces },
        parts: @escaping @Sendable (ClassContext) throws(TuttiError) -> Parts
    ) {
        self.model = model
        defaultTokens = tokens.map { ($0.0, DeclaredToken($0.1)) }
        self.neededRoles = neededRoles
        self.maskStripsLeft = maskStripsLeft
        self.furtherTokens = furtherTokens
        self.pieces = pieces
        self.parts = parts
    }
}

/// What a class sees when it changes the pieces of a SentencePiece model.
struct PieceContext {
    /// The contents of the named special tokens by role.
    let contents: [String: String]
    /// tokenizer_config.json.
    let configuration: JSONValue
}

/// What a class sees of a folder.
struct ClassContext {
    /// The vocabulary.
    let vocabulary: ClassVocabulary
    /// tokenizer_config.json.
    let configuration: JSONValue
    /// The folder's tokenizer.json; null if it has none.
    let file: JSONValue
    /// The named special tokens and their ids.
    let named: [String: (token: String, id: Int32)]
    let place: TokenizerPlace

    /// The character map of tokenizer.json or of the SentencePiece model; nil if there is none.
    var precompiled: JSONValue? {
        let normalizer = file["normalizer"] ?? .null
        let steps = normalizer["normalizers"]?.array ?? [normalizer]
        if let step = steps.first(where: { $0["type"]?.string == "Precompiled" }) { return step }
        return vocabulary.charsmap.map {
            .object(["type": .string("Precompiled"), "precompiled_charsmap": .string($0)])
        }
    }

    /// The named token of `role`.
    ///
    /// Throws: `.data` if the folder has none.
    func token(_ role: String) throws(TuttiError) -> (token: String, id: Int32) {
        guard let found = named[role] else { throw place.error(key: role, "the token is not in the vocabulary") }
        return found
    }

    /// A template of special tokens around a text.
    func template(before: [String], after: [String]) throws(TuttiError) -> JSONValue {
        var pieces: [JSONValue] = []
        var tokens = JSONObject()
        func add(_ role: String) throws(TuttiError) {
            let (token, id) = try token(role)
            pieces.append(.object(["SpecialToken": .object(["id": .string(token), "type_id": .integer(0)])]))
            tokens[token] = .object([
                "id": .string(token), "ids": .array([.integer(Int64(id))]), "tokens": .array([.string(token)]),
            ])
        }
        for role in before { try add(role) }
        pieces.append(.object(["Sequence": .object(["id": .string("A"), "type_id": .integer(0)])]))
        for role in after { try add(role) }
        let pair = pieces + [.object(["Sequence": .object(["id": .string("B"), "type_id": .integer(1)])])]
        return .object([
            "type": .string("TemplateProcessing"), "single": .array(pieces), "pair": .array(pair),
            "special_tokens": .object(tokens),
        ])
    }

    /// A post-processor BertProcessing or RobertaProcessing around a text.
    func processing(_ type: String) throws(TuttiError) -> JSONValue {
        let (sep, cls) = (try token("sep_token"), try token("cls_token"))
        var value: JSONObject = [
            "type": .string(type), "sep": .array([.string(sep.token), .integer(Int64(sep.id))]),
            "cls": .array([.string(cls.token), .integer(Int64(cls.id))]),
        ]
        if type == "RobertaProcessing" {
            value["trim_offsets"] = .bool(true)
            value["add_prefix_space"] = .bool(false)
        }
        return .object(value)
    }
}
