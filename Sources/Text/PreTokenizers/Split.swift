// The pre-tokenizer Split, and those that are special cases of it: Punctuation, Digits, CharDelimiterSplit.
//
// The pattern's matches and the gaps between them tile a word; the behavior says which tiles are words, and which join:
//
//   "a--b-c" split at "-"   Removed a b c   Isolated a - - b - c   Contiguous a -- b - c
//                           MergedWithPrevious a- - b- c           MergedWithNext a - -b -c
//
// Reference: tokenizers/src/tokenizer/normalizer.rs (split), pre_tokenizers/split.rs.

import TuttiGround

/// What becomes of the matches of a Split.
enum SplitBehavior: String, Sendable, CaseIterable {
    case removed = "Removed"
    case isolated = "Isolated"
    case mergedWithPrevious = "MergedWithPrevious"
    case mergedWithNext = "MergedWithNext"
    case contiguous = "Contiguous"

    /// The `behavior` of `value`.
    ///
    /// Throws: `.data` for an unknown one.
    static func parse(
        _ value: JSONValue, default fallback: SplitBehavior?, _ place: TokenizerPlace
    ) throws(TuttiError) -> SplitBehavior {
        if let fallback, value["behavior"] == nil { return fallback }
        let name = try place.string(value, "behavior")
        guard let behavior = SplitBehavior(rawValue: name) else {
            throw place.unknown("behavior", name, known: allCases.map(\.rawValue))
        }
        return behavior
    }
}

/// A part of a word: a match of the pattern, or a gap between matches.
struct SplitTile: Sendable, Equatable {
    var range: Range<Int>
    var isMatch: Bool
}

/// Splits words at the matches of a pattern.
struct Split: Sendable {
    let pattern: TextPattern
    let behavior: SplitBehavior
    /// Matches and gaps swap their roles.
    var inverts = false

    /// A splitter.
    init(pattern: TextPattern, behavior: SplitBehavior) {
        self.pattern = pattern
        self.behavior = behavior
    }

    /// The pre-tokenizer Split described by `value`.
    ///
    /// Throws: `.data` for an unknown behavior, or a pattern that cannot be used.
    init(_ value: JSONValue, _ place: TokenizerPlace) throws(TuttiError) {
        pattern = try TextPattern(value["pattern"], key: "pre_tokenizer.pattern", place)
        behavior = try SplitBehavior.parse(value, default: nil, place)
        inverts = try place.bool(value, "invert", default: false)
    }

    /// Splits the words of `buffer`.
    func apply(to buffer: inout WordBuffer) {
        if case .scanner(let scanner) = pattern, !inverts, behavior == .isolated {
            buffer.split { bytes, word, words, _ in scanner.split(bytes, word, into: &words) }
            return
        }
        buffer.split { bytes, word, words, scratch in
            pattern.tile(bytes, word, scratch: &scratch)
            append(scratch.tiles, to: &words)
        }
    }

    /// Appends the words that `tiles` make.
    private func append(_ tiles: [SplitTile], to words: inout [Range<Int>]) {
        func isMatch(_ tile: SplitTile) -> Bool { tile.isMatch != inverts }
        func add(_ range: Range<Int>) { if !range.isEmpty { words.append(range) } }
        switch behavior {
        case .isolated: for tile in tiles { add(tile.range) }
        case .removed: for tile in tiles where !isMatch(tile) { add(tile.range) }
        case .contiguous:
            Split.join(tiles, add) { before, tile in isMatch(before) == isMatch(tile) }
        case .mergedWithPrevious:
            // A match joins what is before it, unless that is a match.
            Split.join(tiles, add) { before, tile in isMatch(tile) && !isMatch(before) }
        case .mergedWithNext:
            Split.join(tiles, add) { before, tile in isMatch(before) && !isMatch(tile) }
        }
    }

    /// Passes on the tiles, each joined with the one before where `joins` says so.
    private static func join(
        _ tiles: [SplitTile], _ add: (Range<Int>) -> Void, _ joins: (SplitTile, SplitTile) -> Bool
    ) {
        guard var start = tiles.first?.range.lowerBound else { return }
        for (before, tile) in zip(tiles, tiles.dropFirst()) where !joins(before, tile) {
            add(start..<before.range.upperBound)
            start = tile.range.lowerBound
        }
        if let last = tiles.last { add(start..<last.range.upperBound) }
    }
}
