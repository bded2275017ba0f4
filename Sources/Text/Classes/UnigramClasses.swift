// The tokenizer classes over SentencePiece's Unigram: XLM-RoBERTa, CamemBERT, ALBERT, DeBERTa v2 and v3, T5.
//
// Each takes pieces, scores and character map, and builds the rest itself. Vocabularies of a SentencePiece model alone are
// changed as the converters of the reference change them: XLM-RoBERTa and CamemBERT put their own special tokens first.
// Reference: transformers/models/{xlm_roberta,camembert,albert,deberta_v2,t5}/tokenization_*.py, convert_slow_tokenizer.py.

import TuttiGround

extension TokenizerClass {
    private static let robertaTokens = [
        ("bos_token", "<s>"), ("eos_token", "</s>"), ("unk_token", "<unk>"), ("sep_token", "</s>"),
        ("pad_token", "<pad>"), ("cls_token", "<s>"), ("mask_token", "<mask>"),
    ]

    /// XLM-RoBERTa, and the families that share its class.
    static let xlmRoberta = TokenizerClass(
        "Unigram", robertaTokens, neededRoles: ["bos_token", "eos_token"],
        pieces: { pieces, context in
            ["bos_token", "pad_token", "eos_token", "unk_token"].map { piece(context.contents[$0] ?? "", 0) }
                + pieces.dropFirst(3) + [piece(context.contents["mask_token"] ?? "", 0)]
        }
    ) { context throws(TuttiError) in
        try sentencePiece(context, unknown: 3, before: ["bos_token"], after: ["eos_token"])
    }

    /// CamemBERT, whose mask absorbs the white space before it.
    static let camembert = TokenizerClass(
        "Unigram", robertaTokens, neededRoles: ["bos_token", "eos_token"], maskStripsLeft: true,
        furtherTokens: { _, declared in
            declared ?? ["<s>NOTUSED", "</s>NOTUSED", "<unk>NOTUSED"].map { special($0) }
        },
        pieces: { pieces, context in
            [
                piece("<s>NOTUSED", 0), piece(context.contents["pad_token"] ?? "", 0), piece("</s>NOTUSED", 0),
                piece(context.contents["unk_token"] ?? "", 0), piece("<unk>NOTUSED", -100),
            ] + pieces.dropFirst() + [piece(context.contents["mask_token"] ?? "", 0)]
        }
    ) { context throws(TuttiError) in
        let unknown = place(of: context.named["unk_token"]?.token, in: context) { _ in true }
        return try sentencePiece(context, unknown: unknown ?? 0, before: ["bos_token"], after: ["eos_token"])
    }

    /// ALBERT.
    static let albert = TokenizerClass(
        "Unigram",
        [
            ("bos_token", "[CLS]"), ("eos_token", "[SEP]"), ("unk_token", "<unk>"), ("sep_token", "[SEP]"),
            ("pad_token", "<pad>"), ("cls_token", "[CLS]"), ("mask_token", "[MASK]"),
        ], neededRoles: ["cls_token", "sep_token"]
    ) { context throws(TuttiError) in
        let (configuration, place) = (context.configuration, context.place)
        var parts = try sentencePiece(context, unknown: 1, before: ["cls_token"], after: ["sep_token"])
        var steps = ["``", "''"].map { replacement(["String": .string($0)], "\"") }
        if try !place.bool(configuration, "keep_accents", default: false) {
            steps += [step("NFKD"), step("StripAccents")]
        }
        if try place.bool(configuration, "do_lower_case", default: true) { steps.append(step("Lowercase")) }
        if let precompiled = context.precompiled { steps.append(precompiled) }
        parts.normalizer = sequence("normalizers", steps)
        // The template is its own only where tokenizer.json has none.
        if let given = context.file["post_processor"], !given.isNull { parts.postProcessor = given }
        parts.yieldsPostProcessor = true
        return parts
    }

