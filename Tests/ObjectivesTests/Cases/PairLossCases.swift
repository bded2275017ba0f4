// Cases of the pair losses for the laws of LossLawTests.

import TuttiObjectives

extension LossCase {
    static let pair: [LossCase] = []
}
