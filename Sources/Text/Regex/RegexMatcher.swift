// Matching by backtracking, as the reference does: alternatives in order, repetitions greedy, the leftmost match.
//
// Backtracking can take exponential time. So steps are counted, and when a text has used up its budget, the rest of it is
// matched by a program without runs whose failures are remembered: a way that failed at a position fails there again,
// whatever led to it, as nothing depends on what was captured. Each way is then tried once at each position.

/// Buffers of regular expressions, one per thread.
struct RegexScratch: Sendable {
    /// A way to try, or a failure to remember once everything after it has failed.
    fileprivate struct Frame: Sendable {
        /// An instruction, or the number of a split.
        var instruction: Int
        var position: Int
        /// For a run: the position down to which it may give back characters; -1: not a run; -2: remember a failure.
        var low: Int
    }

    fileprivate var stack: [Frame] = []
    fileprivate var steps = 0
    /// One bit for each split and position.
    fileprivate var failed: [UInt64] = []
    /// For each possessive run, the last one found.
    fileprivate var runs: [Range<Int>] = []

    /// Empty buffers.
    init() {}
}

/// One text being matched.
struct RegexMatcher {
    let program: RegexProgram
    let bytes: [UInt8]
    /// The text: a part of `bytes`, outside of which nothing is looked at.
    let range: Range<Int>
    let remembers: Bool

    /// The most steps for a text until failures are remembered.
    private var budget: Int { 20_000 + 64 * range.count }

    /// Prepares `scratch` for the text.
    func begin(_ scratch: inout RegexScratch) {
        scratch.stack.removeAll(keepingCapacity: true)
        scratch.steps = 0
        guard remembers else { return }
        scratch.failed = Array(repeating: 0, count: (program.splitCount * (range.count + 1) + 63) / 64)
        scratch.runs = Array(repeating: range.lowerBound..<range.lowerBound, count: program.instructions.count)
    }

    /// True if the last match was given up.
    func isExhausted(_ scratch: RegexScratch) -> Bool { !remembers && scratch.steps > budget }

    /// The end of the match at `start`; nil if there is none, or if the steps are used up.
    func end(at start: Int, from first: Int = 0, _ scratch: inout RegexScratch) -> Int? {
        let base = scratch.stack.count
        var position = start
        var place = first
        while true {
            scratch.steps += 1
            var isMatch = true
            switch program.instructions[place] {
            case .set(let set):
                let next = position < range.upperBound ? program.sets.match(set, bytes, position) : -1
                isMatch = next >= 0
                position = next
                place += 1
            case .run(let set, let least, let most):
                let (end, low, count) = run(set, position, least, most)
                scratch.steps += count
                if count < least {
                    isMatch = false
                } else {
                    place += 1
                    position = end
                    if end > low { scratch.stack.append(.init(instruction: place, position: end, low: low)) }
                }
            case .possessive(let set, let least, let most):
                if let end = possessive(set, place, position, least, most, &scratch) {
                    position = end
                    place += 1
                } else {
                    isMatch = false
                }
            case .look(let set, let isNegative):
                let found = position < range.upperBound && program.sets.match(set, bytes, position) >= 0
                isMatch = found != isNegative
                place += 1
            case .lookahead(let end, let isNegative):
                isMatch = (self.end(at: position, from: place + 1, &scratch) != nil) != isNegative
                place = end
            case .place(let kind):
                isMatch = holds(kind, position)
                place += 1
            case .split(let first, let second, let number):
                if remembers {
                    if hasFailed(number, position, scratch) {
                        isMatch = false
                        break
                    }
                    scratch.stack.append(.init(instruction: number, position: position, low: -2))
                }
                scratch.stack.append(.init(instruction: second, position: position, low: -1))
                place = first
            case .jump(let target): place = target
            case .accept:
                scratch.stack.removeLast(scratch.stack.count - base)
                return position
            }
            if isMatch, remembers || scratch.steps <= budget { continue }
            if isExhausted(scratch) {
                scratch.stack.removeLast(scratch.stack.count - base)
                return nil
            }
            guard let frame = back(to: base, &scratch) else { return nil }
            (place, position) = (frame.instruction, frame.position)
        }
    }

    /// The next way to try; nil if none is left above `base`.
    private func back(to base: Int, _ scratch: inout RegexScratch) -> RegexScratch.Frame? {
        while scratch.stack.count > base, var frame = scratch.stack.popLast() {
            if frame.low == -2 {
                let bit = bit(frame.instruction, frame.position)
                scratch.failed[bit >> 6] |= 1 << UInt64(bit & 63)
                continue
            }
            if frame.low >= 0 {
                _ = UTF8Scalars.previous(bytes, &frame.position)
                if frame.position > frame.low { scratch.stack.append(frame) }
            }
            return frame
        }
        return nil
    }

    /// The end of a run, the earliest end that it may fall back to, and its length in characters.
    @inline(__always)
    private func run(_ set: Int, _ start: Int, _ least: Int, _ most: Int) -> (end: Int, low: Int, count: Int) {
        var (position, low, count) = (start, start, 0)
        while count < most, position < range.upperBound {
            let next = program.sets.match(set, bytes, position)
            guard next >= 0 else { break }
            position = next
            count += 1
            if count == least { low = position }
        }
        return (position, low, count)
    }

    /// The end of a run that gives nothing back; nil if it is too short.
    private func possessive(
        _ set: Int, _ place: Int, _ start: Int, _ least: Int, _ most: Int, _ scratch: inout RegexScratch
    ) -> Int? {
        // A run that starts inside the last one ends where that did.
        if remembers, most == Int.max, scratch.runs[place].contains(start) { return scratch.runs[place].upperBound }
        let (end, _, count) = run(set, start, least, most)
        scratch.steps += count
        if remembers { scratch.runs[place] = start..<end }
        return count < least ? nil : end
    }

    private func bit(_ split: Int, _ position: Int) -> Int {
        split * (range.count + 1) + position - range.lowerBound
    }

    private func hasFailed(_ split: Int, _ position: Int, _ scratch: RegexScratch) -> Bool {
        let bit = bit(split, position)
        return scratch.failed[bit >> 6] >> UInt64(bit & 63) & 1 != 0
    }

    private func holds(_ place: RegexNode.Place, _ position: Int) -> Bool {
        let lineFeed = UInt8(ascii: "\n")
        switch place {
        case .textStart: return position == range.lowerBound
        case .textEnd: return position == range.upperBound
        case .lastLineEnd:
            return position == range.upperBound
                || (position + 1 == range.upperBound && bytes[position] == lineFeed)
        case .lineStart:
            return position == range.lowerBound || (position < range.upperBound && bytes[position - 1] == lineFeed)
        case .lineEnd: return position == range.upperBound || bytes[position] == lineFeed
        case .wordBoundary: return isWord(before: position) != isWord(after: position)
        case .noWordBoundary: return isWord(before: position) == isWord(after: position)
        }
    }

    private func isWord(before position: Int) -> Bool {
        guard position > range.lowerBound else { return false }
        var position = position
        return program.sets.contains(program.wordSet, UTF8Scalars.previous(bytes, &position))
    }

    private func isWord(after position: Int) -> Bool {
        position < range.upperBound && program.sets.match(program.wordSet, bytes, position) >= 0
    }
}
