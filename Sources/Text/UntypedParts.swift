// Parts of a tokenizer.json without a type, which the first versions of tokenizers wrote: the type follows from their keys.
//
// Normalizers and post-processors have such forms; pre-tokenizers have none. A part whose keys fit none is left as it is,
// and refused where it is read.
// Reference: tokenizers 0.23, normalizers/mod.rs and processors/mod.rs (the untagged enums behind a part without a type).

import TuttiGround

/// Gives the types that a tokenizer.json leaves out.
enum UntypedParts {
    /// Types by the keys that they need, in the order in which they are tried.
    private static let normalizers: [(type: String, keys: [String])] = [
        ("BertNormalizer", ["clean_text", "handle_chinese_chars", "lowercase"]),
        ("Strip", ["strip_left", "strip_right"]), ("Sequence", ["normalizers"]),
        ("Precompiled", ["precompiled_charsmap"]), ("Replace", ["pattern", "content"]), ("Prepend", ["prepend"]),
    ]
    private static let processors: [(type: String, keys: [String])] = [
        ("RobertaProcessing", ["sep", "cls", "trim_offsets", "add_prefix_space"]),
        ("BertProcessing", ["sep", "cls"]), ("TemplateProcessing", ["single", "pair", "special_tokens"]),
    ]

    /// `document` with the types of its normalizer and its post-processor.
    static func typed(_ document: JSONValue) -> JSONValue {
        guard var object = document.object else { return document }
        for (part, kinds) in [("normalizer", normalizers), ("post_processor", processors)] {
            if let value = object[part] { object[part] = typed(value, kinds) }
        }
        return .object(object)
    }

    private static func typed(_ value: JSONValue, _ kinds: [(type: String, keys: [String])]) -> JSONValue {
        guard var object = value.object else { return value }
        if object["type"] == nil,
            let kind = kinds.first(where: { kind in kind.keys.allSatisfy { object[$0] != nil } })
        {
            object["type"] = .string(kind.type)
        }
        if let steps = object["normalizers"]?.array {
            object["normalizers"] = .array(steps.map { typed($0, kinds) })
        }
        return .object(object)
    }
}
