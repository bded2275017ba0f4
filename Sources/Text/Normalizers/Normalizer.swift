// The normalizers of tokenizer.json, applied to a text before it is split.
// The set is closed by the file format, so it is an enum; an unknown normalizer is refused by name.
// Each one reads UTF-8 and writes UTF-8; the steps of a sequence write to two buffers in turn.

import TuttiFormats
import TuttiGround

/// Buffers of the normalizers, one per thread.
struct NormalizerScratch: Sendable {
    /// Marks that wait for canonical ordering: combining class, code point.
    var pending: [(UInt8, UInt32)] = []
    /// Buffers of regular expressions.
    var regex = RegexScratch()
    /// Whether the last text lost its first character, so that what is left starts later in the input.
    var dropsStart = false
    /// What the step before wrote, and what this one writes.
    fileprivate var input: [UInt8] = []
    fileprivate var output: [UInt8] = []
}

/// A normalizer of tokenizer.json.
enum Normalizer: Sendable {
    case bert(BertNormalizer)
    case form(NormalizationForm)
    case lowercase
    case stripAccents
    case strip(left: Bool, right: Bool)
    /// Every occurrence of a pattern is replaced.
    case replace(ReplacedPattern, with: [UInt8])
    /// Put before a text that is not empty.
    case prepend([UInt8])
    case nmt
    /// Every byte becomes its printable stand-in.
    case byteLevel
    case precompiled(PrecompiledCharsmap)
    /// The steps in order; none of them is a sequence.
    case sequence([Normalizer])

    /// The known `type` names.
    static let known = [
        "BertNormalizer", "ByteLevel", "Lowercase", "NFC", "NFD", "NFKC", "NFKD", "Nmt", "Precompiled", "Prepend",
        "Replace",
        "Sequence", "Strip", "StripAccents",
    ]

    /// Appends the normalized form of `source[range]` to `target`.
    ///
    /// Allocates: only to grow `target` and `scratch`, but for characters that NFC and NFKC change.
    func normalize(
        _ source: [UInt8], _ range: Range<Int>, to target: inout [UInt8], scratch: inout NormalizerScratch
    ) {
        scratch.dropsStart = false
        apply(source, range, to: &target, scratch: &scratch)
    }

    private func apply(
        _ source: [UInt8], _ range: Range<Int>, to target: inout [UInt8], scratch: inout NormalizerScratch
    ) {
        if dropsStart(of: source, range) { scratch.dropsStart = true }
        switch self {
        case .bert(let normalizer): normalizer.normalize(source, range, to: &target, pending: &scratch.pending)
        case .form(let form): form.normalize(source, range, to: &target, pending: &scratch.pending)
        case .lowercase: Normalizer.lowercase(source, range, to: &target)
        case .stripAccents: Normalizer.stripAccents(source, range, to: &target)
        case .strip(let left, let right):
            target.append(contentsOf: source[Normalizer.stripped(source, range, left: left, right: right)])
        case .replace(let pattern, let content):
            pattern.replace(source, range, with: content, to: &target, scratch: &scratch.regex)
        case .prepend(let prefix):
            if !range.isEmpty { target.append(contentsOf: prefix) }
            target.append(contentsOf: source[range])
        case .nmt: Normalizer.nmt(source, range, to: &target)
        case .byteLevel: ByteMap.append(source, range, to: &target)
        case .precompiled(let charsmap): charsmap.normalize(source, range, to: &target)
        case .sequence(let steps): Normalizer.run(steps, source, range, to: &target, scratch: &scratch)
        }
    }

    /// The steps one after the other, each on what the one before wrote.
    private static func run(
        _ steps: [Normalizer], _ source: [UInt8], _ range: Range<Int>, to target: inout [UInt8],
        scratch: inout NormalizerScratch
    ) {
        guard let first = steps.first, let last = steps.last, steps.count > 1 else {
            guard let only = steps.first else { return target.append(contentsOf: source[range]) }
            return only.apply(source, range, to: &target, scratch: &scratch)
        }
        var input: [UInt8] = []
        var output: [UInt8] = []
        swap(&input, &scratch.input)
        swap(&output, &scratch.output)
        input.removeAll(keepingCapacity: true)
        first.apply(source, range, to: &input, scratch: &scratch)
        for step in steps[1..<(steps.count - 1)] {
            output.removeAll(keepingCapacity: true)
            step.apply(input, 0..<input.count, to: &output, scratch: &scratch)
            swap(&input, &output)
        }
        last.apply(input, 0..<input.count, to: &target, scratch: &scratch)
        swap(&input, &scratch.input)
        swap(&output, &scratch.output)
    }

