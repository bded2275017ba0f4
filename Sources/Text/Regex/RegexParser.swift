// Reads a regular expression in Oniguruma's default (Ruby's) syntax, as the reference does.
//
// What differs from Perl's: ^ and $ are places of lines; (?m) lets . match a line feed; X{n,m}+ repeats X{n,m}, and X{n}?
// makes X{n} optional. What needs more than bounded work, or depends on what was captured, is refused: lookbehind,
// backreferences, atomic groups, conditions. Reference: Oniguruma's doc/RE and doc/SYNTAX.md.

import TuttiGround

/// A parser of one expression.
struct RegexParser {
    var text: [Unicode.Scalar]
    var position = 0
    private var ignoresCase = false
    private var dotMatchesLineFeed = false
    private var depth = 0
    private static let depthLimit = 64
    private static let lengthLimit = 4000
    private static let countLimit = 1000

    private init(_ pattern: String) { text = Array(pattern.unicodeScalars) }

    /// The syntax tree of `pattern`.
    ///
    /// Throws: a problem for what is malformed or not supported.
    static func parse(_ pattern: String) throws(RegexProblem) -> RegexNode {
        var parser = RegexParser(pattern)
        guard parser.text.count <= lengthLimit else {
            throw RegexProblem(problem: "it has more than \(lengthLimit) characters")
        }
        let node = try parser.alternatives()
        guard parser.position == parser.text.count else { throw RegexProblem(problem: "a ')' has no '('") }
        return node
    }

    /// The next character; nil at the end.
    var peek: Unicode.Scalar? { position < text.count ? text[position] : nil }

    /// Moves past `literal` if it comes next.
    mutating func take(_ literal: String) -> Bool {
        let scalars = Array(literal.unicodeScalars)
        guard position + scalars.count <= text.count, text[position..<position + scalars.count].elementsEqual(scalars)
        else { return false }
        position += scalars.count
        return true
    }

    /// Moves past the next character and returns it.
    mutating func next(_ wanted: String) throws(RegexProblem) -> Unicode.Scalar {
        guard let scalar = peek else { throw RegexProblem(problem: "it ends where \(wanted) should follow") }
        position += 1
        return scalar
    }

    private mutating func alternatives() throws(RegexProblem) -> RegexNode {
        depth += 1
        defer { depth -= 1 }
        guard depth <= RegexParser.depthLimit else {
            throw RegexProblem(problem: "groups are nested more than \(RegexParser.depthLimit) deep")
        }
        // (?i) without a colon counts to the end of the group.
        let outer = (ignoresCase, dotMatchesLineFeed)
        defer { (ignoresCase, dotMatchesLineFeed) = outer }
        var parts = [try sequence()]
        while take("|") { parts.append(try sequence()) }
        return parts.count == 1 ? parts[0] : .alternatives(parts)
    }

    private mutating func sequence() throws(RegexProblem) -> RegexNode {
        var parts: [RegexNode] = []
        var before: Unicode.Scalar?  // the character before, if case is ignored
        while let scalar = peek, scalar != "|", scalar != ")" {
            if take("(?#") {
                while try next("')'") != ")" {}
                continue
            }
            let start = position
            if scalar == "{" {
                // The quantifier that was looked for did not fit: a plain brace.
                position += 1
                before = nil
                parts.append(try repeated(.set(CodePointRanges([scalar.value...scalar.value]))))
                continue
            }
            guard let element = try atom() else {
                // (?i) in front of alternatives takes all of them in.
                guard peek != nil, peek != ")" else { break }
                parts.append(try alternatives())
                break
            }
            let letter = ignoresCase && position == start + 1 ? text[start] : nil
            if let before, let letter { try RegexParser.checkFolding(before, letter) }
            let counted = try repeated(element)
            before = counted == element ? letter : nil
            if counted != .empty { parts.append(counted) }
        }
        return parts.count == 1 ? parts[0] : .sequence(parts)
    }

    /// Refuses pairs of letters that one code point can stand for if case is ignored.
    private static func checkFolding(_ first: Unicode.Scalar, _ second: Unicode.Scalar) throws(RegexProblem) {
        let pair = String(String.UnicodeScalarView([first, second])).lowercased()
        guard ["ss", "ff", "fi", "fl", "st"].contains(pair) else { return }
        throw RegexProblem(problem: "ignoring case, '\(pair)' would also match one code point, which is not supported")
    }

    /// One element without its quantifier; nil for flags that count from here on.
    private mutating func atom() throws(RegexProblem) -> RegexNode? {
        let scalar = try next("a character")
        switch scalar {
        case "(": return try group()
        case "[":
            let set = try characterClass(ignoresCase: ignoresCase)
            guard !set.isEmpty else { throw RegexProblem(problem: "a character class is empty") }
            return .set(set)
        case ".": return .set(dotMatchesLineFeed ? .everything : CodePointRanges([0x0A...0x0A]).inverted)
        case "^": return .place(.lineStart)
        case "$": return .place(.lineEnd)
        case "*", "+", "?": throw RegexProblem(problem: "'\(scalar)' has nothing to repeat")
        case "\\":
            if let place = takePlace() { return .place(place) }
            if take("R") {
                let single = RegexNode.set(CodePointRanges([0x0A...0x0D, 0x85...0x85, 0x2028...0x2029]))
                let pair = RegexNode.sequence([
                    .set(CodePointRanges([0x0D...0x0D])), .set(CodePointRanges([0x0A...0x0A])),
                ])
                // Once a CR LF is found it is not split: a lone CR must not be followed by LF.
                let lone = RegexNode.sequence([
                    .lookahead(pair, isNegative: true), single,
                ])
                return .alternatives([pair, lone])
            }
            return .set(try escape(ignoresCase: ignoresCase))
        default:
            return .set(try folded(CodePointRanges([scalar.value...scalar.value]), ignoresCase: ignoresCase))
        }
    }

