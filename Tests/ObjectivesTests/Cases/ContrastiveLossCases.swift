// Cases of the contrastive losses for the laws of LossLawTests.

import TuttiGround
import TuttiObjectives

extension LossCase {
    private static let allDirections = JSONValue.array(
        ["query_to_doc", "query_to_query", "doc_to_query", "doc_to_doc"].map { .string($0) })
    private static let bothWays = JSONValue.array([.string("query_to_doc"), .string("doc_to_query")])

    private static func ranking(_ options: JSONObject, columns: Int) -> LossCase {
        LossCase(
            "MultipleNegativesRankingLoss", (["scale": .number(6)] as JSONObject).merging(options), columns: columns)
    }

    private static func gist(_ options: JSONObject, columns: Int, cached: Bool = false) -> LossCase {
        let own: JSONObject = ["guide": .string("guide"), "temperature": .number(0.2)]
        return LossCase(
            cached ? "CachedGISTEmbedLoss" : "GISTEmbedLoss", own.merging(options), columns: columns
        ).with { $0.hasGuide = true }
    }

    static let contrastive: [LossCase] = [
        LossCase("MultipleNegativesRankingLoss", columns: 3),
        LossCase(
            "MultipleNegativesRankingLoss", ["similarity_fct": .string("dot_score"), "scale": .integer(1)], columns: 4),
        LossCase("CachedMultipleNegativesRankingLoss", ["mini_batch_size": .integer(2)], columns: 2),
        ranking(["similarity_fct": .string("euclidean_sim"), "scale": .number(1.5)], columns: 3),
        ranking(["similarity_fct": .string("manhattan_sim"), "scale": .number(0.5)], columns: 2)
            .with { $0.step = 2e-3 },
        ranking(["directions": allDirections], columns: 3),
        ranking(
            ["directions": allDirections, "similarity_fct": .string("dot_score"), "scale": .number(0.7)], columns: 2),
        ranking(["directions": bothWays, "partition_mode": .string("per_direction")], columns: 4),
        ranking(["directions": bothWays], columns: 2).with { $0.rows = 5 },
        ranking(["positives": .integer(2)], columns: 4),
        ranking(["positives": .integer(2), "directions": allDirections], columns: 3),
        ranking(["mask_false_negatives": .string("text")], columns: 3).with { $0.repeatedRows = [1, 2, 6] },
        ranking(
            ["mask_false_negatives": .string("text"), "directions": allDirections, "positives": .integer(2)], columns: 4
        ).with { $0.repeatedRows = [3, 5] },
        ranking(["ring_exchange": .bool(true)], columns: 3),
        ranking(
            ["ring_exchange": .bool(true), "similarity_fct": .string("dot_score"), "scale": .number(0.7)], columns: 2),
        LossCase("MultipleNegativesSymmetricRankingLoss", ["scale": .number(5)], columns: 3),
        LossCase(
            "CachedMultipleNegativesSymmetricRankingLoss",
            ["similarity_fct": .string("dot_score"), "scale": .number(0.8)], columns: 2),
        gist([:], columns: 2),
        gist(["margin": .number(0.2), "contrast_anchors": .bool(false)], columns: 4),
        gist(["margin_strategy": .string("relative"), "margin": .number(0.1)], columns: 3, cached: true),
        gist(["contrast_positives": .bool(false), "margin": .number(-2)], columns: 3),
        LossCase("SigmoidContrastiveLoss", columns: 2).with { $0.step = 5e-3 },
        LossCase("SigmoidContrastiveLoss", ["logit_scale": .number(4), "logit_bias": .number(-2)], columns: 4)
            .with { $0.step = 5e-3 },
        LossCase("MegaBatchMarginLoss", columns: 2).with { $0.step = 2e-3 },
        LossCase(
            "MegaBatchMarginLoss",
            [
                "positive_margin": .number(1.1), "negative_margin": .number(-0.5),
                "use_mini_batched_version": .bool(false),
            ], columns: 2
        ).with { $0.step = 2e-3 },
        LossCase("GlobalOrthogonalRegularizationLoss", columns: 3),
        LossCase(
            "GlobalOrthogonalRegularizationLoss",
            [
                "similarity_fct": .string("dot_score"), "mean_weight": .number(2),
                "second_moment_weight": .number(0.5), "aggregation": .string("sum"),
            ], columns: 2),
        LossCase(
            "GlobalOrthogonalRegularizationLoss",
            ["similarity_fct": .string("euclidean_sim"), "second_moment_weight": .number(0)], columns: 1),
    ]
}
