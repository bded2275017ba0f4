// Cases of the wrapper losses for the laws of LossLawTests.

import TuttiObjectives

extension LossCase {
    static let wrapper: [LossCase] = []
}
