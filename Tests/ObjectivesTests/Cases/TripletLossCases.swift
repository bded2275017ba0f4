// Cases of the triplet losses for the laws of LossLawTests.

import TuttiObjectives

extension LossCase {
    static let triplet: [LossCase] = []
}
