// The pre-tokenizers of tokenizer.json: they split a normalized text into words, which the model then splits one by one.
// The set is closed by the file format, so it is an enum; an unknown one is refused by name.

import TuttiFormats
import TuttiGround

/// A pre-tokenizer of tokenizer.json.
indirect enum PreTokenizer: Sendable {
    /// Removes white space; each punctuation mark is a separate word.
    case bert
    /// Runs of word characters, and runs of characters that are neither word characters nor white space.
    case whitespace
    /// Removes white space.
    case whitespaceSplit
    /// Each punctuation mark is a separate word.
    case punctuation
    case sequence([PreTokenizer])

    /// The known `type` names.
    static let known = ["BertPreTokenizer", "Punctuation", "Sequence", "Whitespace", "WhitespaceSplit"]

    /// How a splitting rule treats a code point.
    private enum Role { case word, otherWord, alone, removed }

    /// Appends the words of `bytes[range]` to `words`.
    func split(_ bytes: [UInt8], _ range: Range<Int>, into words: inout [Range<Int>]) {
        switch self {
        case .bert:
            PreTokenizer.cut(bytes, range, into: &words) {
                $0.contains(.space) ? .removed : $0.contains(.punctuation) ? .alone : .word
            }
        case .whitespace:
            PreTokenizer.cut(bytes, range, into: &words) {
                $0.contains(.word) ? .word : $0.contains(.space) ? .removed : .otherWord
            }
        case .whitespaceSplit:
            PreTokenizer.cut(bytes, range, into: &words) { $0.contains(.space) ? .removed : .word }
        case .punctuation:
            PreTokenizer.cut(bytes, range, into: &words) { $0.contains(.punctuation) ? .alone : .word }
        case .sequence(let parts):
            var pieces = [range]
            for part in parts {
                var finer: [Range<Int>] = []
                for piece in pieces { part.split(bytes, piece, into: &finer) }
                pieces = finer
            }
            words += pieces
        }
    }

    @inline(__always)
    private static func cut(
        _ bytes: [UInt8], _ range: Range<Int>, into words: inout [Range<Int>], _ role: (CodePointFlags) -> Role
    ) {
        let properties = UnicodeProperties.shared
        var start = range.lowerBound
        var current = Role.removed
        var position = range.lowerBound
        while position < range.upperBound {
            let place = position
            let next = role(properties.flags(UTF8Scalars.next(bytes, &position)))
            if next == current, next != .alone { continue }
            if current != .removed { words.append(start..<place) }
            start = place
            current = next
        }
        if current != .removed, start < range.upperBound { words.append(start..<range.upperBound) }
    }

    /// The pre-tokenizer described by `value`; nil if it is null.
    ///
    /// Throws: `.data` for an unknown one.
    static func parse(_ value: JSONValue?, _ place: TokenizerPlace) throws(TuttiError) -> PreTokenizer? {
        guard let value, !value.isNull else { return nil }
        let type = try place.string(value, "type")
        switch type {
        case "BertPreTokenizer": return .bert
        case "Whitespace": return .whitespace
        case "WhitespaceSplit": return .whitespaceSplit
        case "Punctuation":
            if let behavior = value["behavior"]?.string, behavior != "Isolated" {
                throw place.error(
                    key: "behavior", "unknown behavior '\(behavior)' of Punctuation; known: Isolated")
            }
            return .punctuation
        case "Sequence":
            var parts: [PreTokenizer] = []
            for part in try place.array(value, "pretokenizers") {
                if let parsed = try parse(part, place) { parts.append(parsed) }
            }
            return .sequence(parts)
        default:
            throw place.unknown("pre-tokenizer", type, known: known)
        }
    }
}
