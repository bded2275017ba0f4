// Cases of the losses around other losses for the laws of LossLawTests.

import TuttiGround
import TuttiObjectives

extension LossCase {
    private static let ranking = JSONValue.loss(
        LossSpecification(name: "MultipleNegativesRankingLoss", options: ["scale": .number(7)]))

    static let wrapper: [LossCase] = [
        LossCase(
            "MatryoshkaLoss", ["loss": ranking, "matryoshka_dims": .array([.integer(4), .integer(8), .integer(2)])],
            columns: 3),
        LossCase(
            "MatryoshkaLoss",
            [
                "loss": ranking, "matryoshka_dims": .array([.integer(3), .integer(8), .integer(6)]),
                "matryoshka_weights": .array([.number(0.5), .number(2), .integer(1)]), "n_dims_per_step": .integer(2),
            ], columns: 2),
        LossCase(
            "AdaptiveLayerLoss",
            [
                "loss": ranking, "n_layers_per_step": .integer(-1), "last_layer_weight": .number(0.5),
                "prior_layers_weight": .number(1.5), "kl_div_weight": .number(0.7), "kl_temperature": .number(0.8),
                "layer_weighting": .string("log"),
            ], columns: 2
        ).with {
            $0.layers = 4; $0.lastLayerIsTarget = true
        },
        LossCase(
            "AdaptiveLayerLoss",
            [
                "loss": ranking, "n_layers_per_step": .integer(2), "layer_weighting": .string("linear"),
                "kl_temperature": .number(1.2),
            ], columns: 3
        ).with {
            $0.layers = 3; $0.modelLayers = 5; $0.lastLayerIsTarget = true
        },
        LossCase("AdaptiveLayerLoss", ["loss": ranking, "kl_temperature": .number(0)], columns: 2)
            .with {
                $0.layers = 2; $0.modelLayers = 4
            },
        LossCase(
            "Matryoshka2dLoss",
            [
                "loss": ranking, "matryoshka_dims": .array([.integer(8), .integer(5)]),
                "n_layers_per_step": .integer(1),
                "n_dims_per_step": .integer(-1), "kl_temperature": .number(0.9),
            ], columns: 2
        ).with {
            $0.layers = 2; $0.modelLayers = 3; $0.lastLayerIsTarget = true
        },
        LossCase(
            "Sum",
            [
                "losses": .array([
                    ranking,
                    .loss(
                        LossSpecification(
                            name: "MatryoshkaLoss",
                            options: ["loss": ranking, "matryoshka_dims": .array([.integer(4)])])),
                ]), "weights": .array([.number(2), .number(0.5)]),
            ], columns: 2),
    ]
}
