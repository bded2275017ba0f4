// What a Replace normalizer looks for: a fixed string or a regular expression. The two expressions that converted
// SentencePiece tokenizers have are recognized by their text and scanned by hand. Matches are leftmost and do not overlap;
// the replacement is literal. Reference: tokenizers/src/normalizers/replace.rs.

import TuttiGround

/// The pattern of a Replace normalizer.
enum ReplacedPattern: Sendable {
    case pattern(TextPattern)
    /// ` {2,}`: two blanks or more.
    case blanks
    /// `\s{2,}|[\n\r\t]`: two white-space characters or more, or a line break or tab.
    case whiteSpace

    /// The expressions that are scanned by hand, by their text.
    private static let known: [String: ReplacedPattern] = [" {2,}": .blanks, #"\s{2,}|[\n\r\t]"#: .whiteSpace]

    /// The pattern of the Replace normalizer `value`.
    ///
    /// Throws: `.data` for an empty string, or an expression that cannot be used.
    init(_ value: JSONValue, _ place: TokenizerPlace) throws(TuttiError) {
        if let text = value["pattern"]?["Regex"]?.string, let known = ReplacedPattern.known[text] {
            self = known
        } else {
            self = .pattern(try TextPattern(value["pattern"], key: "normalizer.pattern", place))
        }
    }

    /// Appends `source[range]` to `target` with `content` for every match.
    func replace(
        _ source: [UInt8], _ range: Range<Int>, with content: [UInt8], to target: inout [UInt8],
        scratch: inout RegexScratch
    ) {
        var copied = range.lowerBound
        func take(_ match: Range<Int>) {
            target.append(contentsOf: source[copied..<match.lowerBound])
            target.append(contentsOf: content)
            copied = match.upperBound
        }
        switch self {
        case .pattern(let pattern): pattern.forEachMatch(source, range, &scratch) { take($0) }
        case .blanks: ReplacedPattern.runs(source, range, ReplacedPattern.blanksEnd, take)
        case .whiteSpace: ReplacedPattern.runs(source, range, ReplacedPattern.whiteSpaceEnd, take)
        }
        target.append(contentsOf: source[copied..<range.upperBound])
    }

    /// Calls `body` with every match: `end` gives the end of the run that starts at a place, and whether it is a match.
    @inline(__always)
    private static func runs(
        _ source: [UInt8], _ range: Range<Int>, _ end: ([UInt8], Int, Int) -> (end: Int, isMatch: Bool),
        _ body: (Range<Int>) -> Void
    ) {
        var position = range.lowerBound
        while position < range.upperBound {
            let run = end(source, position, range.upperBound)
            if run.isMatch { body(position..<run.end) }
            position = max(run.end, position + 1)
        }
    }

    @inline(__always)
    private static func blanksEnd(_ source: [UInt8], _ start: Int, _ limit: Int) -> (end: Int, isMatch: Bool) {
        var end = start
        while end < limit, source[end] == 0x20 { end += 1 }
        return (end, end - start > 1)
    }

    @inline(__always)
    private static func whiteSpaceEnd(_ source: [UInt8], _ start: Int, _ limit: Int) -> (end: Int, isMatch: Bool) {
        let first = source[start]
        // No white space starts with another byte: 09-0D 20, and leads of 85 A0, 1680, 2000-205F, 3000.
        guard first <= 0x20 || first == 0xC2 || (first >= 0xE1 && first <= 0xE3) else { return (start, false) }
        let properties = UnicodeProperties.shared
        var end = start
        var count = 0
        while end < limit {
            var next = end
            guard properties.flags(UTF8Scalars.next(source, &next)).contains(.space) else { break }
            end = next
            count += 1
        }
        let isBreak = first == 0x0A || first == 0x0D || first == 0x09
        return (end, count > 1 || (count == 1 && isBreak))
    }

    /// Whether a match starts where `source[range]` starts.
    func matches(_ source: [UInt8], _ range: Range<Int>) -> Bool {
        var first: Int?
        switch self {
        case .pattern(let pattern):
            var scratch = RegexScratch()
            pattern.forEachMatch(source, range, &scratch) { if first == nil { first = $0.lowerBound } }
            return first == range.lowerBound
        case .blanks: return ReplacedPattern.blanksEnd(source, range.lowerBound, range.upperBound).isMatch
        case .whiteSpace: return ReplacedPattern.whiteSpaceEnd(source, range.lowerBound, range.upperBound).isMatch
        }
    }

    /// The factor by which replacing with `content` can lengthen a text.
    func growth(_ content: [UInt8]) -> Double {
        switch self {
        case .pattern(.literal(let text)): max(1, Double(content.count) / Double(text.count))
        case .pattern: Double(content.count + 1)
        case .blanks: max(1, Double(content.count) / 2)
        case .whiteSpace: max(1, Double(content.count))
        }
    }

    /// The bytes that matches consist of.
    var bytes: Set<UInt8> {
        switch self {
        case .pattern(.literal(let text)): Set(text)
        case .blanks: [0x20]
        case .pattern, .whiteSpace: Set(0...255)
        }
    }
}
