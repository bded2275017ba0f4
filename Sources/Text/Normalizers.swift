// The normalizers of tokenizer.json, applied to a text before it is split.
// The set is closed by the file format, so it is an enum; an unknown normalizer is refused by name.

import TuttiFormats
import TuttiGround

/// A normalizer of tokenizer.json.
indirect enum Normalizer: Sendable {
    case bert(BertNormalizer)
    case form(NormalizationForm)
    case lowercase
    case stripAccents
    case strip(left: Bool, right: Bool)
    /// Every occurrence of a fixed string is replaced.
    case replace([UInt8], with: [UInt8])
    case prepend([UInt8])
    /// Every byte becomes its printable stand-in.
    case byteLevel
    case sequence([Normalizer])

    /// The known `type` names.
    static let known = [
        "BertNormalizer", "ByteLevel", "Lowercase", "NFC", "NFD", "NFKC", "NFKD", "Prepend", "Replace", "Sequence",
        "Strip",
        "StripAccents",
    ]

    /// Appends the normalized form of `source[range]` to `target`.
    func normalize(
        _ source: [UInt8], _ range: Range<Int>, to target: inout [UInt8], pending: inout [(UInt8, UInt32)]
    ) {
        if case .bert(let normalizer) = self {
            normalizer.normalize(source, range, to: &target, pending: &pending)
        } else {
            target.append(contentsOf: normalized(Array(source[range]), pending: &pending))
        }
    }

    private func normalized(_ bytes: [UInt8], pending: inout [(UInt8, UInt32)]) -> [UInt8] {
        let properties = UnicodeProperties.shared
        switch self {
        case .bert(let normalizer):
            var target: [UInt8] = []
            normalizer.normalize(bytes, 0..<bytes.count, to: &target, pending: &pending)
            return target
        case .form(let form):
            return Normalizer.encoded(form.normalize(Normalizer.points(bytes)))
        case .lowercase:
            return Normalizer.encoded(Normalizer.points(bytes).flatMap { properties.lowercase[$0] ?? [$0] })
        case .stripAccents:
            return Normalizer.encoded(Normalizer.points(bytes).filter { !properties.marks.contains($0) })
        case .strip(let left, let right):
            let points = Normalizer.points(bytes)
            let isSpace = { (point: UInt32) in properties.flags(point).contains(.space) }
            var rest = points[...]
            if left { rest = rest.drop(while: isSpace) }
            while right, let last = rest.last, isSpace(last) { rest.removeLast() }
            return Normalizer.encoded(Array(rest))
        case .replace(let pattern, let content):
            return Normalizer.replacing(pattern, with: content, in: bytes)
        case .prepend(let prefix):
            return bytes.isEmpty ? bytes : prefix + bytes
        case .byteLevel:
            var mapped: [UInt8] = []
            ByteMap.append(bytes, 0..<bytes.count, to: &mapped)
            return mapped
        case .sequence(let parts):
            var value = bytes
            for part in parts { value = part.normalized(value, pending: &pending) }
            return value
        }
    }

    private static func points(_ bytes: [UInt8]) -> [UInt32] {
        var points: [UInt32] = []
        points.reserveCapacity(bytes.count)
        var position = 0
        while position < bytes.count { points.append(UTF8Scalars.next(bytes, &position)) }
        return points
    }

    private static func encoded(_ points: [UInt32]) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(points.count)
        for point in points { UTF8Scalars.append(point, to: &bytes) }
        return bytes
    }

    private static func replacing(_ pattern: [UInt8], with content: [UInt8], in bytes: [UInt8]) -> [UInt8] {
        var replaced: [UInt8] = []
        var position = 0
        while position < bytes.count {
            if bytes[position...].starts(with: pattern) {
                replaced += content
                position += pattern.count
            } else {
                replaced.append(bytes[position])
                position += 1
            }
        }
        return replaced
    }
}

extension Normalizer {
    /// The normalizer described by `value`; nil if it is null.
    ///
    /// Throws: `.data` for an unknown one.
    static func parse(_ value: JSONValue?, _ place: TokenizerPlace) throws(TuttiError) -> Normalizer? {
        guard let value, !value.isNull else { return nil }
        let type = try place.string(value, "type")
        if let form = NormalizationForm(rawValue: type) { return .form(form) }
        switch type {
        case "BertNormalizer":
            return .bert(
                BertNormalizer(
                    cleanText: try place.bool(value, "clean_text", default: true),
                    handleChineseCharacters: try place.bool(value, "handle_chinese_chars", default: true),
                    stripAccents: try place.optionalBool(value, "strip_accents"),
                    lowercase: try place.bool(value, "lowercase", default: true)))
        case "Lowercase":
            return .lowercase
        case "ByteLevel":
            return .byteLevel
        case "StripAccents":
            return .stripAccents
        case "Strip":
            return .strip(
                left: try place.bool(value, "strip_left", default: true),
                right: try place.bool(value, "strip_right", default: true))
        case "Replace":
            guard let pattern = value["pattern"]?["String"]?.string, !pattern.isEmpty else {
                throw place.error(
                    key: "pattern", "only a fixed, non-empty string can be replaced, not a regular expression")
            }
            return .replace(Array(pattern.utf8), with: Array(try place.string(value, "content").utf8))
        case "Prepend":
            return .prepend(Array(try place.string(value, "prepend").utf8))
        case "Sequence":
            var parts: [Normalizer] = []
            for part in try place.array(value, "normalizers") {
                if let parsed = try parse(part, place) { parts.append(parsed) }
            }
            return .sequence(parts)
        default:
            throw place.unknown("normalizer", type, known: known)
        }
    }
}
