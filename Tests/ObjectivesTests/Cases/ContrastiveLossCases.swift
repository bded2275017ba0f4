// Cases of the contrastive losses for the laws of LossLawTests.

import TuttiObjectives

extension LossCase {
    static let contrastive: [LossCase] = [
        LossCase("MultipleNegativesRankingLoss", columns: 3),
        LossCase(
            "MultipleNegativesRankingLoss", ["similarity_fct": .string("dot_score"), "scale": .int(1)], columns: 4),
        LossCase("CachedMultipleNegativesRankingLoss", ["mini_batch_size": .int(2)], columns: 2),
    ]
}
