// Models that carry only vocab.txt: the tokenizer.json that BertTokenizer (or MPNetTokenizer) would have written is
// built from it and from tokenizer_config.json, so that there is one way on from here and the saved model is
// complete.

import TuttiFormats
import TuttiGround

/// The conversion of vocab.txt to the contents of tokenizer.json.
struct VocabularyFile {
    /// What a tokenizer class implies.
    private struct Family {
        let roles: [(key: String, token: String)]
        let isRoberta: Bool
    }

    private static let bert = Family(
        roles: [
            ("pad_token", "[PAD]"), ("unk_token", "[UNK]"), ("cls_token", "[CLS]"), ("sep_token", "[SEP]"),
            ("mask_token", "[MASK]"),
        ], isRoberta: false)
    private static let mpnet = Family(
        roles: [
            ("cls_token", "<s>"), ("pad_token", "<pad>"), ("sep_token", "</s>"), ("unk_token", "[UNK]"),
            ("mask_token", "<mask>"),
        ], isRoberta: true)
    private static let families = [
        "BertTokenizer": bert, "DistilBertTokenizer": bert, "ElectraTokenizer": bert, "MPNetTokenizer": mpnet,
    ]

    /// The tokenizer.json for the vocabulary `bytes` of the file `path`.
    ///
    /// Throws: `.data` for an empty vocabulary, a missing special token, or a class that is not known.
    static func tokenizerJSON(
        bytes: UnsafeRawBufferPointer, path: String, configuration: JSONValue, specialTokens: JSONValue
    ) throws(TuttiError) -> JSONValue {
        let place = TokenizerPlace(path: path)
        try UTF8Text.check(bytes, source: path, operation: "read tokenizer")
        var vocabulary = JSONObject()
        var count: Int64 = 0
        var lines = bytes.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)[...]
        if lines.last?.isEmpty == true { lines.removeLast() }
        for line in lines {
            let token = line.last == UInt8(ascii: "\r") ? line.dropLast() : line
            vocabulary.set(String(decoding: token, as: UTF8.self), .integer(count))
            count += 1
        }
        guard count > 0 else { throw TuttiError(.data, "read tokenizer", path, "the vocabulary is empty") }

        let name = configuration["tokenizer_class"]?.string ?? "BertTokenizer"
        let plainName = name.hasSuffix("Fast") ? String(name.dropLast(4)) : name
        guard let family = families[plainName] else {
            throw place.unknown("tokenizer class", name, known: families.keys.sorted())
        }
        var added: [JSONValue] = []
        var roles: [String: (token: String, id: Int64)] = [:]
        for (key, fallback) in family.roles {
            let value = configuration[key] ?? specialTokens[key]
            let token = value?.string ?? value?["content"]?.string ?? fallback
            guard case .integer(let id)? = vocabulary[token] else {
                if key == "mask_token" || key == "pad_token" { continue }
                throw place.error(key: key, "the token '\(token)' is not in the vocabulary")
            }
            roles[key] = (token, id)
            added.append(
                .object([
                    "id": .integer(id), "content": .string(token), "single_word": .bool(false),
                    "lstrip": .bool(value?["lstrip"]?.bool ?? (family.isRoberta && key == "mask_token")),
                    "rstrip": .bool(false), "normalized": .bool(false), "special": .bool(true),
                ]))
        }
        guard let cls = roles["cls_token"], let sep = roles["sep_token"], let unknown = roles["unk_token"] else {
            throw place.error(key: "special tokens", "cls_token, sep_token and unk_token are needed")
        }
        let accents = configuration["strip_accents"] ?? .null
        return .object([
            "version": "1.0".jsonString, "truncation": .null, "padding": .null, "added_tokens": .array(added),
            "normalizer": .object([
                "type": "BertNormalizer".jsonString, "clean_text": .bool(true),
                "handle_chinese_chars": .bool(configuration["tokenize_chinese_chars"]?.bool ?? true),
                "strip_accents": accents, "lowercase": .bool(configuration["do_lower_case"]?.bool ?? true),
            ]),
            "pre_tokenizer": .object(["type": "BertPreTokenizer".jsonString]),
            "post_processor": postProcessor(cls: cls, sep: sep, isRoberta: family.isRoberta),
            "decoder": .object([
                "type": "WordPiece".jsonString, "prefix": "##".jsonString, "cleanup": .bool(true),
            ]),
            "model": .object([
                "type": "WordPiece".jsonString, "unk_token": .string(unknown.token),
                "continuing_subword_prefix": "##".jsonString, "max_input_chars_per_word": .integer(100),
                "vocab": .object(vocabulary),
            ]),
        ])
    }

    private static func postProcessor(
        cls: (token: String, id: Int64), sep: (token: String, id: Int64), isRoberta: Bool
    ) -> JSONValue {
        let first = JSONValue.array([.string(sep.token), .integer(sep.id)])
        let second = JSONValue.array([.string(cls.token), .integer(cls.id)])
        guard isRoberta else {
            return .object(["type": "BertProcessing".jsonString, "sep": first, "cls": second])
        }
        return .object([
            "type": "RobertaProcessing".jsonString, "sep": first, "cls": second, "trim_offsets": .bool(true),
            "add_prefix_space": .bool(false),
        ])
    }
}

extension String {
    /// The string as a JSON value.
    fileprivate var jsonString: JSONValue { .string(self) }
}
