// The triplet losses against all triplets in plain loops, and where there are no positives, negatives or pairs.

import Foundation
import TestSupport
import Testing
import TuttiGround
import TuttiObjectives

@Suite struct TripletLossTests {
    private func isNear(_ value: Double, _ wanted: Double) -> Bool { abs(value - wanted) <= 2e-6 * max(1, abs(wanted)) }

    /// The negative is twice as far as the positive: 5 and 10, or 7 and 14. With the wrong sign, the shortfalls would
    /// be larger than the margin.
    @Test func nearerIsBetter() throws {
        let triplet = SmallBatch([[[0, 0]], [[3, 4]], [[6, 8]]])
        func value(_ metric: String, _ margin: Int) throws -> Double {
            let options: JSONObject = ["distance_metric": .string(metric), "triplet_margin": .integer(Int64(margin))]
            return try triplet.evaluate("TripletLoss", options).value
        }
        for (metric, difference) in [("EUCLIDEAN", 5), ("MANHATTAN", 7)] {
            #expect(try value(metric, difference) == 0)
            #expect(try isNear(value(metric, difference + 1), 1))
        }
        let angles = SmallBatch([[[1, 0]], [[2, 0]], [[0, 1]]])
        let options: JSONObject = ["distance_metric": .string("COSINE"), "triplet_margin": .number(1.5)]
        #expect(try isNear(angles.evaluate("TripletLoss", options).value, 0.5))
    }

    @Test func noSlopeAtDistanceZero() throws {
        for name in ["EUCLIDEAN", "MANHATTAN", "COSINE"] {
            let same = SmallBatch([[[1, 2]], [[1, 2]], [[1, 2]]])
            let found = try same.evaluate("TripletLoss", ["distance_metric": .string(name)])
            #expect(isNear(found.value, 5) && found.gradient.allSatisfy { abs($0) <= 1e-6 }, "\(name)")
        }
    }

    // MARK: Classes of a batch

    private static let names = [
        "BatchHardTripletLoss", "BatchHardSoftMarginTripletLoss", "BatchAllTripletLoss", "BatchSemiHardTripletLoss",
    ]

    /// What the reference defines, by all triplets, in fp64.
    private func wanted(_ name: String, _ rows: [[Double]], _ classes: [Float], cosine: Bool, margin: Double) -> Double
    {
        func distance(_ i: Int, _ j: Int) -> Double {
            let (a, b) = (rows[i], rows[j])
            func dot(_ a: [Double], _ b: [Double]) -> Double { zip(a, b).reduce(0) { $0 + $1.0 * $1.1 } }
            if cosine { return i == j ? 0 : 1 - dot(a, b) / (dot(a, a) * dot(b, b)).squareRoot() }
            let difference = zip(a, b).map { $0 - $1 }
            return dot(difference, difference).squareRoot()
        }
        var (sum, count) = (0.0, 0)
        for i in rows.indices {
            let all = rows.indices.map { distance(i, $0) }
            let positives = rows.indices.filter { $0 != i && classes[$0] == classes[i] }.map { all[$0] }
            let negatives = rows.indices.filter { classes[$0] != classes[i] }.map { all[$0] }
            let hardest = (positives.max() ?? 0) - (negatives.min() ?? all.max() ?? 0)
            switch name {
            case "BatchHardTripletLoss": (sum, count) = (sum + max(0, hardest + margin), count + 1)
            case "BatchHardSoftMarginTripletLoss": (sum, count) = (sum + log(1 + exp(hardest)), count + 1)
            case "BatchAllTripletLoss":
                for p in positives { for n in negatives where p - n + margin > 0 { sum += p - n + margin; count += 1 } }
            default:
                for p in positives {
                    let negative = negatives.filter { $0 > p }.min() ?? negatives.max() ?? 0
                    (sum, count) = (sum + max(0, p - negative + margin), count + 1)
                }
            }
        }
        return count == 0 ? 0 : sum / Double(count)
    }

    private func check(_ rows: [[Float]], _ classes: [Float], margin: Double, _ note: String) throws {
        for name in Self.names {
            for cosine in [false, true] {
                var options: JSONObject = [:]
                if cosine { options["distance_metric"] = .string("cosine_distance") }
                if !name.contains("Soft") { options["margin"] = .number(margin) }
                let found = try SmallBatch([rows], labels: classes).evaluate(name, options)
                let wanted = wanted(name, rows.map { $0.map(Double.init) }, classes, cosine: cosine, margin: margin)
                #expect(isNear(found.value, wanted), "\(name) \(note) cosine \(cosine): \(found.value), not \(wanted)")
                #expect(found.gradient.allSatisfy { $0.isFinite }, "\(name) \(note)")
            }
        }
    }

    private func random(_ count: Int) -> [[Float]] {
        var random = TinyRandom(12)
        return (0..<count).map { _ in random.floats(5) }
    }

    /// A class with one row, classes of several, and two equal texts of one class.
    @Test(arguments: [0.0, 0.3, 5]) func allTripletsInPlainLoops(_ margin: Double) throws {
        var rows = random(17)
        rows[4] = rows[1]
        try check(rows, (0..<17).map { $0 == 16 ? 9 : Float($0 % 3) }, margin: margin, "mixed")
    }

    @Test func withoutPositivesNegativesOrRows() throws {
        try check(random(6), [Float](repeating: 2, count: 6), margin: 0.3, "one class")
        try check(random(6), (0..<6).map(Float.init), margin: 0.3, "no alike pair")
        try check(random(1), [4], margin: 0.3, "one row")
        try check([], [], margin: 0.3, "no row")
    }

    /// log(1 + e^200) is infinite in fp32.
    @Test func softMarginsDoNotOverflow() throws {
        let rows: [[Float]] = [[0, 0], [300, 0], [100, 0], [1000, 0]]
        let found = try SmallBatch([rows], labels: [0, 0, 1, 1]).evaluate("BatchHardSoftMarginTripletLoss")
        #expect(isNear(found.value, (200 + 100 + 800 + 200) / 4) && found.gradient.allSatisfy(\.isFinite))
    }
}
