// Rows of the word table that a batch named: the stretches hold every gradient, and clearing them clears all.

import TestSupport
import Testing
import TuttiEncoders
import TuttiKernels

@Suite struct TouchedRowsTests {
    /// The stretches of `range`.
    private func stretches(_ touched: TouchedRows, in range: Range<Int>) -> [Range<Int>] {
        var found: [Range<Int>] = []
        touched.forEachStretch(in: range) { found.append($0) }
        return found
    }

    /// A table of 40 rows between two dense parameters.
    private func store(columns: Int) -> ParameterStore {
        var layout = ParameterLayout()
        layout.append(TensorSpecification("before", [50]))
        layout.append(TensorSpecification("word", [40, columns]))
        layout.append(TensorSpecification("behind", [7]))
        let store = ParameterStore(layout: layout, wordTable: "word")
        store.allocateGradients()
        return store
    }

    @Test(arguments: [16, 48, 5, 33])
    func stretchesHoldTheMarkedRowsAndEverythingDense(_ columns: Int) {
        let store = store(columns: columns)
        let (touched, table, end) = (store.touched, store.touched.table, store.layout.count)
        let rows = [0, 3, 4, 17, 39]
        for row in rows { touched.marks[row] = 1 }
        touched.collect()
        let all = stretches(touched, in: 0..<end)
        #expect(zip(all, all.dropFirst()).allSatisfy { $0.upperBound <= $1.lowerBound })
        #expect(all.allSatisfy { $0.lowerBound % 16 == 0 && $0.upperBound % 16 == 0 })
        let covered = Set(all.flatMap { Array($0) })
        #expect(covered.isSuperset(of: 0..<table.lowerBound) && covered.isSuperset(of: table.upperBound..<end))
        for row in rows {
            let start = table.lowerBound + row * columns
            #expect(covered.isSuperset(of: start..<start + columns), "row \(row)")
        }
        #expect(covered.count <= end - table.count + rows.count * (columns + 30), "untouched rows are covered too")
        // Cut anywhere, the pieces are the whole.
        for cut in stride(from: 0, through: end, by: 7) {
            let parts = stretches(touched, in: 0..<cut) + stretches(touched, in: cut..<end)
            #expect(parts.flatMap { Array($0) } == all.flatMap { Array($0) })
        }
        // Prefixes of at most so many floats, one after another, are the whole table.
        for floats in [1, 16, 50, 10_000] {
            var (left, seen) = (table, 0)
            while !left.isEmpty {
                let part = touched.longestPrefix(of: left, floats: floats)
                let count = stretches(touched, in: part).reduce(0) { $0 + $1.count }
                #expect(part.lowerBound == left.lowerBound && !part.isEmpty && count <= floats)
                seen += count
                left = part.upperBound..<left.upperBound
            }
            #expect(seen == stretches(touched, in: table).reduce(0) { $0 + $1.count })
        }
    }

    @Test(arguments: GoldenKind.allCases)
    func afterBackwardTheStretchesHoldAllAndClearingLeavesNothing(_ kind: GoldenKind) throws {
        let golden = try Golden(kind)
        let encoder = try golden.encoder(heads: [.pooling(modes: [.mean])])
        let parameters = encoder.parameters
        backpropagate(encoder, try golden.batch([0, 2]), noise(2 * encoder.outputWidth, seed: 4))
        parameters.touched.collect()
        let covered = Set(stretches(parameters.touched, in: 0..<parameters.layout.count).flatMap { Array($0) })
        #expect(covered.count < parameters.layout.count, "every row was touched: this proves nothing")
        #expect(parameters.gradients.indices.allSatisfy { parameters.gradients[$0] == 0 || covered.contains($0) })
        #expect(parameters.gradients.contains { $0 != 0 })
        parameters.clearGradients()
        #expect(parameters.gradients.allSatisfy { $0 == 0 })
    }
}
