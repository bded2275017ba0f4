// MultipleNegativesRankingLoss: the reference's numbers, finite differences, world-size invariance and its controls.

import TestSupport
import Testing
import TuttiEnsemble
import TuttiGround
import TuttiKernels
import TuttiObjectives

@Suite struct MultipleNegativesRankingLossTests {
    @Test func valuesAndGradientsAreTheReference() throws {
        let cases = try ContrastiveCase.goldens()
        #expect(cases.count == 21)
        for golden in cases {
            let (value, gradient) = try golden.evaluate()
            #expect(abs(value - golden.loss) <= 1e-5 * max(1, abs(golden.loss)), "\(golden.name): \(value)")
            // Scores of size 500 and more are off by their fp32 rounding, which the gradient sees undamped.
            let isExtreme = golden.name == "cold" || golden.name == "large scores"
            // Row by row, so that a huge gradient (of a zero vector) does not hide the others.
            let sizes = stride(from: 0, to: golden.gradient.count, by: golden.width).map { start in
                golden.gradient[start..<start + golden.width].map(abs).max() ?? 0
            }
            let typical = sizes.sorted()[sizes.count / 2]
            for row in sizes.indices {
                let range = row * golden.width..<(row + 1) * golden.width
                let difference = largestDifference(gradient[range], golden.gradient[range])
                let bound = (isExtreme ? 1e-3 : 1e-5) * max(sizes[row], typical)
                #expect(difference <= bound, "\(golden.name), row \(row): \(difference) > \(bound)")
            }
        }
    }

    @Test func gradientsAgreeWithFiniteDifferences() throws {
        for similarity in ["cos_sim", "dot_score"] {
            for columns in [2, 3, 6] {
                let start = ContrastiveCase.random(rows: 5, columns: columns, width: 6, similarity: similarity)
                let gradient = try start.evaluate().gradient
                let value = { (point: [Float]) in
                    var moved = start
                    moved.embeddings = point
                    return try moved.evaluate().value
                }
                let gap = try gradientGap(at: start.embeddings, gradient: gradient, value)
                #expect(gap <= 1e-3, "\(similarity), \(columns) columns: \(gap)")
                // Control: a gradient that forgets the candidates is far off.
                let anchorsOnly = gradient.enumerated().map { $0.offset < 5 * 6 ? $0.element : 0 }
                let wrongGap = try gradientGap(at: start.embeddings, gradient: anchorsOnly, value)
                #expect(wrongGap > 1e-2)
            }
        }
    }

    @Test func ranksEqualOneProcessHoweverRowsAreDealt() throws {
        for similarity in ["cos_sim", "dot_score"] {
            for columns in [2, 3, 6] {
                let whole = ContrastiveCase.random(rows: 11, columns: columns, width: 8, similarity: similarity)
                let one = try whole.evaluate()
                let largest = Double(one.gradient.map(abs).max() ?? 0)
                try withEvery(world: 1...4) { ensemble in
                    for own in deals(of: 11, rank: ensemble.rank, size: ensemble.size) {
                        let (part, gradient) = try whole.evaluate(own, ensemble)
                        let value = try sum(part, ensemble)
                        #expect(abs(value - one.value) <= 2e-6 * max(1, one.value))
                        let difference = largestDifference(gradient, whole.part(one.gradient, own))
                        #expect(difference <= 1e-5 * largest, "rank \(ensemble.rank) of \(ensemble.size)")
                    }
                }
            }
        }
    }

    @Test func aDroppedReduceScatterIsNoticed() throws {
        let whole = ContrastiveCase.random(rows: 8, columns: 3, width: 8, similarity: "cos_sim")
        let one = try whole.evaluate()
        let gaps = try LocalEnsemble.run(world: 2) { ensemble in
            let own = deals(of: 8, rank: ensemble.rank, size: 2)[0]
            let gradient = try whole.evaluate(own, WithoutReduceScatter(ensemble)).gradient
            return relativeDifference(gradient, whole.part(one.gradient, own))
        }
        #expect(gaps.allSatisfy { $0 > 1e-2 })
    }

    @Test func withoutGatherEachRankUsesItsOwnCandidates() throws {
        let whole = ContrastiveCase.random(rows: 9, columns: 3, width: 8, similarity: "cos_sim")
        try withEvery(world: 1...3) { ensemble in
            let own = deals(of: 9, rank: ensemble.rank, size: ensemble.size)[0]
            let (value, gradient) = try whole.evaluate(own, ensemble, loss: whole.makeLoss(gather: false))
            var alone = whole
            (alone.rows, alone.embeddings) = (own.count, whole.part(whole.embeddings, own))
            let (mean, meanGradient) = try alone.evaluate()
            let share = Double(own.count) / 9
            #expect(abs(value - share * mean) <= 1e-6)
            #expect(relativeDifference(gradient, meanGradient.map { Double($0) * share }) <= 1e-5)
        }
    }

    @Test func largeScoresStayFinite() throws {
        var hot = ContrastiveCase.random(rows: 6, columns: 3, width: 8, similarity: "dot_score")
        hot.embeddings = hot.embeddings.map { $0 * 200 }
        let (value, gradient) = try hot.evaluate()
        #expect(value.isFinite && value > 100)
        #expect(gradient.allSatisfy(\.isFinite) && gradient.contains { $0 != 0 })
        // Anchors and positives are unit vectors times 5: the right answer wins by 25, the loss is tiny but not zero.
        var won = hot
        won.embeddings = (0..<18 * 8).map { $0 < 12 * 8 && $0 / 8 % 6 == $0 % 8 ? 5 : 0 }
        let tiny = try won.evaluate().value
        #expect(tiny > 1e-11 && tiny < 1e-9)
    }

    @Test func aReusedLossForgetsEarlierBatches() throws {
        let loss = try ContrastiveCase.random(rows: 1, columns: 2, width: 4, similarity: "cos_sim").makeLoss()
        for rows in [3, 40, 1, 17, 40] {
            let batch = ContrastiveCase.random(rows: rows, columns: 3, width: 8, similarity: "cos_sim")
            let (fresh, reused) = (try batch.evaluate(), try batch.evaluate(loss: loss))
            #expect(fresh.value == reused.value && fresh.gradient == reused.gradient)
        }
    }

    @Test func oneColumnIsRefused() throws {
        let batch = ContrastiveCase.random(rows: 4, columns: 1, width: 8, similarity: "cos_sim")
        #expect(throws: TuttiError.self) { try batch.evaluate() }
    }
}

private func sum(_ value: Double, _ ensemble: any Ensemble) throws -> Double {
    var values = [value]
    try values.withUnsafeMutableBufferPointer { try ensemble.allReduceSum($0) }
    return values[0]
}

/// An ensemble whose reduce-scatter keeps the own slice: the usual error of hand-written gathers.
final class WithoutReduceScatter: PassingEnsemble, @unchecked Sendable {
    let whole: any Ensemble
    init(_ whole: any Ensemble) { self.whole = whole }
    func reduceScatterSum(
        _ send: UnsafeBufferPointer<Float>, counts: UnsafeBufferPointer<Int>, into: UnsafeMutableBufferPointer<Float>
    ) throws {
        let start = counts[..<rank].reduce(0, +)
        for index in 0..<counts[rank] { into[index] = send[start + index] }
    }
}
