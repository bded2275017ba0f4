// What a Split or a Replace looks for: a fixed string, a regular expression, or a kind of character. A regular expression
// that is known by its text has a scanner of its own (WordScanner.swift); any other one is compiled.

import TuttiGround

/// Buffers of patterns, one per thread.
struct PatternScratch: Sendable {
    /// The tiles of the last word.
    var tiles: [SplitTile] = []
    /// Buffers of regular expressions.
    var regex = RegexScratch()
}

/// A pattern of tokenizer.json.
enum TextPattern: Sendable {
    case literal([UInt8])
    /// Matches that tile every text.
    case scanner(WordScanner)
    case regex(RegularExpression)
    case characters(CharacterKind)

    /// A kind of single characters.
    enum CharacterKind: Sendable { case punctuation, numeric }

    /// The pattern {"String": ...} or {"Regex": ...}.
    ///
    /// Throws: `.data` for a regular expression that cannot be used.
    init(_ value: JSONValue?, key: String, _ place: TokenizerPlace) throws(TuttiError) {
        if let text = value?["String"]?.string ?? value?.string, !text.isEmpty {
            self = .literal(Array(text.utf8))
        } else if let text = value?["Regex"]?.string {
            if let scanner = WordScanner(pattern: text) {
                self = .scanner(scanner)
            } else {
                do {
                    self = .regex(try RegularExpression(text))
                } catch {
                    throw place.error(
                        key: key, "the regular expression '\(text)' cannot be used: \(error.problem)",
                        hint: RegexProblem.hint)
                }
            }
        } else {
            throw place.error(key: key, "expected {\"String\": ...}, not empty, or {\"Regex\": ...}")
        }
    }

    /// Writes the matches in `bytes[range]`, and the gaps between them, to `scratch.tiles`.
    func tile(_ bytes: [UInt8], _ range: Range<Int>, scratch: inout PatternScratch) {
        var tiles: [SplitTile] = []
        swap(&tiles, &scratch.tiles)
        tiles.removeAll(keepingCapacity: true)
        var end = range.lowerBound
        forEachMatch(bytes, range, &scratch.regex) { match in
            if match.lowerBound > end { tiles.append(SplitTile(range: end..<match.lowerBound, isMatch: false)) }
            tiles.append(SplitTile(range: match, isMatch: true))
            end = match.upperBound
        }
        if end < range.upperBound { tiles.append(SplitTile(range: end..<range.upperBound, isMatch: false)) }
        swap(&tiles, &scratch.tiles)
    }

    /// Calls `body` with each match in `bytes[range]`, from left to right.
    @inline(__always)
    func forEachMatch(
        _ bytes: [UInt8], _ range: Range<Int>, _ scratch: inout RegexScratch, _ body: (Range<Int>) -> Void
    ) {
        switch self {
        case .literal(let text):
            var position = range.lowerBound
            while position + text.count <= range.upperBound {
                if bytes[position] == text[0], bytes[position..<position + text.count].elementsEqual(text) {
                    body(position..<position + text.count)
                    position += text.count
                } else {
                    position += 1
                }
            }
        case .scanner(let scanner):
            var position = range.lowerBound
            while position < range.upperBound {
                let end = scanner.end(bytes, position, range.upperBound)
                body(position..<end)
                position = end
            }
        case .regex(let expression): expression.forEachMatch(bytes, range, &scratch, body)
        case .characters(let kind):
            var position = range.lowerBound
            while position < range.upperBound {
                let start = position
                let point = UTF8Scalars.next(bytes, &position)
                if kind.contains(point) { body(start..<position) }
            }
        }
    }
}

extension TextPattern.CharacterKind {
    @inline(__always)
    fileprivate func contains(_ point: UInt32) -> Bool {
        switch self {
        case .punctuation: UnicodeProperties.shared.flags(point).contains(.punctuation)
        case .numeric: UnicodeCategories.shared.isIn(CategoryMask.number, point)
        }
    }
}