    /// DeBERTa, versions 2 and 3.
    static let debertaV2 = TokenizerClass(
        "Unigram",
        [
            ("bos_token", "[CLS]"), ("eos_token", "[SEP]"), ("unk_token", "[UNK]"), ("sep_token", "[SEP]"),
            ("pad_token", "[PAD]"), ("cls_token", "[CLS]"), ("mask_token", "[MASK]"),
        ], neededRoles: ["cls_token", "sep_token"]
    ) { context throws(TuttiError) in
        let (configuration, place) = (context.configuration, context.place)
        let lowercases = try place.bool(configuration, "do_lower_case", default: false)
        let splits = try place.bool(configuration, "split_by_punct", default: false)
        let marks = metaspace(try place.bool(configuration, "add_prefix_space", default: true) ? "always" : "first")
        let strip = JSONValue.object([
            "type": .string("Strip"), "strip_left": .bool(false), "strip_right": .bool(true),
        ])
        let blanks = replacement(["Regex": .string(#"\s{2,}|[\n\r\t]"#)], " ")
        let punctuation = JSONValue.object(["type": .string("Punctuation"), "behavior": .string("Isolated")])
        let named = TokenizerClass.place(of: context.named["unk_token"]?.token, in: context) { $0 == 0 }
        let declared = context.file.isNull ? context.vocabulary.unknownId : nil
        return Parts(
            normalizer: sequence(
                "normalizers", (lowercases ? [step("Lowercase")] : []) + [blanks, step("NFC"), strip]),
            preTokenizer: sequence("pretokenizers", (splits ? [punctuation] : []) + [marks]),
            model: unigram(unknown: named ?? declared ?? configuration["unk_id"]?.int ?? 1),
            postProcessor: try context.template(before: ["cls_token"], after: ["sep_token"]),
            decoder: marks)
    }

    /// T5 and mT5.
    static let t5 = TokenizerClass(
        "Unigram",
        [("eos_token", "</s>"), ("unk_token", "<unk>"), ("pad_token", "<pad>")], neededRoles: ["eos_token"],
        furtherTokens: { configuration, declared in
            let declared = declared ?? []
            let given = declared.contains { $0.content.contains("<extra_id_") }
            return declared + (given ? [] : sentinels(configuration).reversed().map { special($0) })
        },
        pieces: { pieces, context in pieces + sentinels(context.configuration).map { piece($0, 0) } }
    ) { context throws(TuttiError) in
        try sentencePiece(context, unknown: 2, before: [], after: ["eos_token"], canOmitMarks: false)
    }

    /// T5's sentinel tokens, the last one first, as they follow the pieces.
    private static func sentinels(_ configuration: JSONValue) -> [String] {
        let count = min(max(configuration["extra_ids"]?.int ?? 100, 0), 100_000)
        return (0..<count).reversed().map { "<extra_id_\($0)>" }
    }

    private static func special(_ content: String) -> DeclaredToken {
        var token = DeclaredToken(content)
        token.isSpecial = true
        return token
    }

    private static func piece(_ text: String, _ score: Double) -> JSONValue { .array([.string(text), .number(score)]) }

    /// The place of the first piece `text` whose score `accepts`; nil if there is none.
    private static func place(of text: String?, in context: ClassContext, _ accepts: (Double) -> Bool) -> Int? {
        guard let text else { return nil }
        return context.vocabulary.pieces.firstIndex { entry in
            guard let pair = entry.array, pair.count == 2, let piece = pair[0].string else { return false }
            return piece.utf8.elementsEqual(text.utf8) && accepts(pair[1].double ?? .nan)
        }
    }

    /// The Unigram model; byte fallback is off in all these classes.
    private static func unigram(unknown: Int) -> JSONObject {
        ["type": .string("Unigram"), "unk_id": .integer(Int64(unknown)), "byte_fallback": .bool(false)]
    }

    /// What most of the classes build: the character map, WhitespaceSplit and Metaspace, a template.
    private static func sentencePiece(
        _ context: ClassContext, unknown: Int, before: [String], after: [String], canOmitMarks: Bool = true
    ) throws(TuttiError) -> Parts {
        var hasMarks = true
        if canOmitMarks { hasMarks = try context.place.bool(context.configuration, "add_prefix_space", default: true) }
        let marks = metaspace(hasMarks ? "always" : "never")
        return Parts(
            normalizer: context.precompiled ?? .null,
            preTokenizer: sequence("pretokenizers", [step("WhitespaceSplit"), marks]), model: unigram(unknown: unknown),
            postProcessor: try context.template(before: before, after: after), decoder: marks)
    }

    private static func step(_ type: String) -> JSONValue { .object(["type": .string(type)]) }

    private static func sequence(_ key: String, _ steps: [JSONValue]) -> JSONValue {
        .object(["type": .string("Sequence"), key: .array(steps)])
    }

    private static func metaspace(_ scheme: String) -> JSONValue {
        .object([
            "type": .string("Metaspace"), "replacement": .string("\u{2581}"), "prepend_scheme": .string(scheme),
            "split": .bool(true),
        ])
    }

    private static func replacement(_ pattern: JSONObject, _ content: String) -> JSONValue {
        .object(["type": .string("Replace"), "pattern": .object(pattern), "content": .string(content)])
    }
}
