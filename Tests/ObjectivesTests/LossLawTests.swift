// Laws that hold for every registered loss, enumerated from the cases: gradients are derivatives, the number of ranks
// does not matter, weights weigh, and a dropped exchange is noticed.

import TestSupport
import Testing
import TuttiEnsemble
import TuttiKernels
import TuttiObjectives

extension LossCase {
    static let all: [LossCase] = contrastive + pair + triplet + unsupervised + wrapper
}

@Suite struct LossLawTests {
    /// Losses without a case here, with the reason.
    private static let elsewhere: [String: String] = [:]

    @Test func everyLossHasACase() {
        let covered = Set(LossCase.all.map(\.specification.name)).union(Self.elsewhere.keys)
        #expect(LossRegistry.all.map(\.name).filter { !covered.contains($0) } == [])
    }

    /// The harness gives what the losses ask for.
    @Test(arguments: LossCase.all)
    func aCaseFitsItsLoss(_ example: LossCase) throws {
        let loss = try example.make()
        let needs = loss.requirements
        #expect((needs.texts[.twin] != nil) == example.hasTwin && needs.guides.isEmpty != example.hasGuide)
        #expect((needs.decoder != nil) == example.hasDecoder)
        if needs.needsLayers {
            let count = example.setting.layers
            #expect(loss.layers(of: count, draw: LossDraw(seed: 3, step: 2)).count == example.layers)
        }
        try loss.check(example.setting)
    }

