// Thresholds by hand: cuts of whole groups, cuts beside all scores, and midpoints that do not fit between scores.

import Testing
import TuttiEvaluation

@Suite struct BinaryCutsTests {
    /// The number of right predictions when `score >= threshold` (or <= for distances) means similar.
    private func accuracy(_ scores: [Float], _ labels: [Bool], _ threshold: Float, larger: Bool) -> Double {
        let right = zip(scores, labels).filter { (larger ? $0.0 >= threshold : $0.0 <= threshold) == $0.1 }
        return Double(right.count) / Double(scores.count)
    }

    private func f1(_ scores: [Float], _ labels: [Bool], _ threshold: Float, larger: Bool) -> Double {
        let predicted = scores.map { larger ? $0 >= threshold : $0 <= threshold }
        let hits = zip(predicted, labels).filter { $0.0 && $0.1 }.count
        let total = predicted.filter { $0 }.count + labels.filter { $0 }.count
        return total == 0 ? 0 : 2 * Double(hits) / Double(total)
    }

    @Test func equalScoresStayTogether() {
        let cuts = BinaryCuts(
            scores: [3, 2, 2, 2, 1], isSimilar: [true, true, false, false, true], largerIsAlike: true)
        #expect(cuts.bestAccuracy.value == 0.6 && cuts.bestAccuracy.threshold == 2.5)
        let f1 = cuts.bestF1
        #expect(abs(f1.value - 0.75) < 1e-15 && f1.precision == 0.6 && f1.recall == 1 && f1.threshold == 1)
        #expect(abs(cuts.averagePrecision - (1.0 / 3 * 1 + 1.0 / 3 * 0.5 + 1.0 / 3 * 0.6)) < 1e-15)
    }

    @Test func noPairMaySeemSimilar() {
        let larger = BinaryCuts(scores: [0.5, 0.25, 0], isSimilar: [false, false, false], largerIsAlike: true)
        #expect(larger.bestAccuracy == (1, Float(0.5).nextUp))
        #expect(larger.bestF1 == (0, 0, 0, 0, 0) && larger.averagePrecision == 0)
        let distance = BinaryCuts(scores: [0.5, 0.25, 0], isSimilar: [false, false, true], largerIsAlike: false)
        #expect(distance.bestAccuracy == (1, 0.125) && distance.bestF1 == (1, 1, 1, 0.125, 1))
    }

    /// Between neighbours there is no midpoint, and between huge scores the reference's overflows to infinity, which
    /// would call no pair similar: (2e38 + 3e38) / 2 is computed in single precision there.
    @Test func midpointsStayBetweenScores() {
        let low: Float = 1
        for larger in [true, false] {
            let scores = larger ? [low.nextUp, low] : [low, low.nextUp]
            let cuts = BinaryCuts(scores: scores, isSimilar: [true, false], largerIsAlike: larger)
            #expect(accuracy(scores, [true, false], cuts.bestAccuracy.threshold, larger: larger) == 1)
        }
        let huge = BinaryCuts(scores: [3e38, 2e38], isSimilar: [true, false], largerIsAlike: true)
        #expect(huge.bestAccuracy == (1, 2.5e38) && huge.bestF1.threshold == 2.5e38)
    }

    /// Against every threshold there is, on small whole scores that tie.
    @Test(arguments: 0..<200) func noThresholdIsBetter(_ seed: Int) {
        var state = UInt64(seed) &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        func next(_ bound: UInt64) -> Int {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return Int((state >> 33) % bound)
        }
        let count = 1 + next(9)
        let scores = (0..<count).map { _ in Float(next(5)) - 2 }
        let labels = (0..<count).map { _ in next(2) == 1 }
        for larger in [true, false] {
            let cuts = BinaryCuts(scores: scores, isSimilar: labels, largerIsAlike: larger)
            let thresholds = (-7...7).map { Float($0) / 2 }
            let bestAccuracy = thresholds.map { accuracy(scores, labels, $0, larger: larger) }.max()
            #expect(cuts.bestAccuracy.value == bestAccuracy)
            #expect(accuracy(scores, labels, cuts.bestAccuracy.threshold, larger: larger) == bestAccuracy)
            let bestF1 = thresholds.map { f1(scores, labels, $0, larger: larger) }.max() ?? 0
            #expect(abs(cuts.bestF1.value - bestF1) < 1e-12)
            if labels.contains(true) {
                #expect(abs(f1(scores, labels, cuts.bestF1.threshold, larger: larger) - bestF1) < 1e-12)
            }
        }
    }
}
