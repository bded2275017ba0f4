// Cases of the pair losses for the laws of LossLawTests.

import TuttiGround
import TuttiObjectives

extension LossCase {
    static let pair: [LossCase] = scoredPairs + labelledPairs + teachers

    /// Losses of pairs with a score.
    private static let scoredPairs: [LossCase] = [
        perRow("CosineSimilarityLoss", columns: 2, labels: .scores),
        perRow("CosineSimilarityLoss", ["loss_fct": .string("L1Loss")], columns: 2, labels: .scores),
        perRow(
            "CosineSimilarityLoss",
            ["loss_fct": .string("BCELoss"), "cos_score_transformation": .string("Sigmoid")], columns: 2,
            labels: .scores),
        perRow(
            "CosineSimilarityLoss",
            ["loss_fct": .string("BCEWithLogitsLoss"), "cos_score_transformation": .string("Sigmoid")], columns: 2,
            labels: .scores),
        perRow(
            "CosineSimilarityLoss", ["cos_score_transformation": .string("Sigmoid")], columns: 2, labels: .scores),
        LossCase("CoSENTLoss", columns: 2, labels: .scores),
        LossCase(
            "CoSENTLoss", ["similarity_fct": .string("pairwise_dot_score"), "scale": .number(0.3)], columns: 2,
            labels: .scores),
        LossCase(
            "CoSENTLoss", ["similarity_fct": .string("pairwise_euclidean_sim"), "scale": .number(1)], columns: 2,
            labels: .scores),
        LossCase(
            "CoSENTLoss", ["similarity_fct": .string("pairwise_manhattan_sim"), "scale": .number(0.5)], columns: 2,
            labels: .scores
        ).with { $0.step = 2e-3 },
        LossCase(
            "CoSENTLoss", ["similarity_fct": .string("pairwise_angle_sim")], columns: 2, labels: .scores
        ).with { $0.step = 2e-3 },
        LossCase("AnglELoss", ["scale": .number(5)], columns: 2, labels: .scores).with { $0.step = 2e-3 },
        LossCase("AnglELoss", ["scale": .number(5)], columns: 4).with { $0.step = 2e-3 },
        LossCase("AnglELoss", ["scale": .number(5)], columns: 3, labels: .scores).with {
            $0.width = 7
            $0.step = 2e-3
        },
    ]

    /// Losses of pairs that are alike or not, or of a class. What OnlineContrastiveLoss exchanges are thresholds, which
    /// have no gradient.
    private static let labelledPairs: [LossCase] = [
        perRow("ContrastiveLoss", columns: 2, labels: .binary),
        perRow(
            "ContrastiveLoss", ["distance_metric": .string("EUCLIDEAN"), "margin": .number(3)], columns: 2,
            labels: .binary),
        perRow(
            "ContrastiveLoss",
            ["distance_metric": .string("MANHATTAN"), "margin": .number(6), "size_average": .bool(false)], columns: 2,
            labels: .scores
        ).with { $0.step = 2e-3 },
        perRow("OnlineContrastiveLoss", ["margin": .number(1.5)], columns: 2, labels: .binary),
        perRow(
            "OnlineContrastiveLoss", ["distance_metric": .string("EUCLIDEAN"), "margin": .number(3)], columns: 2,
            labels: .binary
        ).with { $0.step = 2e-3 },
        perRow(
            "OnlineContrastiveLoss", ["distance_metric": .string("MANHATTAN"), "margin": .number(8)], columns: 2,
            labels: .binary
        ).with { $0.step = 2e-3 },
        perRow("SoftmaxLoss", ["num_labels": .integer(3)], columns: 2, labels: .classes(3)).with { $0.step = 2e-3 },
        perRow(
            "SoftmaxLoss",
            [
                "num_labels": .integer(4), "concatenation_sent_rep": .bool(false),
                "concatenation_sent_multiplication": .bool(true), "embedding_dimension": .integer(8),
            ], columns: 2, labels: .classes(4)
        ).with { $0.step = 2e-3 },
    ]

    /// Losses that follow a teacher.
    private static let teachers: [LossCase] = [
        perRow("MSELoss", columns: 1, labels: .lists(8)),
        perRow("MSELoss", ["projection_dim": .integer(5)], columns: 3, labels: .lists(5)),
        perRow("EmbedDistillLoss", columns: 2, labels: .lists(16)),
        perRow(
            "EmbedDistillLoss", ["distance_metric": .string("l2"), "projection_dim": .integer(3)], columns: 2,
            labels: .lists(6)),
        perRow("EmbedDistillLoss", ["distance_metric": .string("mse")], columns: 2, labels: .lists(8)),
        perRow("MarginMSELoss", columns: 3, labels: .scores),
        perRow("MarginMSELoss", ["similarity_fct": .string("pairwise_cos_sim")], columns: 4, labels: .lists(3)),
        perRow("MarginMSELoss", ["similarity_fct": .string("pairwise_euclidean_sim")], columns: 4, labels: .lists(2)),
        perRow("DistillKLDivLoss", columns: 4, labels: .lists(3)),
        perRow(
            "DistillKLDivLoss",
            [
                "similarity_fct": .string("pairwise_cos_sim"), "temperature": .number(2),
                "student_temperature": .number(0.5), "teacher_temperature": .number(0.7),
            ], columns: 3, labels: .lists(2)),
    ]

    /// A case of a loss whose rows do not meet.
    static func perRow(
        _ name: String, _ options: JSONObject = [:], columns: Int, labels: Labels = .none
    ) -> LossCase {
        LossCase(name, options, columns: columns, labels: labels).with { $0.looksAcrossRows = false }
    }
}
