// The syntax tree of a regular expression.

/// Why a regular expression cannot be used.
package struct RegexProblem: Error {
    package let problem: String

    /// What to do about it.
    static let hint =
        "Supported: literals, classes with \\p{..} && and ranges, . ^ $ \\A \\z \\b, groups, (?i:), |, * + ? {m,n} with ? or "
        + "+ behind, and lookahead of limited length."
}

/// A part of a regular expression.
indirect enum RegexNode: Sendable, Equatable {
    /// One code point of a set.
    case set(CodePointRanges)
    case sequence([RegexNode])
    case alternatives([RegexNode])
    case repetition(RegexNode, Count)
    /// What follows must match, or must not.
    case lookahead(RegexNode, isNegative: Bool)
    case place(Place)

    /// How often something repeats.
    struct Count: Sendable, Equatable {
        var least: Int
        /// nil: no limit.
        var most: Int?
        var kind = Kind.greedy

        enum Kind: Sendable { case greedy, lazy, possessive }
    }

    /// A condition on the place between two characters.
    enum Place: Sendable {
        case textStart, textEnd, lineStart, lineEnd, wordBoundary, noWordBoundary
        /// At the end, or before a line feed at the end.
        case lastLineEnd
    }

    /// What matches the empty text only.
    static let empty = RegexNode.sequence([])

    /// The fewest code points that match.
    var shortest: Int {
        switch self {
        case .set: 1
        case .sequence(let parts): parts.reduce(0) { $0.saturatingSum($1.shortest) }
        case .alternatives(let parts): parts.map(\.shortest).min() ?? 0
        case .repetition(let part, let count): part.shortest.saturatingProduct(count.least)
        case .lookahead, .place: 0
        }
    }

    /// True if there is a limit to what matches.
    var isLimited: Bool {
        switch self {
        case .set, .place: true
        case .sequence(let parts), .alternatives(let parts): parts.allSatisfy(\.isLimited)
        case .repetition(let part, let count): count.most != nil && part.isLimited
        case .lookahead(let part, _): part.isLimited
        }
    }

    /// What a match can start with; nil if that is not known, as for a match of nothing.
    var first: CodePointRanges? {
        switch self {
        case .set(let ranges): return ranges
        case .sequence(let parts):
            var found = CodePointRanges()
            for part in parts {
                if case .place = part { continue }
                if case .lookahead = part { continue }
                if part.shortest > 0 { return part.first.map { found.union($0) } }
                guard case .repetition(let inner, _) = part, let ranges = inner.first else { return nil }
                found = found.union(ranges)
            }
            return nil
        case .alternatives(let parts):
            var found = CodePointRanges()
            for part in parts {
                guard let ranges = part.first else { return nil }
                found = found.union(ranges)
            }
            return found
        case .repetition(let part, let count): return count.least > 0 ? part.first : nil
        case .lookahead, .place: return nil
        }
    }
}

extension Int {
    fileprivate func saturatingSum(_ other: Int) -> Int {
        let (sum, overflow) = addingReportingOverflow(other)
        return overflow ? Int.max : sum
    }

    fileprivate func saturatingProduct(_ other: Int) -> Int {
        let (product, overflow) = multipliedReportingOverflow(by: other)
        return overflow ? Int.max : product
    }
}
