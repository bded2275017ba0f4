// Patterns of parameter names, as args.freeze has them: a shell's pattern for each of the first dotted parts of a name.
//
// "encoder.layer.[0-5]" matches encoder.layer.3.output.dense.bias, and neither encoder.layer.12 nor encoder.layers: a part is
// matched as a whole, what follows is free. Inside a part * stands for any characters, ? for one, [0-5x] for one of these,
// [!0-5] for one of no others.

import TuttiGround

/// A pattern of the beginning of dotted names.
package struct ParameterPattern: Sendable {
    /// One or several characters of a part.
    private enum Piece: Sendable {
        case one(Character)
        case any
        case run
        case among([ClosedRange<Character>], isNegated: Bool)
    }

    /// As written.
    package let text: String
    private let parts: [[Piece]]

    /// Number of dotted parts.
    package var partCount: Int { parts.count }

    /// Reads a pattern.
    ///
    /// Throws: for an empty part, and for brackets without an end or without content.
    package init(_ text: String) throws(OptionProblem) {
        self.text = text
        var parts: [[Piece]] = []
        for part in text.split(separator: ".", omittingEmptySubsequences: false) {
            guard !part.isEmpty else {
                throw OptionProblem("\"\(text)\" has an empty part", hint: "Parts of a name are separated by one dot.")
            }
            parts.append(try Self.pieces(part, of: text))
        }
        self.parts = parts
    }

    /// Whether the first parts of `name` match.
    package func matches(_ name: String) -> Bool {
        let names = name.split(separator: ".", omittingEmptySubsequences: false)
        guard names.count >= parts.count else { return false }
        return zip(parts, names).allSatisfy { Self.matches($0[...], $1) }
    }

    private static func matches(_ pieces: ArraySlice<Piece>, _ text: Substring) -> Bool {
        guard let piece = pieces.first else { return text.isEmpty }
        if case .run = piece {
            return matches(pieces.dropFirst(), text) || !text.isEmpty && matches(pieces, text.dropFirst())
        }
        guard let character = text.first, holds(piece, character) else { return false }
        return matches(pieces.dropFirst(), text.dropFirst())
    }

    private static func holds(_ piece: Piece, _ character: Character) -> Bool {
        switch piece {
        case .one(let wanted): character == wanted
        case .any, .run: true
        case .among(let ranges, let isNegated): ranges.contains { $0.contains(character) } != isNegated
        }
    }

    private static func pieces(_ part: Substring, of text: String) throws(OptionProblem) -> [Piece] {
        var (pieces, rest) = ([Piece](), part)
        while let character = rest.popFirst() {
            switch character {
            case "*": pieces.append(.run)
            case "?": pieces.append(.any)
            case "[":
                guard let end = rest.dropFirst().firstIndex(of: "]") else {
                    throw OptionProblem("\"\(text)\" has a [ without ]")
                }
                pieces.append(try among(rest[..<end], of: text))
                rest = rest[rest.index(after: end)...]
            default: pieces.append(.one(character))
            }
        }
        return pieces
    }

    /// The characters in brackets.
    private static func among(_ content: Substring, of text: String) throws(OptionProblem) -> Piece {
        let isNegated = content.first == "!"
        var (ranges, rest) = ([ClosedRange<Character>](), isNegated ? content.dropFirst() : content)
        while let first = rest.popFirst() {
            var last = first
            if rest.first == "-", let end = rest.dropFirst().first {
                last = end
                rest = rest.dropFirst(2)
            }
            guard first <= last else { throw OptionProblem("\"\(text)\" has a range from \(first) to \(last)") }
            ranges.append(first...last)
        }
        guard !ranges.isEmpty else { throw OptionProblem("\"\(text)\" has brackets without characters") }
        return .among(ranges, isNegated: isNegated)
    }
}
