// Cases of the triplet losses for the laws of LossLawTests. Steps are small: every distance is near some kink of a
// choice, and the seeds are those where none lies within a step.

import TuttiObjectives

extension LossCase {
    static let triplet: [LossCase] = [
        perRow("TripletLoss", columns: 3),
        perRow(
            "TripletLoss", ["distance_metric": .string("COSINE"), "triplet_margin": .double(1.5)], columns: 3),
        perRow(
            "TripletLoss", ["distance_metric": .string("MANHATTAN"), "triplet_margin": .double(0.5)], columns: 3
        ).with { $0.step = 2e-3 },
        ofClasses("BatchHardTripletLoss"),
        ofClasses("BatchHardTripletLoss", ["distance_metric": .string("cosine_distance"), "margin": .double(0.3)]),
        ofClasses("BatchHardSoftMarginTripletLoss"),
        ofClasses("BatchHardSoftMarginTripletLoss", ["distance_metric": .string("cosine_distance")]),
        ofClasses("BatchAllTripletLoss"),
        ofClasses("BatchAllTripletLoss", ["margin": .double(0.25)]),
        ofClasses("BatchAllTripletLoss", ["distance_metric": .string("cosine_distance"), "margin": .double(0.1)]),
        ofClasses("BatchSemiHardTripletLoss"),
        ofClasses("BatchSemiHardTripletLoss", ["margin": .double(0.25)]),
        ofClasses("BatchSemiHardTripletLoss", ["distance_metric": .string("cosine_distance"), "margin": .double(0.1)]),
    ]

    private static func ofClasses(_ name: String, _ options: [String: LossOption] = [:]) -> LossCase {
        LossCase(name, options, columns: 1, labels: .classes(3)).with { $0.step = 2e-3 }
    }
}
