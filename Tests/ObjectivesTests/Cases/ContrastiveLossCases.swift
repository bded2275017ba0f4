// Cases of the contrastive losses for the laws of LossLawTests.

import TuttiObjectives

extension LossCase {
    private static let allDirections = LossOption.list(
        ["query_to_doc", "query_to_query", "doc_to_query", "doc_to_doc"].map { .string($0) })
    private static let bothWays = LossOption.list([.string("query_to_doc"), .string("doc_to_query")])

    private static func ranking(_ options: [String: LossOption], columns: Int) -> LossCase {
        LossCase("MultipleNegativesRankingLoss", ["scale": .double(6)].merging(options) { $1 }, columns: columns)
    }

    private static func gist(_ options: [String: LossOption], columns: Int, cached: Bool = false) -> LossCase {
        let own: [String: LossOption] = ["guide": .string("guide"), "temperature": .double(0.2)]
        return LossCase(
            cached ? "CachedGISTEmbedLoss" : "GISTEmbedLoss", own.merging(options) { $1 }, columns: columns
        ).with { $0.hasGuide = true }
    }

    static let contrastive: [LossCase] = [
        LossCase("MultipleNegativesRankingLoss", columns: 3),
        LossCase(
            "MultipleNegativesRankingLoss", ["similarity_fct": .string("dot_score"), "scale": .int(1)], columns: 4),
        LossCase("CachedMultipleNegativesRankingLoss", ["mini_batch_size": .int(2)], columns: 2),
        ranking(["similarity_fct": .string("euclidean_sim"), "scale": .double(1.5)], columns: 3),
        ranking(["similarity_fct": .string("manhattan_sim"), "scale": .double(0.5)], columns: 2)
            .with { $0.step = 2e-3 },
        ranking(["directions": allDirections], columns: 3),
        ranking(
            ["directions": allDirections, "similarity_fct": .string("dot_score"), "scale": .double(0.7)], columns: 2),
        ranking(["directions": bothWays, "partition_mode": .string("per_direction")], columns: 4),
        ranking(["directions": bothWays], columns: 2).with { $0.rows = 5 },
        ranking(["positives": .int(2)], columns: 4),
        ranking(["positives": .int(2), "directions": allDirections], columns: 3),
        ranking(["mask_false_negatives": .string("text")], columns: 3).with { $0.repeatedRows = [1, 2, 6] },
        ranking(
            ["mask_false_negatives": .string("text"), "directions": allDirections, "positives": .int(2)], columns: 4
        ).with { $0.repeatedRows = [3, 5] },
        ranking(["ring_exchange": .bool(true)], columns: 3),
        ranking(
            ["ring_exchange": .bool(true), "similarity_fct": .string("dot_score"), "scale": .double(0.7)], columns: 2),
        LossCase("MultipleNegativesSymmetricRankingLoss", ["scale": .double(5)], columns: 3),
        LossCase(
            "CachedMultipleNegativesSymmetricRankingLoss",
            ["similarity_fct": .string("dot_score"), "scale": .double(0.8)], columns: 2),
        gist([:], columns: 2),
        gist(["margin": .double(0.2), "contrast_anchors": .bool(false)], columns: 4),
        gist(["margin_strategy": .string("relative"), "margin": .double(0.1)], columns: 3, cached: true),
        gist(["contrast_positives": .bool(false), "margin": .double(-2)], columns: 3),
        LossCase("SigmoidContrastiveLoss", columns: 2).with { $0.step = 5e-3 },
        LossCase("SigmoidContrastiveLoss", ["logit_scale": .double(4), "logit_bias": .double(-2)], columns: 4)
            .with { $0.step = 5e-3 },
        LossCase("MegaBatchMarginLoss", columns: 2).with { $0.step = 2e-3 },
        LossCase(
            "MegaBatchMarginLoss",
            [
                "positive_margin": .double(1.1), "negative_margin": .double(-0.5),
                "use_mini_batched_version": .bool(false),
            ], columns: 2
        ).with { $0.step = 2e-3 },
        LossCase("GlobalOrthogonalRegularizationLoss", columns: 3),
        LossCase(
            "GlobalOrthogonalRegularizationLoss",
            [
                "similarity_fct": .string("dot_score"), "mean_weight": .double(2),
                "second_moment_weight": .double(0.5), "aggregation": .string("sum"),
            ], columns: 2),
        LossCase(
            "GlobalOrthogonalRegularizationLoss",
            ["similarity_fct": .string("euclidean_sim"), "second_moment_weight": .double(0)], columns: 1),
    ]
}
