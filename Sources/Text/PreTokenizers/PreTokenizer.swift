// The pre-tokenizers of tokenizer.json: they split a normalized text into words, which the model then splits one by one.
// The set is closed by the file format, so it is an enum; an unknown one is refused by name. A new one is one file, one
// case here and one line in `parse`.

import TuttiFormats
import TuttiGround

/// A pre-tokenizer of tokenizer.json.
indirect enum PreTokenizer: Sendable {
    /// Words cut by a property of each character.
    case characters(CharacterRule)
    case split(Split)
    case byteLevel(ByteLevel)
    case metaspace(Metaspace)
    /// Words of a number of characters.
    case fixedLength(Int)
    /// Cuts where the script changes.
    case scripts
    case sequence([PreTokenizer])

    /// The known `type` names.
    static let known = [
        "BertPreTokenizer", "ByteLevel", "CharDelimiterSplit", "Digits", "FixedLength", "Metaspace", "Punctuation",
        "Sequence", "Split", "UnicodeScripts", "Whitespace", "WhitespaceSplit",
    ]

    /// Splits the words of `buffer`.
    func apply(to buffer: inout WordBuffer) {
        switch self {
        case .characters(let rule): buffer.split { bytes, word, words, _ in rule.split(bytes, word, into: &words) }
        case .split(let split): split.apply(to: &buffer)
        case .byteLevel(let byteLevel): byteLevel.apply(to: &buffer)
        case .metaspace(let metaspace): metaspace.apply(to: &buffer)
        case .fixedLength(let length):
            buffer.split { bytes, word, words, _ in FixedLength.split(bytes, word, length, into: &words) }
        case .scripts: buffer.split { bytes, word, words, _ in Scripts.split(bytes, word, into: &words) }
        case .sequence(let parts): for part in parts { part.apply(to: &buffer) }
        }
    }

    /// True if the words can be other text than what they were split from.
    var rewrites: Bool {
        switch self {
        case .characters, .split, .fixedLength, .scripts: false
        case .byteLevel(let byteLevel): byteLevel.rewrites
        case .metaspace: true
        case .sequence(let parts): parts.contains(where: \.rewrites)
        }
    }

    /// The same without the last step's mapping of bytes to stand-ins, for a model that reads raw bytes; nil if the
    /// last step is not ByteLevel.
    var leavingBytes: PreTokenizer? {
        switch self {
        case .byteLevel(var byteLevel):
            byteLevel.mapsBytes = false
            return .byteLevel(byteLevel)
        case .sequence(let parts):
            guard let last = parts.last?.leavingBytes else { return nil }
            return .sequence(parts.dropLast() + [last])
        default: return nil
        }
    }
}

extension PreTokenizer {
    /// The most steps of a sequence, and the most of them that rewrite: ByteLevel can double a text, and Metaspace make it
    /// five times as long.
    private static let stepLimit = 64
    private static let mapLimit = 4

    /// The pre-tokenizer described by `value`; nil if it is null.
    ///
    /// Throws: `.data` for an unknown one, for a key that cannot be used, or for more steps than the limit.
    static func parse(_ value: JSONValue?, _ place: TokenizerPlace) throws(TuttiError) -> PreTokenizer? {
        guard let parsed = try parsePart(value, place) else { return nil }
        let steps = parsed.steps
        let maps = steps.count { step in
            switch step {
            case .byteLevel, .metaspace: true
            default: false
            }
        }
        guard steps.count <= stepLimit, maps <= mapLimit else {
            throw place.error(
                key: "pre_tokenizer",
                "has \(steps.count) steps, \(maps) of them ByteLevel or Metaspace; the limits are \(stepLimit) and \(mapLimit)"
            )
        }
        return parsed
    }

    /// The steps in order, sequences flattened.
    private var steps: [PreTokenizer] {
        if case .sequence(let parts) = self { return parts.flatMap(\.steps) }
        return [self]
    }

    private static func parsePart(_ value: JSONValue?, _ place: TokenizerPlace) throws(TuttiError) -> PreTokenizer? {
        guard let value, !value.isNull else { return nil }
        let type = try place.string(value, "type")
        switch type {
        case "BertPreTokenizer": return .characters(.bert)
        case "Whitespace": return .characters(.whitespace)
        case "WhitespaceSplit": return .characters(.whitespaceSplit)
        case "Punctuation":
            let behavior = try SplitBehavior.parse(value, default: .isolated, place)
            return .split(Split(pattern: .characters(.punctuation), behavior: behavior))
        case "Digits":
            let isolates = try place.bool(value, "individual_digits", default: false)
            return .split(Split(pattern: .characters(.numeric), behavior: isolates ? .isolated : .contiguous))
        case "CharDelimiterSplit":
            let delimiter = try place.string(value, "delimiter")
            guard delimiter.unicodeScalars.count == 1 else {
                throw place.error(key: "pre_tokenizer.delimiter", "'\(delimiter)' is not one character")
            }
            return .split(Split(pattern: .literal(Array(delimiter.utf8)), behavior: .removed))
        case "Split": return .split(try Split(value, place))
        case "ByteLevel": return .byteLevel(try ByteLevel(value, place))
        case "Metaspace": return .metaspace(try Metaspace(value, place))
        case "FixedLength":
            let length = value["length"] ?? .integer(5)
            guard let count = length.int, count > 0 else {
                throw place.error(key: "pre_tokenizer.length", "expected an integer of at least 1")
            }
            return .fixedLength(count)
        case "UnicodeScripts": return .scripts
        case "Sequence":
            var parts: [PreTokenizer] = []
            for part in try place.array(value, "pretokenizers") {
                if let parsed = try parsePart(part, place) { parts.append(parsed) }
            }
            return .sequence(parts)
        default:
            throw place.unknown("pre-tokenizer", type, known: known)
        }
    }
}
