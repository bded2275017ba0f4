// Packed attention against its definition in fp64 and finite differences, over heads, widths, lengths, spans, dropout and
// positions.

import Foundation
import TestSupport
import Testing
import TuttiKernels

@Suite(.serialized, .atEveryLevel) struct AttentionTests {
    @Test(arguments: [8, 16, 20, 24, 26, 32, 64, 128, 256])
    func widths(width: Int) {
        for (positions, rate) in [(false, Float(0)), (true, 0), (false, 0.2), (true, 0.2)] {
            check(AttentionProblem(width: width, lengths: [1, 2, 17, 0, 5], positions: positions, rate: rate))
        }
    }

    @Test(arguments: [[63], [64], [65], [48, 49], [200]])
    func lengths(lengths: [Int]) {
        let p = AttentionProblem(heads: 3, lengths: lengths, positions: true, rate: 0.1)
        check(p)
        checkDifferences(p)
    }

    /// Causal masks and windows of queries that share keys, with everything else on and off.
    @Test(arguments: [4, 2, 1])
    func spans(keyHeads: Int) {
        let spans: [AttentionSpan] = [
            .full, .causal, .window(reach: 0), .window(reach: 4), .window(reach: 40), .causalWindow(keys: 8),
            .causalWindow(keys: 50),
        ]
        for span in spans {
            for (positions, rate) in [(false, Float(0)), (true, 0.2)] {
                check(
                    AttentionProblem(
                        heads: 4, keyHeads: keyHeads, width: 24, lengths: [1, 70, 0, 9, 131], span: span, scale: 0.3,
                        positions: positions, rate: rate))
            }
        }
    }

    @Test(arguments: [AttentionSpan.causal, .window(reach: 3)])
    func spansByFiniteDifferences(span: AttentionSpan) {
        checkDifferences(
            AttentionProblem(
                heads: 4, keyHeads: 2, width: 26, lengths: [13, 1, 7], span: span, scale: 1, positions: true, rate: 0.2)
        )
    }

    /// Sequences whose keys come in several tiles: the softmax is carried on from one to the next.
    @Test(arguments: [[513], [600, 3, 800]])
    func tiles(lengths: [Int]) {
        let spans: [AttentionSpan] = [
            .full, .causal, .window(reach: 64), .window(reach: 300), .causalWindow(keys: 300),
            .causalWindow(keys: 600),
        ]
        for (place, span) in spans.enumerated() {
            check(
                AttentionProblem(
                    heads: 2, keyHeads: 1, lengths: lengths, span: span, positions: place % 2 == 0,
                    rate: place % 3 == 0 ? 0 : 0.1))
        }
    }

    /// Scores that grow along the keys, so that every tile raises the maximum of the ones before.
    @Test func everyTileRaisesTheMaximum() {
        var p = AttentionProblem(heads: 1, width: 16, lengths: [900])
        for t in 0..<900 {
            for e in 0..<16 {
                p.qkv[t * 48 + e] = 0.5
                p.qkv[t * 48 + 16 + e] += Float(t) * 0.01
            }
        }
        check(p)
    }

    @Test func headsThatAlternate() {
        check(AttentionProblem(heads: 3, width: 24, lengths: [5, 70], rate: 0.1, alternates: true))
    }

    /// Lengths within the rows of the tables, and beyond them; one tile of keys, and several.
    @Test(arguments: ["c2p|p2c", "c2p", "p2c"])
    func disentangledPositions(terms: String) {
        for (lengths, reach, rate) in [([1, 9, 0, 70], 8, Float(0)), ([33, 4], 40, 0.2), ([530], 24, 0.1)] {
            for width in [16, 26] {
                check(
                    AttentionProblem(
                        heads: 2, width: width, lengths: lengths, rate: rate, alternates: width == 26, reach: reach,
                        terms: terms))
            }
        }
    }

    @Test func disentangledPositionsByFiniteDifferences() {
        checkDifferences(AttentionProblem(heads: 2, width: 16, lengths: [13, 1, 40], rate: 0.2, reach: 6))
    }

    @Test func longSequences() {
        let p = AttentionProblem(heads: 1, width: 32, lengths: [512, 256, 700], positions: true, rate: 0.1)
        #expect(largestDifference(p.run().context, p.solve().context) < 2e-6)
    }

    /// Blocks for every size of cache: the same sums in another order for long texts, the same bits for short ones.
    @Test func blocksForSmallAndLargeCaches() {
        let own = Compute.process.cacheBytes
        defer { Compute.process.cacheBytes = own }
        func runs(_ p: AttentionProblem) -> [AttentionProblem.Result<Float>] {
            [18, 21].map {
                Compute.process.cacheBytes = 1 << $0
                check(p)
                return p.run()
            }
        }
        let long = runs(AttentionProblem(heads: 2, keyHeads: 1, width: 64, lengths: [700, 90], rate: 0.1))
        #expect(long[0] != long[1], "sizes that agree prove nothing")
        let short = runs(AttentionProblem(heads: 2, width: 64, lengths: [64, 5], positions: true))
        #expect(short.allSatisfy { $0 == short[0] })
        _ = runs(AttentionProblem(heads: 2, width: 16, lengths: [300], reach: 16))
        _ = runs(AttentionProblem(heads: 2, width: 64, lengths: [700], span: .causal))
    }

    @Test func scratchGrowsWithTheLength() {
        func scratch(_ length: Int) -> Int { AttentionProblem(lengths: [length]).attention().scratchCount }
        #expect(scratch(8192) < 2 * scratch(4096) + 100_000)
        #expect(scratch(8192) > scratch(4096))
    }

