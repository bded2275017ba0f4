// Cases of the unsupervised losses for the laws of LossLawTests.

import TuttiObjectives

extension LossCase {
    static let unsupervised: [LossCase] = []
}
