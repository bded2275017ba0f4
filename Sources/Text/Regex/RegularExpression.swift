// A regular expression with the meaning that Oniguruma gives it in the reference: what it matches, from left to right.

/// A compiled regular expression.
package struct RegularExpression: Sendable {
    private let program: RegexProgram
    /// The same without runs, for texts that use up the steps of the other one.
    private let careful: RegexProgram
    /// For each byte, whether a match can start with it; nil if any can, or if a match can be empty.
    private let starts: [Bool]?

    /// Compiles `pattern`.
    ///
    /// Throws: a problem for what is malformed or not supported.
    package init(_ pattern: String) throws(RegexProblem) {
        let node = try RegexParser.parse(pattern)
        program = try RegexProgram(node, usesRuns: true)
        careful = try RegexProgram(node, usesRuns: false)
        starts = node.shortest > 0 ? node.first.map(RegularExpression.leadingBytes) : nil
    }

    /// Calls `body` with each match in `bytes[range]`, from left to right; matches do not overlap, and an empty one does
    /// not follow another one directly.
    func forEachMatch(
        _ bytes: [UInt8], _ range: Range<Int>, _ scratch: inout RegexScratch, _ body: (Range<Int>) -> Void
    ) {
        var matcher = RegexMatcher(program: program, bytes: bytes, range: range, remembers: false)
        matcher.begin(&scratch)
        var position = range.lowerBound
        var last: Int?
        while position <= range.upperBound {
            if let starts {
                while position < range.upperBound, !starts[Int(bytes[position])] { position += 1 }
                if position == range.upperBound { return }
            }
            let end = matcher.end(at: position, &scratch)
            if end == nil, matcher.isExhausted(scratch) {
                matcher = RegexMatcher(program: careful, bytes: bytes, range: range, remembers: true)
                matcher.begin(&scratch)
                continue
            }
            if let end, end > position || last != end {
                body(position..<end)
                last = end
                if end > position {
                    position = end
                    continue
                }
            }
            guard position < range.upperBound else { return }
            _ = UTF8Scalars.next(bytes, &position)
        }
    }

    /// The matches in `text`, from left to right, as ranges of its UTF-8.
    package func matches(in text: String) -> [Range<Int>] {
        let bytes = Array(text.utf8)
        var scratch = RegexScratch()
        var found: [Range<Int>] = []
        forEachMatch(bytes, 0..<bytes.count, &scratch) { found.append($0) }
        return found
    }

    /// For each byte, whether the UTF-8 of an element of `ranges` starts with it; never one that continues a character.
    private static func leadingBytes(_ ranges: CodePointRanges) -> [Bool] {
        var starts = [Bool](repeating: false, count: 256)
        for range in ranges.ranges {
            var (low, high): ([UInt8], [UInt8]) = ([], [])
            UTF8Scalars.append(range.lowerBound, to: &low)
            UTF8Scalars.append(range.upperBound, to: &high)
            for byte in low[0]...high[0] where byte & 0xC0 != 0x80 { starts[Int(byte)] = true }
        }
        return starts
    }
}
