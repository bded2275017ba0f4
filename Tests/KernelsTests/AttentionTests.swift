// Packed attention against an fp64 reference and finite differences, over head widths, lengths, dropout, positions.

import Foundation
import Testing
import TestSupport
import TuttiKernels

@Suite(.serialized, .atEveryLevel) struct AttentionTests {
    /// One problem with random inputs.
    private struct Problem {
        let heads: Int
        let width: Int
        let lengths: [Int]
        let maximum: Int
        let rate: Float
        var qkv, bias, table: [Float]
        let weights: [Float]
        let keys: [UInt64]
        var tokens: Int { lengths.reduce(0, +) }
        var hidden: Int { heads * width }

        init(heads: Int, width: Int, lengths: [Int], positions: Bool, rate: Float) {
            var random = TinyRandom(UInt64(heads * 1000 + width))
            self.heads = heads
            self.width = width
            self.lengths = lengths
            self.rate = rate
            maximum = positions ? (lengths.max() ?? 0) + 3 : 0
            let tokens = lengths.reduce(0, +)
            qkv = random.floats(tokens * 3 * heads * width)
            bias = random.floats(3 * heads * width, scale: 0.5)
            table = positions ? random.floats(heads * (2 * maximum - 1)) : []
            weights = random.floats(tokens * heads * width)
            keys = lengths.indices.map { Dropout.siteKey(77, layer: 0, site: UInt32($0)) }
        }

        func attention() -> Attention {
            let offsets = offsets(of: lengths).pinned
            return Attention(
                heads: heads, width: width, offsets: offsets, sequences: lengths.count, bias: bias.pinned,
                positions: table.isEmpty ? nil : table.pinned, maximum: maximum,
                dropout: rate == 0
                    ? nil : DropoutMask(rate: rate, keys: keys.pinned, offsets: offsets, sequences: lengths.count))
        }

        /// fp64 context [T, D].
        func reference() -> [Double] {
            var out = [Double](repeating: 0, count: tokens * hidden)
            var first = 0
            for (s, length) in lengths.enumerated() {
                for h in 0..<heads {
                    func value(_ part: Int, _ t: Int, _ e: Int) -> Double {
                        let column = part * hidden + h * width + e
                        return Double(qkv[(first + t) * 3 * hidden + column]) + Double(bias[column])
                    }
                    let q = (0..<length).map { t in (0..<width).map { value(0, t, $0) } }
                    let k = (0..<length).map { t in (0..<width).map { value(1, t, $0) } }
                    let v = (0..<length).map { t in (0..<width).map { value(2, t, $0) } }
                    for i in 0..<length {
                        var scores = (0..<length).map { j in
                            zip(q[i], k[j]).reduce(0.0) { $0 + $1.0 * $1.1 } / Double(width).squareRoot()
                                + (table.isEmpty ? 0 : Double(table[h * (2 * maximum - 1) + j - i + maximum - 1]))
                        }
                        let top = scores.max() ?? 0
                        scores = scores.map { exp($0 - top) }
                        let sum = scores.reduce(0, +)
                        for j in 0..<length {
                            let index = UInt32((h * length + i) * length + j)
                            let keeps = rate == 0 || Dropout.keeps(siteKey: keys[s], index: index, rate: rate)
                            let p = keeps ? scores[j] / sum / (1 - Double(rate)) : 0
                            for e in 0..<width { out[(first + i) * hidden + h * width + e] += p * v[j][e] }
                        }
                    }
                }
                first += length
            }
            return out
        }
    }

    private struct Result: Equatable {
        var context, dQKV, dBias, dTable: [Float]
    }

    private func run(_ p: Problem) -> Result {
        let attention = p.attention()
        let qkv = FloatBlock(p.qkv)
        let context = FloatBlock(count: p.tokens * p.hidden)
        let lse = FloatBlock(count: p.tokens * p.heads)
        let scratch = FloatBlock(count: attention.scratchCount)
        let dContext = FloatBlock(p.weights)
        let dQKV = FloatBlock(count: p.qkv.count)
        let dTable = FloatBlock(count: p.table.count, of: 0)
        let dBias = FloatBlock(count: p.bias.count, of: 0)
        let wide = qkv.matrix(p.tokens, 3 * p.hidden)
        attention.forward(
            qkv: wide, context: context.matrix(p.tokens, p.hidden), logSumExp: lse.pointer, scratch: scratch.pointer)
        attention.backward(
            qkv: wide, logSumExp: lse.pointer,
            dContext: dContext.matrix(p.tokens, p.hidden), dQKV: dQKV.matrix(p.tokens, 3 * p.hidden),
            dPositions: p.table.isEmpty ? nil : dTable.pointer, scratch: scratch.pointer)
        RowKernels.biasGradient(dQKV.matrix(p.tokens, 3 * p.hidden), into: dBias.pointer)
        return Result(context: context.values, dQKV: dQKV.values, dBias: dBias.values, dTable: dTable.values)
    }

