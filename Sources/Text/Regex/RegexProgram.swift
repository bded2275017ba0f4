// A regular expression as instructions for RegexMatcher.

/// The instructions of one expression.
struct RegexProgram: Sendable {
    /// One step of matching at a position.
    enum Instruction: Sendable {
        /// One code point of a set.
        case set(Int)
        /// As many code points of a set as there are, fewer if what follows fails.
        case run(set: Int, least: Int, most: Int)
        /// As many code points of a set as there are, and no fewer.
        case possessive(set: Int, least: Int, most: Int)
        /// The next code point is of a set, or it is not (or there is none).
        case look(set: Int, isNegative: Bool)
        /// The instructions up to `end` match, or not; the last one of them is `accept`.
        case lookahead(end: Int, isNegative: Bool)
        case place(RegexNode.Place)
        /// The first way, and if that fails the second one; splits are numbered.
        case split(first: Int, second: Int, number: Int)
        case jump(Int)
        case accept
    }

    private(set) var instructions: [Instruction] = []
    private(set) var sets = CodePointSets()
    /// The set of word characters, for \b.
    private(set) var wordSet = -1
    private(set) var splitCount = 0
    private let usesRuns: Bool
    private static let sizeLimit = 4000
    private static let splitLimit = 512
    private static let setLimit = 512

    /// The program of `node`; without runs, each step back is a split, so that failures can be remembered.
    ///
    /// Throws: a problem if the program is too large.
    init(_ node: RegexNode, usesRuns: Bool) throws(RegexProblem) {
        self.usesRuns = usesRuns
        try emit(node)
        add(.accept)
    }

    private mutating func add(_ instruction: Instruction) { instructions.append(instruction) }

    /// A new split.
    private mutating func split(_ first: Int, _ second: Int) -> Instruction {
        splitCount += 1
        return .split(first: first, second: second, number: splitCount - 1)
    }

    /// The number of the set of `ranges`.
    private mutating func number(_ ranges: CodePointRanges) throws(RegexProblem) -> Int {
        guard sets.count < RegexProgram.setLimit, let number = sets.add(ranges) else {
            throw RegexProblem(problem: "it has more than \(RegexProgram.setLimit) different characters and classes")
        }
        return number
    }

    private mutating func emit(_ node: RegexNode) throws(RegexProblem) {
        guard instructions.count < RegexProgram.sizeLimit, splitCount < RegexProgram.splitLimit else {
            throw RegexProblem(
                problem:
                    "it needs more than \(RegexProgram.sizeLimit) instructions or \(RegexProgram.splitLimit) choices")
        }
        switch node {
        case .set(let ranges): add(.set(try number(ranges)))
        case .sequence(let parts): for part in parts { try emit(part) }
        case .alternatives(let parts): try alternatives(parts)
        case .repetition(let part, let count): try repetition(part, count)
        case .lookahead(.set(let ranges), let isNegative): add(.look(set: try number(ranges), isNegative: isNegative))
        case .lookahead(let part, let isNegative):
            let start = instructions.count
            add(.accept)
            try emit(part)
            add(.accept)
            instructions[start] = .lookahead(end: instructions.count, isNegative: isNegative)
        case .place(let place):
            if place == .wordBoundary || place == .noWordBoundary { wordSet = try number(RegexClass.word) }
            add(.place(place))
        }
    }

    private mutating func alternatives(_ parts: [RegexNode]) throws(RegexProblem) {
        var jumps: [Int] = []
        for (place, part) in parts.enumerated() {
            guard place < parts.count - 1 else {
                try emit(part)
                break
            }
            let split = instructions.count
            add(.accept)
            try emit(part)
            jumps.append(instructions.count)
            add(.accept)
            instructions[split] = self.split(split + 1, instructions.count)
        }
        for jump in jumps { instructions[jump] = .jump(instructions.count) }
    }

    private mutating func repetition(_ part: RegexNode, _ count: RegexNode.Count) throws(RegexProblem) {
        if case .set(let ranges) = part {
            if count.kind == .possessive {
                return add(.possessive(set: try number(ranges), least: count.least, most: count.most ?? Int.max))
            }
            if usesRuns, count.kind == .greedy {
                return add(.run(set: try number(ranges), least: count.least, most: count.most ?? Int.max))
            }
        }
        let isLazy = count.kind == .lazy
        for _ in 0..<count.least { try emit(part) }
        guard let most = count.most else {
            let start = instructions.count
            add(.accept)
            try emit(part)
            add(.jump(start))
            let (inside, after) = (start + 1, instructions.count)
            instructions[start] = isLazy ? split(after, inside) : split(inside, after)
            return
        }
        var splits: [Int] = []
        for _ in count.least..<most {
            splits.append(instructions.count)
            add(.accept)
            try emit(part)
        }
        let after = instructions.count
        for place in splits { instructions[place] = isLazy ? split(after, place + 1) : split(place + 1, after) }
    }
}
