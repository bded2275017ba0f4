// Bias, sums, softmax, normalise, embeddings and pooling against plain fp64 Swift and their adjoints.

import Foundation
import Testing
import TestSupport
import TuttiKernels

@Suite(.serialized, .atEveryLevel) struct RowKernelTests {
    @Test(arguments: [(1, 5), (130, 37), (64, 1536), (65, 600)])
    func biasAndItsGradient(shape: (Int, Int)) {
        var random = TinyRandom(21)
        let (rows, columns) = shape
        let x = random.floats(rows * columns)
        let bias = random.floats(columns)
        let block = FloatBlock(x)
        RowKernels.addBias(block.matrix(rows, columns), bias: bias.pinned)
        #expect(block.values == x.indices.map { x[$0] + bias[$0 % columns] })
        let exact = (0..<columns).map { c in (0..<rows).reduce(2.0) { $0 + Double(block.values0[$1 * columns + c]) } }
        for threads in [1, 2] {
            let sums = FloatBlock(count: columns, of: 2)
            withCompute(threads: threads) {
                RowKernels.biasGradient(block.matrix(rows, columns), into: sums.pointer)
            }
            #expect(relativeDifference(sums.values, exact) < 5e-7)
        }
    }

    @Test(arguments: [1, 7, 16, 100]) func softmaxRows(columns: Int) {
        var random = TinyRandom(22)
        let x = random.floats(5 * columns, scale: 30)
        let block = FloatBlock(x)
        RowKernels.softmax(block.matrix(5, columns))
        for r in 0..<5 {
            let row = x[r * columns..<(r + 1) * columns].map(Double.init)
            let top = row.max() ?? 0
            let sum = row.reduce(0.0) { $0 + exp($1 - top) }
            let expected = row.map { exp($0 - top) / sum }
            #expect(largestDifference(block.values[r * columns..<(r + 1) * columns], expected) < 1e-6)
        }
    }

