// Cases of the losses around other losses for the laws of LossLawTests.

import TuttiObjectives

extension LossCase {
    private static let ranking = LossOption.loss(
        LossSpecification(name: "MultipleNegativesRankingLoss", options: ["scale": .double(7)]))

    static let wrapper: [LossCase] = [
        LossCase("MatryoshkaLoss", ["loss": ranking, "matryoshka_dims": .list([.int(4), .int(8), .int(2)])], columns: 3),
        LossCase(
            "MatryoshkaLoss",
            [
                "loss": ranking, "matryoshka_dims": .list([.int(3), .int(8), .int(6)]),
                "matryoshka_weights": .list([.double(0.5), .double(2), .int(1)]), "n_dims_per_step": .int(2),
            ], columns: 2),
        LossCase(
            "AdaptiveLayerLoss",
            [
                "loss": ranking, "n_layers_per_step": .int(-1), "last_layer_weight": .double(0.5),
                "prior_layers_weight": .double(1.5), "kl_div_weight": .double(0.7), "kl_temperature": .double(0.8),
                "layer_weighting": .string("log"),
            ], columns: 2
        ).with { $0.layers = 4; $0.lastLayerIsTarget = true },
        LossCase(
            "AdaptiveLayerLoss",
            [
                "loss": ranking, "n_layers_per_step": .int(2), "layer_weighting": .string("linear"),
                "kl_temperature": .double(1.2),
            ], columns: 3
        ).with { $0.layers = 3; $0.modelLayers = 5; $0.lastLayerIsTarget = true },
        LossCase("AdaptiveLayerLoss", ["loss": ranking, "kl_temperature": .double(0)], columns: 2)
            .with { $0.layers = 2; $0.modelLayers = 4 },
        LossCase(
            "Matryoshka2dLoss",
            [
                "loss": ranking, "matryoshka_dims": .list([.int(8), .int(5)]), "n_layers_per_step": .int(1),
                "n_dims_per_step": .int(-1), "kl_temperature": .double(0.9),
            ], columns: 2
        ).with { $0.layers = 2; $0.modelLayers = 3; $0.lastLayerIsTarget = true },
        LossCase(
            "Sum",
            [
                "losses": .list([
                    ranking,
                    .loss(
                        LossSpecification(
                            name: "MatryoshkaLoss", options: ["loss": ranking, "matryoshka_dims": .list([.int(4)])])),
                ]), "weights": .list([.double(2), .double(0.5)]),
            ], columns: 2),
    ]
}