    /// The gradient of one query's context reaches exactly the keys that it sees.
    @Test func windowsReachTheirKeys() {
        let spans: [(AttentionSpan, ClosedRange<Int>)] = [
            (.window(reach: 4), 16...24), (.causalWindow(keys: 8), 13...20), (.causal, 0...20), (.full, 0...39),
        ]
        for (span, reached) in spans {
            var p = AttentionProblem(heads: 1, width: 8, lengths: [40], span: span)
            for i in p.weights.indices where i / 8 != 20 { p.weights[i] = 0 }
            let gradient = p.run().dQKV
            let touched = (0..<40).filter { t in (16..<24).contains { gradient[t * 24 + $0] != 0 } }
            #expect(touched == Array(reached), "\(span)")
        }
    }

    @Test func pairsOfSpans() {
        let spans: [AttentionSpan] = [
            .full, .causal, .window(reach: 0), .window(reach: 3), .causalWindow(keys: 4), .causalWindow(keys: 99),
        ]
        for span in spans {
            for length in [0, 1, 2, 4, 5, 17] {
                let counted = (0..<length).reduce(0) { sum, i in
                    sum + (0..<length).filter { $0 >= i - span.before && $0 <= i + span.after }.count
                }
                #expect(span.pairs(length: length) == counted, "\(span), \(length) tokens")
            }
        }
    }

    /// Context and gradients against fp64.
    private func check(_ p: AttentionProblem) {
        let (got, expected) = (p.run(), p.solve())
        #expect(largestDifference(got.context, expected.context) < 3e-6, "\(p.name)")
        #expect(relativeDifference(got.dQKV, expected.dQKV) < 1e-5, "\(p.name) dqkv")
        if !p.table.isEmpty { #expect(relativeDifference(got.dTable, expected.dTable) < 1e-5, "\(p.name) dpositions") }
        for (path, reference) in [
            (\AttentionProblem.Result<Float>.dPositionKeys, expected.dPositionKeys),
            (\.dPositionQueries, expected.dPositionQueries),
        ] where !reference.isEmpty {
            #expect(relativeDifference(got[keyPath: path], reference) < 1e-5, "\(p.name) \(path)")
        }
    }

    /// Gradients against finite differences of the fp64 forward.
    private func checkDifferences(_ p: AttentionProblem) {
        let got = p.run()
        func loss(_ q: AttentionProblem) -> Double {
            zip(q.solve().context, q.weights).reduce(0.0) { $0 + $1.0 * Double($1.1) }
        }
        func gap(_ path: WritableKeyPath<AttentionProblem, [Float]>, _ gradient: [Float]) -> Double {
            gradientGap(at: p[keyPath: path], gradient: gradient, step: 1e-3, tries: p.tokens > 100 ? 1 : 2) {
                var q = p
                q[keyPath: path] = $0
                return loss(q)
            }
        }
        let dBias = FloatBlock(count: p.columns, of: 0)
        let dQKV = FloatBlock(got.dQKV)
        RowKernels.biasGradient(dQKV.matrix(p.tokens, p.columns), into: dBias.pointer)
        #expect(gap(\.qkv, got.dQKV) < 1e-3, "\(p.name) dqkv")
        #expect(gap(\.bias, dBias.values) < 1e-3, "\(p.name) dbias")
        if !p.table.isEmpty { #expect(gap(\.table, got.dTable) < 1e-3, "\(p.name) dpositions") }
        if p.reach > 0 {
            #expect(gap(\.positionKeys, got.dPositionKeys) < 1e-3, "\(p.name) keys of positions")
            #expect(gap(\.positionQueries, got.dPositionQueries) < 1e-3, "\(p.name) queries of positions")
        }
    }

    @Test func negativeControl() {
        // The same checks must notice another mask, another span, and keys of another head.
        let p = AttentionProblem(heads: 4, keyHeads: 2, lengths: [9, 4], rate: 0.2)
        let context = p.run().context
        var other = p
        other.rate = 0.3
        #expect(largestDifference(context, other.solve().context) > 1e-2)
        other = p
        other.span = .causalWindow(keys: 8)
        #expect(largestDifference(context, other.solve().context) > 1e-2)
        other = p
        let keys = p.column(1, 0)..<p.column(2, 0)
        for t in 0..<p.tokens { for c in keys.dropFirst(16) { other.qkv[t * p.columns + c] *= -1 } }
        #expect(largestDifference(context, other.solve().context) > 1e-2)
    }

    @Test func threadsChangeNothing() {
        let lengths = [5, 33, 64, 1, 128, 12, 7, 90, 2, 41, 600]
        for p in [
            AttentionProblem(heads: 4, keyHeads: 2, width: 32, lengths: lengths, positions: true, rate: 0.1),
            AttentionProblem(heads: 4, width: 32, lengths: lengths, rate: 0.1, reach: 16),
        ] {
            let one = p.run()
            for threads in [2, 3] {
                withCompute(threads: threads) { #expect(p.run() == one) }
            }
        }
    }

    @Test func aSequenceDoesNotSeeItsNeighbours() {
        let p = AttentionProblem(heads: 2, width: 16, lengths: [6, 11, 3])
        var alone = AttentionProblem(heads: 2, width: 16, lengths: [11])
        alone.qkv = Array(p.qkv[6 * 3 * 32..<17 * 3 * 32])
        alone.bias = p.bias
        let together = Array(p.run().context[6 * 32..<17 * 32])
        #expect(together == alone.run().context)
    }

    @Test func largeScoresStayFinite() {
        for length in [20, 600] {
            var p = AttentionProblem(heads: 1, width: 8, lengths: [length])
            p.qkv = p.qkv.map { $0 * 100 }
            let got = p.run()
            #expect(allFinite(got.context) && allFinite(got.dQKV))
            #expect(relativeDifference(got.context, p.solve().context) < 1e-3)
        }
    }
}