    /// Whether this step removes the first character of `source[range]` without a replacement. Character maps do not
    /// count: the reference leaves what follows at the place of what they removed.
    private func dropsStart(of source: [UInt8], _ range: Range<Int>) -> Bool {
        guard !range.isEmpty else { return false }
        var position = range.lowerBound
        let point = UTF8Scalars.next(source, &position)
        let flags = UnicodeProperties.shared.flags(point)
        switch self {
        case .bert(let normalizer):
            return normalizer.cleanText && flags.contains(.dropped)
                || normalizer.stripAccents && flags.contains(.nonspacing)
        case .stripAccents: return Normalizer.marks[point] != 0
        case .strip(let left, _): return left && flags.contains(.space)
        case .replace(let pattern, let content): return content.isEmpty && pattern.matches(source, range)
        case .nmt: return Normalizer.isDropped(byNmt: point)
        default: return false
        }
    }

    private static func lowercase(_ source: [UInt8], _ range: Range<Int>, to target: inout [UInt8]) {
        let properties = UnicodeProperties.shared
        var position = range.lowerBound
        while position < range.upperBound {
            let byte = source[position]
            if byte < 0x80 {
                target.append(byte >= 0x41 && byte <= 0x5A ? byte + 0x20 : byte)
                position += 1
                continue
            }
            let start = position
            let point = UTF8Scalars.next(source, &position)
            if properties.flags(point).contains(.cased), let lower = properties.lowercase[point] {
                for part in lower { UTF8Scalars.append(part, to: &target) }
            } else {
                target.append(contentsOf: source[start..<position])
            }
        }
    }

    /// The marks that StripAccents removes.
    private static let marks: CodePointTable = {
        var table = CodePointTable()
        for mark in UnicodeProperties.shared.marks { table.insert(mark, 1) }
        return table
    }()

    private static func stripAccents(_ source: [UInt8], _ range: Range<Int>, to target: inout [UInt8]) {
        let marks = Normalizer.marks
        var position = range.lowerBound
        while position < range.upperBound {
            let start = position
            if source[start] < 0x80 {
                target.append(source[start])
                position += 1
            } else if marks[UTF8Scalars.next(source, &position)] == 0 {
                target.append(contentsOf: source[start..<position])
            }
        }
    }

    /// The part of `source[range]` without the white space at its ends.
    private static func stripped(_ source: [UInt8], _ range: Range<Int>, left: Bool, right: Bool) -> Range<Int> {
        let properties = UnicodeProperties.shared
        var (start, end) = (range.lowerBound, range.upperBound)
        while left, start < end {
            var position = start
            guard properties.flags(UTF8Scalars.next(source, &position)).contains(.space) else { break }
            start = position
        }
        while right, start < end {
            var position = end
            guard properties.flags(UTF8Scalars.previous(source, &position)).contains(.space) else { break }
            end = position
        }
        return start..<end
    }

    /// What Nmt drops.
    private static func isDropped(byNmt point: UInt32) -> Bool {
        switch point {
        case 0x01...0x08, 0x0B, 0x0E...0x1F, 0x7F, 0x8F, 0x9F: true
        default: false
        }
    }

    /// Drops control characters and turns some white space and format characters into blanks, as SentencePiece's "nmt".
    private static func nmt(_ source: [UInt8], _ range: Range<Int>, to target: inout [UInt8]) {
        var position = range.lowerBound
        while position < range.upperBound {
            let start = position
            switch UTF8Scalars.next(source, &position) {
            case let point where isDropped(byNmt: point): continue
            case 0x09, 0x0A, 0x0C, 0x0D, 0x1680, 0x200B...0x200F, 0x2028, 0x2029, 0x2581, 0xFEFF, 0xFFFD:
                target.append(0x20)
            default: target.append(contentsOf: source[start..<position])
            }
        }
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
        case "StripAccents":
            return .stripAccents
        case "Strip":
            return .strip(
                left: try place.bool(value, "strip_left", default: true),
                right: try place.bool(value, "strip_right", default: true))
        case "Replace":
            return .replace(
                try ReplacedPattern(value, place), with: Array(try place.string(value, "content").utf8))
        case "Prepend":
            return .prepend(Array(try place.string(value, "prepend").utf8))
        case "ByteLevel":
            return .byteLevel
        case "Nmt":
            return .nmt
        case "Precompiled":
            return .precompiled(
                try PrecompiledCharsmap(
                    base64: try place.string(value, "precompiled_charsmap"),
                    key: "normalizer.precompiled_charsmap", place))
        case "Sequence":
            var parts: [Normalizer] = []
            for part in try place.array(value, "normalizers") {
                guard let parsed = try parse(part, place) else { continue }
                if case .sequence(let inner) = parsed { parts += inner } else { parts.append(parsed) }
            }
            return .sequence(parts)
        default:
            throw place.unknown("normalizer", type, known: known)
        }
    }
}
