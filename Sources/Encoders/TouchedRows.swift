// The rows of the word table that have a gradient: a batch uses a few thousand of its tens of thousands of tokens.
//
// The table's gradient is still dense: every row not used by a token is zero. So clearing it, summing it over ranks and
// its norm may skip those rows with the same result; the table is half of a small model.
// Optimizers still update every row, as torch's dense ones do.
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
    private let columns: Int
    private var arena = Arena()

    /// Tracks the parameter called `table`; nil = every gradient is dense.
    init(_ layout: ParameterLayout, table: String?) {
        let entry = table.flatMap { layout.entry(named: $0) }
        self.table = entry?.range ?? 0..<0
        columns = entry?.shape[1] ?? 0
        let rows = entry?.shape[0] ?? 0
        marks = UnsafeMutableBufferPointer(start: arena.floats(rows), count: rows)
        marks.update(repeating: 0)
        stretches.reserveCapacity(rows / 2 + 1)  // more of them would be adjacent and merge
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
    func watches(_ tensor: TensorSlot) -> Bool { !table.isEmpty && tensor.offset == table.lowerBound }

    /// Finds the stretches of all marked rows.
    package func collect() { collect { marks[$0] > 0 } }

    /// Finds the stretches of the rows marked by any rank, given the marks of all.
    package func collect(from ranks: [UnsafeMutableBufferPointer<Float>]) {
        collect { row in ranks.contains { $0[row] > 0 } }
    }

    @inline(__always)
    private func collect(_ isTouched: (Int) -> Bool) {
        stretches.removeAll(keepingCapacity: true)
        for row in marks.indices where isTouched(row) {
            let start = table.lowerBound + row * columns
            let stretch = start / 16 * 16..<min(table.upperBound, (start + columns + 15) / 16 * 16)
            if let last = stretches.last, last.upperBound >= stretch.lowerBound {
                stretches[stretches.count - 1] = last.lowerBound..<stretch.upperBound
            } else {
                stretches.append(stretch)
            }
        }
        isCollected = true
    }

    /// Calls `body` with the stretches of `range`, ascending, outside of which every gradient is zero.
    /// Needs `collect` after the last backward.
    @inline(__always)
    package func forEachStretch(in range: Range<Int>, _ body: (Range<Int>) -> Void) {
        let before = range.clamped(to: 0..<table.lowerBound)
        if !before.isEmpty { body(before) }
        var place = firstStretch(after: range.lowerBound)
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
    private func firstStretch(after float: Int) -> Int {
        var (low, high) = (0, stretches.count)
        while low < high {
            let middle = (low + high) / 2
            if stretches[middle].upperBound <= float { low = middle + 1 } else { high = middle }
        }
        return low
    }
}
