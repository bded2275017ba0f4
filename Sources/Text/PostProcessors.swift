// The special tokens around one text: "[CLS] ... [SEP]". All known post-processors reduce to ids before and after the
// text; a template that repeats or omits the text is refused.

import TuttiFormats
import TuttiGround

/// The special tokens around a single text.
struct PostProcessor: Sendable, Equatable {
    var prefix: [Int32] = []
    var suffix: [Int32] = []

    /// The known `type` names.
    static let known = ["BertProcessing", "ByteLevel", "RobertaProcessing", "Sequence", "TemplateProcessing"]

    /// The post-processor described by `value`; null adds nothing.
    ///
    /// Throws: `.data` for an unknown one.
    static func parse(_ value: JSONValue?, _ place: TokenizerPlace) throws(TuttiError) -> PostProcessor {
        guard let value, !value.isNull else { return PostProcessor() }
        let type = try place.string(value, "type")
        switch type {
        case "BertProcessing", "RobertaProcessing":
            return PostProcessor(prefix: [try pairId(value, "cls", place)], suffix: [try pairId(value, "sep", place)])
        case "TemplateProcessing":
            return try template(value, place)
        case "ByteLevel":
            return PostProcessor()  // changes offsets only
        case "Sequence":
            var whole = PostProcessor()
            for part in try place.array(value, "processors") {
                let outer = try parse(part, place)
                whole.prefix = outer.prefix + whole.prefix
                whole.suffix += outer.suffix
            }
            return whole
        default:
            throw place.unknown("post-processor", type, known: known)
        }
    }

    /// The id of a `["token", id]` pair.
    private static func pairId(_ value: JSONValue, _ key: String, _ place: TokenizerPlace) throws(TuttiError) -> Int32 {
        guard let pair = value[key]?.array, pair.count == 2, let id = pair[1].int, let exact = Int32(exactly: id),
            exact >= 0
        else {
            throw place.error(key: "post_processor.\(key)", "expected [\"token\", id] with an id of at least 0")
        }
        return exact
    }

    private static func template(_ value: JSONValue, _ place: TokenizerPlace) throws(TuttiError) -> PostProcessor {
        var processor = PostProcessor()
        var textCount = 0
        for piece in try place.array(value, "single") {
            if piece["Sequence"] != nil {
                textCount += 1
            } else if let name = piece["SpecialToken"]?["id"]?.string {
                guard let ids = value["special_tokens"]?[name]?["ids"]?.array else {
                    throw place.error(key: "post_processor.special_tokens", "has no ids of '\(name)'")
                }
                for id in ids {
                    guard let id = id.int, let exact = Int32(exactly: id), exact >= 0 else {
                        throw place.error(
                            key: "post_processor.special_tokens.\(name).ids", "expected integers of at least 0")
                    }
                    if textCount == 0 { processor.prefix.append(exact) } else { processor.suffix.append(exact) }
                }
            } else {
                throw place.error(key: "post_processor.single", "expected Sequence or SpecialToken")
            }
        }
        guard textCount == 1 else {
            throw place.error(
                key: "post_processor.single",
                "has the text \(textCount) times; only templates with the text once are supported")
        }
        return processor
    }
}