    @Test(arguments: LossCase.all)
    func gradientsAreDerivatives(_ example: LossCase) throws {
        let point = try example.point()
        let one = LocalEnsemble.single()
        let outcome = try example.evaluate(point, rows: 0..<example.rows, one)
        #expect(
            outcome.value.isFinite && abs(outcome.value) > 1e-3, "a loss near zero proves nothing: \(outcome.value)")
        func gap(
            _ path: WritableKeyPath<LossPoint, [Float]>, _ gradient: [Float], upTo end: Int? = nil
        ) throws -> Double {
            let (all, end) = (point[keyPath: path], end ?? gradient.count)
            return try gradientGap(
                at: Array(all[..<end]), gradient: Array(gradient[..<end]), step: example.step
            ) {
                var moved = point
                moved[keyPath: path] = $0 + all[end...]
                return try example.evaluate(moved, rows: 0..<example.rows, one, wantsGradients: false).value
            }
        }
        let held = example.lastLayerIsTarget ? outcome.gradient.count / example.layers : 0
        #expect(try gap(\.embeddings, outcome.gradient, upTo: outcome.gradient.count - held) <= 1e-3)
        if !outcome.twin.isEmpty { #expect(try gap(\.twin, outcome.twin) <= 1e-3) }
        if !outcome.parameters.isEmpty { #expect(try gap(\.parameters, outcome.parameters) <= 1e-3) }
    }

    @Test(arguments: LossCase.all)
    func theNumberOfRanksDoesNotMatter(_ example: LossCase) throws {
        let point = try example.point()
        let whole = try example.evaluate(point, rows: 0..<example.rows, LocalEnsemble.single())
        for world in 2...4 {
            for deal in 0..<4 {
                let gaps = try LocalEnsemble.run(world: world) { ensemble in
                    let own = deals(of: example.rows, rank: ensemble.rank, size: world)[deal]
                    return try self.gap(example, point, whole, own, ensemble, over: ensemble)
                }
                for gap in gaps {
                    #expect(gap.value <= 2e-6 && gap.gradient <= 1e-5, "W = \(world), deal \(deal): \(gap)")
                }
            }
        }
    }

    @Test(arguments: LossCase.all.filter(\.looksAcrossRows))
    func aDroppedExchangeIsNoticed(_ example: LossCase) throws {
        let point = try example.point()
        let whole = try example.evaluate(point, rows: 0..<example.rows, LocalEnsemble.single())
        let gaps = try LocalEnsemble.run(world: 2) { ensemble in
            let own = deals(of: example.rows, rank: ensemble.rank, size: 2)[0]
            return try self.gap(example, point, whole, own, WithoutExchange(ensemble), over: ensemble)
        }
        #expect(gaps.contains { $0.gradient > 1e-3 || $0.value > 1e-3 }, "\(gaps)")
    }

    @Test(arguments: LossCase.all)
    func weightsWeighGradientsAndNotValues(_ example: LossCase) throws {
        let point = try example.point()
        let (one, rows) = (LocalEnsemble.single(), 0..<example.rows)
        let loss = try example.make()
        let plain = try example.evaluate(point, rows: rows, one, reusing: loss)
        let again = try example.evaluate(point, rows: rows, one, weight: 0.25, reusing: loss)
        let only = try example.evaluate(point, rows: rows, one, wantsGradients: false, reusing: loss)
        #expect(again.value == plain.value && only.value == plain.value && plain.parts == only.parts)
        let expected = [plain.gradient, plain.twin, plain.parameters].map { $0.map { Double($0) * 0.25 } }
        for (weighted, wanted) in zip([again.gradient, again.twin, again.parameters], expected) where !wanted.isEmpty {
            #expect(relativeDifference(weighted, wanted) <= 1e-5)
        }
    }

    /// How far a rank's outcome is from its part of the whole, relative to the largest number.
    private func gap(
        _ example: LossCase, _ point: LossPoint, _ whole: LossOutcome, _ own: Range<Int>, _ used: any Ensemble,
        over ensemble: any Ensemble
    ) throws -> (value: Double, gradient: Double) {
        let part = try example.evaluate(point, rows: own, used)
        var value = [part.value]
        try value.withUnsafeMutableBufferPointer { try ensemble.allReduceSum($0) }
        var parameters = part.parameters
        if !parameters.isEmpty { try parameters.withUnsafeMutableBufferPointer { try ensemble.allReduceSum($0) } }
        let columns = try example.encoded
        func rows(_ values: [Float], blocks: Int) -> [Double] {
            (0..<blocks).flatMap { block -> [Double] in
                let (first, end) = (block * example.rows + own.lowerBound, block * example.rows + own.upperBound)
                return values[first * example.width..<end * example.width].map(Double.init)
            }
        }
        let pairs: [([Float], [Double], [Float])] = [
            (part.gradient, rows(whole.gradient, blocks: example.layers * columns), whole.gradient),
            (part.twin, whole.twin.isEmpty ? [] : rows(whole.twin, blocks: columns), whole.twin),
            (parameters, whole.parameters.map(Double.init), whole.parameters),
        ]
        var largest = 0.0
        for (mine, wanted, all) in pairs {
            let scale = max(all.map { Double(abs($0)) }.max() ?? 0, 1e-12)
            for (a, b) in zip(mine, wanted) {
                let difference = abs(Double(a) - b) / scale
                largest = difference.isNaN ? .infinity : max(largest, difference)
            }
            #expect(mine.count == wanted.count)
        }
        return (abs(value[0] - whole.value) / max(1, abs(whole.value)), largest)
    }
}

/// An ensemble whose ranks see each other's rows and never each other's gradients or sums.
private final class WithoutExchange: PassingEnsemble, @unchecked Sendable {
    let whole: any Ensemble
    init(_ whole: any Ensemble) { self.whole = whole }
    func allReduceSum(_ values: UnsafeMutableBufferPointer<Float>) throws {}
    func reduceScatterSum(
        _ send: UnsafeBufferPointer<Float>, counts: UnsafeBufferPointer<Int>, into: UnsafeMutableBufferPointer<Float>
    ) throws {
        let start = counts[..<rank].reduce(0, +)
        for index in 0..<counts[rank] { into[index] = send[start + index] }
    }
    func rotate(_ own: UnsafeRawBufferPointer, into: UnsafeMutableRawBufferPointer) throws {
        into.copyMemory(from: own)
    }
}