    @Test(arguments: [1, 8, 33, 384]) func normalizeAndItsAdjoint(columns: Int) {
        var random = TinyRandom(23)
        let rows = 5
        var x = random.floats(rows * columns)
        for c in 0..<columns { x[columns + c] = 0 }  // a zero row: divided by epsilon, as F.normalize
        let weights = random.floats(rows * columns)
        func reference(_ x: [Float]) -> [Double] {
            (0..<rows).flatMap { r in
                let row = x[r * columns..<(r + 1) * columns].map(Double.init)
                let norm = row.reduce(0.0) { $0 + $1 * $1 }.squareRoot()
                return row.map { $0 / max(norm, 1e-12) }
            }
        }
        let y = FloatBlock(x)
        let norms = FloatBlock(count: rows)
        RowKernels.normalize(y.matrix(rows, columns), norms: norms.pointer, into: y.matrix(rows, columns))
        #expect(largestDifference(y.values, reference(x)) < 2e-7)
        let d = FloatBlock(weights)
        RowKernels.normalizeBackward(
            y.matrix(rows, columns), norms: norms.pointer, dY: d.matrix(rows, columns), into: d.matrix(rows, columns))
        for c in 0..<columns { #expect(abs(d.values[columns + c] - weights[columns + c] * 1e12) <= 1e6) }
        var gradient = d.values
        for c in 0..<columns { gradient[columns + c] = 0 }
        var weighted = weights
        for c in 0..<columns { weighted[columns + c] = 0 }
        if columns > 1 {
            let gap = gradientGap(at: x, gradient: gradient, step: 1e-3) { point in
                zip(reference(point), weighted).reduce(0.0) { $0 + $1.0 * Double($1.1) }
            }
            #expect(gap < 1e-3)
        }
    }

    @Test(arguments: [8, 37, 384]) func embeddingsAndTheirAdjoint(columns: Int) {
        var random = TinyRandom(24)
        let lengths = [4, 0, 7, 1]
        let (vocabulary, positions, tokens) = (9, 12, 12)
        let ids = random.integers(tokens, below: vocabulary)
        let types = random.integers(tokens, below: 2)
        let word = random.floats(vocabulary * columns)
        let position = random.floats(positions * columns)
        let type = random.floats(2 * columns)
        let starts = offsets(of: lengths)
        let packed = PackedTokens(
            ids: ids.pinned, types: types.pinned, offsets: starts.pinned, sequences: lengths.count)
        let out = FloatBlock(count: tokens * columns)
        EmbeddingKernels.gatherEmbeddings(
            packed, word: word.pinned, position: position.pinned, positionStart: 2, type: type.pinned,
            into: out.matrix(tokens, columns))
        let places = lengths.flatMap { 0..<$0 }
        for t in 0..<tokens {
            for d in 0..<columns {
                let expected =
                    word[Int(ids[t]) * columns + d] + type[Int(types[t]) * columns + d]
                    + position[(places[t] + 2) * columns + d]
                #expect(out.values0[t * columns + d] == expected)
            }
        }
        let weights = random.floats(tokens * columns)
        var results: [[Float]] = []
        for threads in [1, 2] {
            let tables = [vocabulary, positions, 2].map { FloatBlock(count: $0 * columns, of: 0) }
            withCompute(threads: threads) {
                EmbeddingKernels.scatterEmbeddings(
                    packed, dOutput: FloatBlock(weights).matrix(tokens, columns), dWord: tables[0].pointer,
                    dPosition: tables[1].pointer, positionStart: 2, dType: tables[2].pointer, paddingID: 1)
            }
            results.append(tables.flatMap(\.values))
            // Adjoint: <scatter(w), table> = <w, gather(table)>, without the padding row.
            let inner =
                weightedSum(tables[0].values, word) + weightedSum(tables[1].values, position)
                + weightedSum(tables[2].values, type)
            var outer = weightedSum(out.values, weights)
            for t in 0..<tokens where ids[t] == 1 {
                outer -= (0..<columns).reduce(0.0) {
                    $0 + Double(word[columns + $1]) * Double(weights[t * columns + $1])
                }
            }
            #expect(abs(inner - outer) < 1e-4 * max(1, abs(outer)))
            #expect(tables[0].values[columns..<2 * columns].allSatisfy { $0 == 0 })
        }
        #expect(results[0] == results[1])
    }

    @Test func gatherWithoutTypesOrPositions() {
        let word: [Float] = [1, 2, 3, 4]
        let packed = PackedTokens(ids: [Int32(1), 0].pinned, offsets: [Int32(0), 2].pinned, sequences: 1)
        let out = FloatBlock(count: 4)
        EmbeddingKernels.gatherEmbeddings(packed, word: word.pinned, into: out.matrix(2, 2))
        #expect(out.values == [3, 4, 1, 2])
        EmbeddingKernels.gatherEmbeddings(
            packed, word: word.pinned, type: [Float(10), 20].pinned, into: out.matrix(2, 2))
        #expect(out.values == [13, 24, 11, 22])
    }

    @Test(arguments: Pooling.Mode.allCases) func poolingAndItsAdjoint(mode: Pooling.Mode) {
        var random = TinyRandom(25)
        let columns = 19
        let lengths = [5, 1, 8, 3]
        let skip: [Int32] = [2, 0, 0, 3]  // the last sequence is all prompt
        let tokens = lengths.reduce(0, +)
        let x = random.floats(tokens * columns)
        let weights = random.floats(lengths.count * columns)
        let starts = offsets(of: lengths)
        func reference(_ x: [Float]) -> [Double] {
            lengths.indices.flatMap { s -> [Double] in
                let used = Array(Int(skip[s])..<lengths[s])
                func value(_ p: Int, _ d: Int) -> Double { Double(x[(Int(starts[s]) + p) * columns + d]) }
                return (0..<columns).map { d in
                    let total = used.reduce(0.0) { $0 + value($1, d) }
                    let count = Double(used.count)
                    switch mode {
                    case .cls: return value(used.first ?? 0, d)
                    case .max: return used.map { value($0, d) }.max() ?? -.infinity
                    case .mean: return used.isEmpty ? 0 : total / count
                    case .meanSqrtLength: return used.isEmpty ? 0 : total / count.squareRoot()
                    case .weightedMean:
                        let sum = used.reduce(0.0) { $0 + Double($1 + 1) }
                        return used.isEmpty ? 0 : used.reduce(0.0) { $0 + Double($1 + 1) * value($1, d) } / sum
                    case .lastToken: return used.last.map { value($0, d) } ?? 0
                    }
                }
            }
        }
        let block = FloatBlock(x)
        let out = FloatBlock(count: lengths.count * columns)
        Pooling.forward(
            mode, block.matrix(tokens, columns), offsets: starts.pinned, skip: skip.pinned,
            into: out.matrix(lengths.count, columns))
        #expect(largestDifference(out.values, reference(x)) < 1e-6)
        let d = FloatBlock(count: tokens * columns, of: 0)
        Pooling.backward(
            mode, block.matrix(tokens, columns), offsets: starts.pinned, skip: skip.pinned,
            dOutput: FloatBlock(weights).matrix(lengths.count, columns), into: d.matrix(tokens, columns))
        let live = mode == .max ? 3 * columns : 4 * columns  // an infinite row has no gradient
        let gap = gradientGap(at: x, gradient: d.values, step: 1e-4) { point in
            zip(reference(point), weights).prefix(live).reduce(0.0) { $0 + $1.0 * Double($1.1) }
        }
        #expect(gap < 1e-3, "\(mode): \(gap)")
    }
}
