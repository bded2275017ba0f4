// The rows of the word table that have a gradient: a batch uses a few thousand of its tens of thousands of tokens.
//
// The table's gradient is still dense: every row not used by a token is zero. So clearing it, summing it over ranks and
// its norm may skip those rows with the same result; the table is half of a small model.
// Optimizers still update every row, as torch's dense ones do; but where nothing decays, a row that has had no gradient in
// the whole run stays as it is, bit by bit, and is not visited.
//
// Marks are floats so that ranks can merge theirs by a sum. A stretch is a range of floats of a gradient arena; its ends
// are multiples of 16, so that a sum of squares in sixteen lanes sees each float in its usual lane.

import TuttiKernels

/// The rows of the word table that have had a gradient since the gradients were last cleared.
package final class TouchedRows {
    /// The table's floats in a gradient arena; empty without a table.
    package let table: Range<Int>
    /// [rows] above zero if a token used the row.
    package private(set) var marks: UnsafeMutableBufferPointer<Float>
    /// The touched parts of the table found by `collect`: ascending, disjoint.
    private var stretches: [Range<Int>] = []
    private var isCollected = true
    /// Whether a row has had a gradient in this run, and the stretches of these rows.
    private var hadGradient: [Bool]
    private var stretchesOfRun: [Range<Int>] = []
    private var isRunCurrent = false
    /// Whether `prepareRun` was called since the run began.
    package private(set) var knowsRun = false
    private let columns: Int
    private var arena = Arena()

    /// Tracks the parameter called `table`; nil, or a frozen one = every gradient is dense.
    init(_ layout: ParameterLayout, table: String?) {
        let entry = table.flatMap { layout.entry(named: $0) }.flatMap { $0.isFrozen ? nil : $0 }
        self.table = entry?.range ?? 0..<0
        columns = entry?.shape[1] ?? 0
        let rows = entry?.shape[0] ?? 0
        marks = UnsafeMutableBufferPointer(start: arena.floats(rows), count: rows)
        marks.update(repeating: 0)
        stretches.reserveCapacity(rows / 2 + 1)  // more of them would be adjacent and merge
        stretchesOfRun.reserveCapacity(rows / 2 + 1)
        hadGradient = [Bool](repeating: false, count: rows)
    }

    /// Marks the tokens of a batch.
    func mark(_ tokens: PackedTokens) {
        for place in 0..<tokens.count { marks[Int(tokens.ids[place])] = 1 }
        isCollected = false
    }

    /// Marks every row: the table is also a projection to the vocabulary.
    func markAll() {
        marks.update(repeating: 1)
        isCollected = false
    }

    /// Whether `tensor` is the table.
    func watches(_ tensor: TensorSlot) -> Bool {
        !table.isEmpty && !tensor.isFrozen && tensor.offset == table.lowerBound
    }

    /// Finds the stretches of all marked rows.
    package func collect() { collect { marks[$0] > 0 } }

    /// Finds the stretches of the rows marked by any rank, given the marks of all.
    package func collect(from ranks: [UnsafeMutableBufferPointer<Float>]) {
        collect { row in ranks.contains { $0[row] > 0 } }
    }

    @inline(__always)
    private func collect(_ isTouched: (Int) -> Bool) {
        find(&stretches) { row in
            guard isTouched(row) else { return false }
            if !hadGradient[row] { (hadGradient[row], isRunCurrent) = (true, false) }
            return true
        }
        isCollected = true
    }

    /// The stretches of the rows that `belongs` names.
    @inline(__always)
    private func find(_ stretches: inout [Range<Int>], _ belongs: (Int) -> Bool) {
        stretches.removeAll(keepingCapacity: true)
        for row in marks.indices where belongs(row) {
            let start = table.lowerBound + row * columns
            let stretch = start / 16 * 16..<min(table.upperBound, (start + columns + 15) / 16 * 16)
            if let last = stretches.last, last.upperBound >= stretch.lowerBound {
                stretches[stretches.count - 1] = last.lowerBound..<stretch.upperBound
            } else {
                stretches.append(stretch)
            }
        }
    }

    /// Begins a run: no row has had a gradient.
    package func beginRun() {
        for row in hadGradient.indices { hadGradient[row] = false }
        (isRunCurrent, knowsRun) = (false, false)
    }

    /// Makes every row count as one that has had a gradient: what a run did before is not known.
    package func assumeAllHadGradients() {
        for row in hadGradient.indices { hadGradient[row] = true }
        isRunCurrent = false
    }

    /// Calls `body` with the stretches of `range`, ascending, outside of which no gradient has been found by any `collect`
    /// of this run. Needs `prepareRun` after the last of them.
    package func forEachStretchOfRun(in range: Range<Int>, _ body: (Range<Int>) -> Void) {
        forEach(stretchesOfRun, in: range, body)
    }

    /// Finds the stretches of this run, if there are new ones.
    package func prepareRun() {
        knowsRun = true
        guard !isRunCurrent else { return }
        find(&stretchesOfRun) { hadGradient[$0] }
        isRunCurrent = true
    }

    /// Calls `body` with the stretches of `range`, ascending, outside of which every gradient is zero.
    /// Needs `collect` after the last backward.
    @inline(__always)
    package func forEachStretch(in range: Range<Int>, _ body: (Range<Int>) -> Void) {
        forEach(stretches, in: range, body)
    }

    @inline(__always)
    private func forEach(_ stretches: [Range<Int>], in range: Range<Int>, _ body: (Range<Int>) -> Void) {
        let before = range.clamped(to: 0..<table.lowerBound)
        if !before.isEmpty { body(before) }
        var place = Self.first(of: stretches, after: range.lowerBound)
        while place < stretches.count, stretches[place].lowerBound < range.upperBound {
            body(stretches[place].clamped(to: range))
            place += 1
        }
        let behind = range.clamped(to: table.upperBound..<max(table.upperBound, range.upperBound))
        if !behind.isEmpty { body(behind) }
    }

    /// The longest prefix of `range`, a part of the table, with at most `floats` floats in its stretches.
    package func longestPrefix(of range: Range<Int>, floats: Int) -> Range<Int> {
        var room = floats
        var end = range.upperBound
        forEachStretch(in: range) {
            if room > 0, $0.count >= room { end = $0.lowerBound + room }
            room -= $0.count
        }
        return range.lowerBound..<end
    }

    /// Moves the marks to other memory, which holds zeros.
    func move(marks other: UnsafeMutableBufferPointer<Float>) {
        precondition(other.count == marks.count, "TouchedRows: \(marks.count) marks to \(other.count)")
        _ = other.update(fromContentsOf: marks)
        marks = other
        arena = Arena()
    }

    /// Clears all marks; call it when the gradients are zero again.
    func reset() {
        marks.update(repeating: 0)
        stretches.removeAll(keepingCapacity: true)
        isCollected = true
    }

    /// Makes the stretches cover every mark, and perhaps more rows.
    func collectIfNeeded() { if !isCollected { collect() } }

    /// The first stretch that ends after `float`.
    private static func first(of stretches: [Range<Int>], after float: Int) -> Int {
        var (low, high) = (0, stretches.count)
        while low < high {
            let middle = (low + high) / 2
            if stretches[middle].upperBound <= float { low = middle + 1 } else { high = middle }
        }
        return low
    }
}
