// Matryoshka2dLoss: fewer layers and fewer dimensions at once.

import TuttiGround

/// `AdaptiveLayerLoss` around `MatryoshkaLoss`, by default with one lower layer and one width per step.
///
/// **When to use it**: when users of the model will both run fewer layers and shorten embeddings.
///
/// **Inputs**: those of the inner loss.
///
/// **Options**: those of both, with n_dims_per_step 1 by default, as in the paper; widths are sampled separately at each
/// layer.
///
/// **Citation**: Li et al. 2024, "2D Matryoshka Sentence Embeddings", arXiv 2402.14776. **Reference**:
/// sentence_transformers, losses/matryoshka_2d.py.
package final class Matryoshka2dLoss: Loss {
    /// "Matryoshka2dLoss".
    package static let name = "Matryoshka2dLoss"

    /// Its options.
    struct Settings: LossSettings {
        var loss = LossSpecification(name: "")
        var widths = MatryoshkaLoss.Widths()
        var widthsPerStep = 1
        var layers = AdaptiveLayerLoss.Settings()

        static let options = OptionList<Settings>(
            [Option("loss", \.loss, "the inner loss", isRequired: true)]
                + MatryoshkaLoss.Widths.options.map { $0.lifted(to: \.widths) }
                + [Option("n_dims_per_step", \.widthsPerStep, "widths sampled at each layer; all if not positive")]
                + AdaptiveLayerLoss.Settings.options.map { $0.lifted(to: \.layers) })
    }

    private let inner: ConfiguredLoss
    private let widths: MatryoshkaLoss
    private let layersLoss: AdaptiveLayerLoss
    private let settings: AdaptiveLayerLoss.Settings

    /// Wraps a loss.
    ///
    /// - Throws: `TuttiError` for widths that are not positive or a different number of weights.
    package init(
        _ inner: ConfiguredLoss, matryoshkaDims: [Int], matryoshkaWeights: [Double]? = nil, nDimsPerStep: Int = 1,
        _ settings: AdaptiveLayerLoss.Settings = AdaptiveLayerLoss.Settings()
    ) throws(TuttiError) {
        self.inner = inner
        self.settings = settings
        widths = try MatryoshkaLoss(
            inner, matryoshkaDims: matryoshkaDims, matryoshkaWeights: matryoshkaWeights, nDimsPerStep: nDimsPerStep)
        layersLoss = AdaptiveLayerLoss(ConfiguredLoss(widths), settings)
    }

    package var nested: [ConfiguredLoss] { [inner] }

    package var requirements: LossRequirements { layersLoss.requirements }

    /// All options of the documentation.
    package var options: [(name: String, value: JSONValue)] {
        widths.options + AdaptiveLayerLoss.Settings.options.map { ($0.name, $0.write(settings)) }
    }

    package func check(_ setting: LossSetting) throws(TuttiError) { try layersLoss.check(setting) }

    package func layers(of count: Int, draw: LossDraw) -> [Int] { layersLoss.layers(of: count, draw: draw) }

    /// This rank's part of the sum over layers and widths. Collective.
    package func evaluate(_ batch: LossBatch, gradients: LossGradients?, in context: LossContext) throws -> Double {
        try layersLoss.evaluate(batch, gradients: gradients, in: context)
    }

    /// What the registry knows of it.
    static let entry = LossEntry(
        name: name, summary: "another loss on lower layers and on leading parts of the embeddings", inputs: [],
        settings: Settings.self, citation: AdaptiveLayerLoss.citation,
        make: { settings throws(TuttiError) in
            try Matryoshka2dLoss(
                settings.loss.make(at: "loss", in: name), matryoshkaDims: settings.widths.dims,
                matryoshkaWeights: settings.widths.weights, nDimsPerStep: settings.widthsPerStep, settings.layers)
        })
}
