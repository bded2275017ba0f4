// The tiled contrastive softmax against fp64, with one tile and several, ties to finite differences, extreme scores.

import Foundation
import Testing
import TestSupport
import TuttiKernels

@Suite(.serialized, .atEveryLevel) struct ContrastiveTests {
    private struct Problem {
        let rows, candidates, width: Int
        var a, c: [Float]
        let positives: [Int32]
        var scale: Float = 20

        init(rows: Int, candidates: Int, width: Int, seed: UInt64 = 3) {
            var random = TinyRandom(seed)
            self.rows = rows
            self.candidates = candidates
            self.width = width
            a = random.floats(rows * width, scale: 0.2)
            c = random.floats(candidates * width, scale: 0.2)
            positives = random.integers(rows, below: candidates)
        }

        /// fp64: loss, dA, dC.
        func reference(factor: Double) -> (loss: Double, dA: [Double], dC: [Double]) {
            var loss = 0.0
            var dA = [Double](repeating: 0, count: a.count)
            var dC = [Double](repeating: 0, count: c.count)
            for r in 0..<rows {
                let scores = (0..<candidates).map { j in
                    (0..<width).reduce(0.0) { $0 + Double(a[r * width + $1]) * Double(c[j * width + $1]) }
                        * Double(scale)
                }
                let top = scores.max() ?? 0
                let sum = scores.reduce(0.0) { $0 + exp($1 - top) }
                let positive = Int(positives[r])
                loss += top + log(sum) - scores[positive]
                for j in 0..<candidates {
                    let g = factor * Double(scale) * (exp(scores[j] - top) / sum - (j == positive ? 1 : 0))
                    for d in 0..<width {
                        dA[r * width + d] += g * Double(c[j * width + d])
                        dC[j * width + d] += g * Double(a[r * width + d])
                    }
                }
            }
            return (loss * factor, dA, dC)
        }

        func run(
            factor: Double, accumulate: Bool = false, gradient: Bool = true
        ) -> (loss: Double, dA: [Float], dC: [Float]) {
            let a = FloatBlock(a)
            let c = FloatBlock(c)
            let dA = FloatBlock(count: a.count)
            let dC = FloatBlock(count: c.count, of: accumulate ? 1 : .nan)
            let scratch = FloatBlock(count: Contrastive.scratchCount(rows: rows, candidates: candidates))
            let loss = Contrastive.softmaxCrossEntropy(
                anchors: a.matrix(rows, width), candidates: c.matrix(candidates, width), positives: positives.pinned,
                scale: scale, factor: factor, dAnchors: gradient ? dA.matrix(rows, width) : nil,
                dCandidates: gradient ? dC.matrix(candidates, width) : nil, accumulateCandidates: accumulate,
                scratch: scratch.pointer)
            return (loss, dA.values, dC.values)
        }
    }

    @Test(arguments: [(1, 1, 8), (3, 5, 7), (16, 48, 33), (514, 260, 16), (5, 4096, 8), (7, 9000, 8), (513, 4100, 4)])
    func matchesReference(shape: (Int, Int, Int)) {
        let p = Problem(rows: shape.0, candidates: shape.1, width: shape.2)
        let factor = 1 / Double(p.rows)
        let expected = p.reference(factor: factor)
        let got = p.run(factor: factor)
        #expect(abs(got.loss - expected.loss) <= 2e-6 * max(1, expected.loss))
        #expect(abs(p.run(factor: factor, gradient: false).loss - got.loss) == 0)
        if shape.1 > 1 {
            #expect(relativeDifference(got.dA, expected.dA) < 1e-5)
            #expect(relativeDifference(got.dC, expected.dC) < 1e-5)
        }
        let added = p.run(factor: factor, accumulate: true)
        #expect(largestDifference(added.dC, expected.dC.map { $0 + 1 }) < 1e-5)
    }

    /// A bias a candidate is one more dimension, in which anchors are 1; weights weigh gradients and not the value.
    @Test(arguments: [(5, 11, 6), (513, 4100, 8)])
    func biasIsADimensionOfOnes(shape: (Int, Int, Int)) {
        var wide = Problem(rows: shape.0, candidates: shape.1, width: shape.2 + 1)
        wide.scale = 1
        let (rows, candidates, width) = shape
        for r in 0..<rows { wide.a[r * (width + 1) + width] = 1 }
        let expected = wide.reference(factor: 0.5)
        func cut(_ values: [Float], _ rows: Int) -> FloatBlock {
            FloatBlock((0..<rows).flatMap { values[$0 * (width + 1)..<$0 * (width + 1) + width] })
        }
        let (a, c) = (cut(wide.a, rows), cut(wide.c, candidates))
        let bias = FloatBlock((0..<candidates).map { wide.c[$0 * (width + 1) + width] })
        let dA = FloatBlock(count: a.count), dC = FloatBlock(count: c.count)
        let dBias = FloatBlock(count: candidates, of: 1)
        let scratch = FloatBlock(count: Contrastive.scratchCount(rows: rows, candidates: candidates))
        let loss = Contrastive.softmaxCrossEntropy(
            anchors: a.matrix(rows, width), candidates: c.matrix(candidates, width), positives: wide.positives.pinned,
            scale: 1, factor: 0.5, weight: 3, bias: bias.pointer, dAnchors: dA.matrix(rows, width),
            dCandidates: dC.matrix(candidates, width), dBias: dBias.pointer, scratch: scratch.pointer)
        #expect(abs(loss - expected.loss) <= 2e-6 * max(1, expected.loss))
        for (got, wanted, count) in [(dA, expected.dA, rows), (dC, expected.dC, candidates)] {
            let wanted = (0..<count).flatMap { wanted[$0 * (width + 1)..<$0 * (width + 1) + width] }
            #expect(relativeDifference(got.values, wanted.map { 3 * $0 }) < 1e-5)
        }
        let wanted = (0..<candidates).map { 3 * expected.dC[$0 * (width + 1) + width] + 1 }
        #expect(largestDifference(dBias.values, wanted) < 1e-5)
    }