    @Test(arguments: [8, 16, 24, 32, 64, 128])
    func widths(width: Int) {
        for (positions, rate) in [(false, Float(0)), (true, 0), (false, 0.2), (true, 0.2)] {
            let p = Problem(heads: 2, width: width, lengths: [1, 2, 17, 0, 5], positions: positions, rate: rate)
            check(p)
        }
    }

    @Test(arguments: [[63], [64], [65], [48, 49], [200]])
    func lengths(lengths: [Int]) {
        check(Problem(heads: 3, width: 16, lengths: lengths, positions: true, rate: 0.1))
    }

    @Test func longSequences() {
        let p = Problem(heads: 1, width: 32, lengths: [512, 256, 700], positions: true, rate: 0.1)
        #expect(largestDifference(run(p).context, p.reference()) < 2e-6)
    }

    /// Forward against fp64; backward against finite differences of the fp64 reference.
    private func check(_ p: Problem) {
        let got = run(p)
        let name = "E \(p.width), L \(p.lengths), positions \(!p.table.isEmpty), rate \(p.rate)"
        #expect(largestDifference(got.context, p.reference()) < 3e-6, "\(name)")
        func loss(_ q: Problem) -> Double {
            zip(q.reference(), q.weights).reduce(0.0) { $0 + $1.0 * Double($1.1) }
        }
        let tries = p.tokens > 100 ? 1 : 2
        let qkv = gradientGap(at: p.qkv, gradient: got.dQKV, step: 1e-3, tries: tries) {
            var q = p
            q.qkv = $0
            return loss(q)
        }
        #expect(qkv < 1e-3, "\(name) dqkv")
        let bias = gradientGap(at: p.bias, gradient: got.dBias, step: 1e-3, tries: tries) {
            var q = p
            q.bias = $0
            return loss(q)
        }
        #expect(bias < 1e-3, "\(name) dbias")
        guard !p.table.isEmpty else { return }
        let table = gradientGap(at: p.table, gradient: got.dTable, step: 1e-3, tries: tries) {
            var q = p
            q.table = $0
            return loss(q)
        }
        #expect(table < 1e-3, "\(name) dpositions")
    }

    @Test func negativeControl() {
        // The same check must notice another mask: gradients of a rate of 0.2 against a reference at 0.3.
        let p = Problem(heads: 2, width: 16, lengths: [9, 4], positions: false, rate: 0.2)
        let other = Problem(heads: 2, width: 16, lengths: [9, 4], positions: false, rate: 0.3)
        #expect(largestDifference(run(p).context, other.reference()) > 1e-2)
    }

    @Test func threadsChangeNothing() {
        let lengths = [5, 33, 64, 1, 128, 12, 7, 90, 2, 41]
        let p = Problem(heads: 4, width: 32, lengths: lengths, positions: true, rate: 0.1)
        let one = run(p)
        for threads in [2, 3] {
            withCompute(threads: threads) { #expect(run(p) == one) }
        }
    }

    @Test func aSequenceDoesNotSeeItsNeighbours() {
        let p = Problem(heads: 2, width: 16, lengths: [6, 11, 3], positions: false, rate: 0)
        var alone = Problem(heads: 2, width: 16, lengths: [11], positions: false, rate: 0)
        alone.qkv = Array(p.qkv[6 * 3 * 32..<17 * 3 * 32])
        alone.bias = p.bias
        let together = Array(run(p).context[6 * 32..<17 * 32])
        #expect(together == run(alone).context)
    }

    @Test func largeScoresStayFinite() {
        var p = Problem(heads: 1, width: 8, lengths: [20], positions: false, rate: 0)
        p.qkv = p.qkv.map { $0 * 100 }
        let got = run(p)
        #expect(allFinite(got.context) && allFinite(got.dQKV))
        #expect(relativeDifference(got.context, p.reference()) < 1e-3)
    }
}
