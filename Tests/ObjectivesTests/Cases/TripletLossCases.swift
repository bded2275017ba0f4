// Cases of the triplet losses for the laws of LossLawTests. Every choice of a row is a kink: steps are small, and the
// seeds are such that none lies within a step.

import TuttiGround
import TuttiObjectives

extension LossCase {
    static let triplet: [LossCase] = [
        perRow("TripletLoss", columns: 3),
        perRow(
            "TripletLoss", ["distance_metric": .string("COSINE"), "triplet_margin": .number(1.5)], columns: 3),
        perRow(
            "TripletLoss", ["distance_metric": .string("MANHATTAN"), "triplet_margin": .number(0.5)], columns: 3
        ).with { $0.step = 2e-3 },
        ofClasses("BatchHardTripletLoss"),
        ofClasses("BatchHardTripletLoss", ["distance_metric": .string("cosine_distance"), "margin": .number(0.3)]),
        ofClasses("BatchHardSoftMarginTripletLoss"),
        ofClasses("BatchHardSoftMarginTripletLoss", ["distance_metric": .string("cosine_distance")]),
        ofClasses("BatchAllTripletLoss"),
        ofClasses("BatchAllTripletLoss", ["margin": .number(0.25)]),
        ofClasses("BatchAllTripletLoss", ["distance_metric": .string("cosine_distance"), "margin": .number(0.1)]),
        ofClasses("BatchSemiHardTripletLoss", seed: 10),
        ofClasses("BatchSemiHardTripletLoss", ["margin": .number(0.25)], seed: 12),
        ofClasses(
            "BatchSemiHardTripletLoss", ["distance_metric": .string("cosine_distance"), "margin": .number(0.1)],
            seed: 36),
    ]

    private static func ofClasses(_ name: String, _ options: JSONObject = [:], seed: UInt64 = 4) -> LossCase {
        LossCase(name, options, columns: 1, labels: .classes(3)).with { ($0.step, $0.seed) = (2e-3, seed) }
    }
}