    /// Blocks of any length, in any order, give what all candidates together give.
    @Test(arguments: [(3, 5, 7), (514, 260, 16), (7, 9000, 8), (513, 4100, 4)])
    func blocksAreTheWhole(shape: (Int, Int, Int)) {
        let p = Problem(rows: shape.0, candidates: shape.1, width: shape.2)
        let whole = p.run(factor: 0.5)
        let (a, c) = (FloatBlock(p.a), FloatBlock(p.c))
        let (dA, dC) = (FloatBlock(count: a.count, of: 0), FloatBlock(count: c.count, of: 0))
        let scratch = FloatBlock(count: ContrastiveBlocks.scratchCount(rows: p.rows, candidates: p.candidates))
        let cuts = [0, 1, p.candidates / 20, p.candidates - 1, p.candidates].sorted()
        let parts = zip(cuts, cuts.dropFirst()).map { $0..<$1 }.reversed().map { range in
            (range, p.positives.map { range.contains(Int($0)) ? $0 - Int32(range.lowerBound) : -1 })
        }
        let blocks = ContrastiveBlocks(
            anchors: a.matrix(p.rows, p.width), scale: p.scale, factor: 0.5, scratch: scratch.pointer)
        for (range, positives) in parts {
            blocks.fold(c.matrix(p.candidates, p.width).rows(range), positives: positives.pinned)
        }
        #expect(abs(blocks.loss() - whole.loss) <= 2e-6 * max(1, whole.loss))
        for (range, positives) in parts {
            blocks.addGradient(
                c.matrix(p.candidates, p.width).rows(range), positives: positives.pinned,
                to: dA.matrix(p.rows, p.width), dC.matrix(p.candidates, p.width).rows(range))
        }
        #expect(relativeDifference(dA.values, whole.dA.map(Double.init)) < 1e-5)
        #expect(relativeDifference(dC.values, whole.dC.map(Double.init)) < 1e-5)
    }

    @Test func extremeScores() {
        var p = Problem(rows: 4, candidates: 6, width: 2)
        p.scale = 1
        p.a = [100, 0, 100, 0, 1, 0, 0, 0]
        // Scores of row 0: 1000, -1000 ...; its positive wins or loses by thousands.
        p.c = [10, 0, -10, 0, 0, 1, 0.5, 0.5, -1, 2, 0, 0]
        let expected = p.reference(factor: 1)
        let got = p.run(factor: 1)
        #expect(got.loss.isFinite)
        #expect(abs(got.loss - expected.loss) <= 1e-6 * max(1, abs(expected.loss)))
        #expect(largestDifference(got.dA, expected.dA) < 1e-4)
    }

    @Test func aTinyLossKeepsItsDigits() {
        // Two candidates, the positive ahead by 30: log1p(exp(-30)) = 9.36e-14, which fp32 logsumexp would call zero.
        var p = Problem(rows: 1, candidates: 2, width: 1)
        p.scale = 1
        p.a = [1]
        p.c = p.positives[0] == 0 ? [30, 0] : [0, 30]
        let got = p.run(factor: 1)
        #expect(abs(got.loss - 9.357622968839299e-14) < 1e-19)
    }

    @Test func finiteDifferences() {
        let p = Problem(rows: 6, candidates: 11, width: 5)
        let got = p.run(factor: 0.25)
        let gapA = gradientGap(at: p.a, gradient: got.dA, step: 1e-3) {
            var q = p
            q.a = $0
            return q.reference(factor: 0.25).loss
        }
        let gapC = gradientGap(at: p.c, gradient: got.dC, step: 1e-3) {
            var q = p
            q.c = $0
            return q.reference(factor: 0.25).loss
        }
        #expect(gapA < 1e-3 && gapC < 1e-3)
    }

    @Test func threadsChangeNothing() {
        let p = Problem(rows: 40, candidates: 5000, width: 16)
        // Kernels of OpenBLAS for old processors, which it also takes for those it does not know, do depend on threads.
        let one = withGemm(.tutti) { p.run(factor: 0.5) }
        let two = withGemm(.tutti) { withCompute(threads: 2) { p.run(factor: 0.5) } }
        #expect(one.loss == two.loss && one.dA == two.dA && one.dC == two.dC)
    }
}