    private mutating func takePlace() -> RegexNode.Place? {
        let places: [(String, RegexNode.Place)] = [
            ("A", .textStart), ("z", .textEnd), ("Z", .lastLineEnd), ("b", .wordBoundary), ("B", .noWordBoundary),
        ]
        for (name, place) in places where take(name) { return place }
        return nil
    }

    /// What follows an opening parenthesis, and the closing one; nil for flags without a group.
    private mutating func group() throws(RegexProblem) -> RegexNode? {
        var isNegative = false
        var isLookahead = false
        if take("?") {
            if take("=") {
                isLookahead = true
            } else if take("!") {
                (isLookahead, isNegative) = (true, true)
            } else if take("<") {
                guard peek != "=", peek != "!" else { throw RegexProblem(problem: "lookbehind is not supported") }
                while try next("'>'") != ">" {}
            } else if take(">") {
                throw RegexProblem(problem: "atomic groups are not supported")
            } else if !take(":") {
                return try flags()
            }
        }
        let inner = try alternatives()
        guard take(")") else { throw RegexProblem(problem: "a '(' has no ')'") }
        guard isLookahead else { return inner }
        guard inner.isLimited else { throw RegexProblem(problem: "a lookahead of unlimited length is not supported") }
        return .lookahead(inner, isNegative: isNegative)
    }

    /// Flags such as `i-m`, and the group after a colon.
    private mutating func flags() throws(RegexProblem) -> RegexNode? {
        var (newCase, newDot) = (ignoresCase, dotMatchesLineFeed)
        var value = true
        while true {
            let scalar = try next("a flag")
            switch scalar {
            case "-": value = false
            case "i": newCase = value
            case "m": newDot = value
            case ")":
                (ignoresCase, dotMatchesLineFeed) = (newCase, newDot)
                return nil
            case ":":
                let outer = (ignoresCase, dotMatchesLineFeed)
                (ignoresCase, dotMatchesLineFeed) = (newCase, newDot)
                let inner = try alternatives()
                (ignoresCase, dotMatchesLineFeed) = outer
                guard take(")") else { throw RegexProblem(problem: "a '(' has no ')'") }
                return inner
            default: throw RegexProblem(problem: "the group '(?\(scalar)' is not supported")
            }
        }
    }

    /// `atom` with the quantifiers that follow it.
    private mutating func repeated(_ atom: RegexNode) throws(RegexProblem) -> RegexNode {
        var node = atom
        var depth = 0
        while let (count, isInterval) = try quantifier() {
            depth += 1
            guard depth <= 8 else { throw RegexProblem(problem: "more than 8 quantifiers follow each other") }
            if node == .empty { continue }
            if case .place = node { throw RegexProblem(problem: "a place such as ^ cannot be repeated") }
            if case .lookahead = node { throw RegexProblem(problem: "a lookahead cannot be repeated") }
            guard node.shortest > 0 || count.most != nil else {
                throw RegexProblem(problem: "something that can match nothing is repeated without limit")
            }
            var count = count
            if take("?") {
                if isInterval, count.most == count.least {
                    node = .repetition(node, count)
                    count = RegexNode.Count(least: 0, most: 1)
                } else {
                    count.kind = .lazy
                }
            } else if !isInterval, take("+") {
                guard case .set = node else {
                    throw RegexProblem(problem: "a possessive quantifier is supported for one character only")
                }
                count.kind = .possessive
            }
            node = .repetition(node, count)
        }
        return node
    }

    /// The quantifier that comes next, and whether it is written with braces; nil if there is none.
    private mutating func quantifier() throws(RegexProblem) -> (RegexNode.Count, isInterval: Bool)? {
        if take("*") { return (RegexNode.Count(least: 0, most: nil), false) }
        if take("+") { return (RegexNode.Count(least: 1, most: nil), false) }
        if take("?") { return (RegexNode.Count(least: 0, most: 1), false) }
        let start = position
        guard take("{") else { return nil }
        let least = number()
        let hasComma = take(",")
        let most = hasComma ? number() : least
        guard take("}"), least != nil || most != nil else {
            position = start  // a brace that is no quantifier is itself
            return nil
        }
        let (low, high) = (least ?? 0, most)
        guard low <= RegexParser.countLimit, high ?? 0 <= RegexParser.countLimit else {
            throw RegexProblem(problem: "a repetition counts beyond \(RegexParser.countLimit)")
        }
        if let high, high < low { throw RegexProblem(problem: "the repetition {\(low),\(high)} is empty") }
        return (RegexNode.Count(least: low, most: high), true)
    }

    private mutating func number() -> Int? {
        var value: Int?
        while let scalar = peek, ("0"..."9").contains(scalar) {
            value = min(1_000_000, (value ?? 0) * 10 + Int(scalar.value - 48))
            position += 1
        }
        return value
    }
}
