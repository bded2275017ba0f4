// AdaptiveLayerLoss: another loss also on lower layers of the encoder, which learn to match the last one.
//
// Legend: `L` layers in use, `D` width, `C` text columns, `b` rows on this rank, `N` of all.

import Foundation
import TuttiGround
import TuttiKernels

/// Trains a model whose upper layers can be removed: another loss at the last layer and at some lower ones, which are
/// also pulled towards the last.
///
///     loss = w_last inner(E_last) + sum over the sampled layers l of
///              w_prior u_l inner(E_l) / n  +  w_kl T KL( softmax(E_last / T) || softmax(E_l / T) )
///
/// Layer 0 is the embedding output. The softmax is over the dimensions; the divergence is the mean over all texts of
/// the global batch, and no gradient flows through its target. n is the number of sampled layers.
///
/// **When to use it**: when users of the model will run fewer layers to save time.
///
/// **Inputs**: those of the inner loss.
///
/// **Relations**: unlike the reference's, it can wrap losses that are encoded in chunks. The samples are the same on
/// all ranks.
///
/// **Citation**: Li et al. 2024, "2D Matryoshka Sentence Embeddings", arXiv 2402.14776. **Reference**:
/// sentence_transformers, losses/adaptive_layer.py.
package final class AdaptiveLayerLoss: Loss {
    /// "AdaptiveLayerLoss".
    package static let name = "AdaptiveLayerLoss"

    /// The weight of a lower layer.
    package enum Weighting: String, OptionChoice {
        case uniform, log, linear

        /// The weight of layer `l`.
        func weight(_ layer: Int) -> Double {
            switch self {
            case .uniform: return 1
            case .log: return 1 / (1 + Foundation.log(1 + Double(layer)))
            case .linear: return 1 / (1 + Double(layer))
            }
        }
    }

    /// The options other than the inner loss.
    package struct Settings: Sendable {
        /// Lower layers sampled per step; all if not positive.
        package var layersPerStep = 1
        /// Weight of the inner loss at the last layer.
        package var lastLayerWeight = 1.0
        /// Weight of the mean of the inner losses at lower layers.
        package var priorLayersWeight = 1.0
        /// Weight of each divergence.
        package var divergenceWeight = 1.0
        /// Temperature of the divergence; 0 disables it.
        package var temperature = 0.3
        /// How lower layers are weighted.
        package var weighting = Weighting.uniform

        /// The reference's defaults.
        package init() {}

        static let options: [Option<Settings>] = [
            Option("n_layers_per_step", \.layersPerStep, "lower layers sampled per step; all if not positive"),
            Option("last_layer_weight", \.lastLayerWeight, "weight of the inner loss at the last layer"),
            Option(
                "prior_layers_weight", \.priorLayersWeight, "weight of the mean of the inner losses below it"),
            Option("kl_div_weight", \.divergenceWeight, "weight of each divergence from the last layer"),
            Option(
                "kl_temperature", \.temperature, "temperature of the divergence; 0 disables it",
                check: .atLeast(0)),
            Option(
                "layer_weighting", \.weighting,
                "weight of layer l: uniform 1, log 1 / (1 + ln(1 + l)), linear 1 / (1 + l)"),
        ]
    }

    /// The options with the inner loss.
    struct OwnSettings: LossSettings {
        var loss = LossSpecification(name: "")
        var layers = Settings()

        static let options = OptionList<OwnSettings>(
            [Option("loss", \.loss, "the inner loss", isRequired: true)]
                + Settings.options.map { $0.lifted(to: \.layers) })
    }

    private let inner: ConfiguredLoss
    private let settings: Settings
    private let tape = Tape()

    /// Wraps a loss.
    package init(_ inner: ConfiguredLoss, _ settings: Settings = Settings()) {
        self.inner = inner
        self.settings = settings
    }

    package var nested: [ConfiguredLoss] { [inner] }

    package var requirements: LossRequirements {
        var requirements = LossRequirements(of: nested)
        requirements.needsLayers = true
        return requirements
    }

    /// All options of the documentation.
    package var options: [(name: String, value: JSONValue)] {
        OwnSettings(loss: LossSpecification(name: inner.name), layers: settings).listed
    }

    /// Refuses an inner loss that uses layers itself.
    package func check(_ setting: LossSetting) throws(TuttiError) {
        guard !inner.loss.requirements.needsLayers else {
            throw TuttiError.loss(
                Self.name, option: "loss", problem: "\(inner.name) already uses lower layers",
                hint: "Wrap it once.")
        }
        guard setting.layers > 0 else {
            throw TuttiError.loss(
                Self.name, problem: "the model has no layers that could be left out",
                hint: "Use the inner loss alone.")
        }
        try inner.loss.check(setting)
    }

    /// The sampled layers and the last one.
    package func layers(of count: Int, draw: LossDraw) -> [Int] {
        guard settings.layersPerStep > 0, settings.layersPerStep < count else { return Array(0...count) }
        return draw.sample(settings.layersPerStep, of: count, purpose: 1) + [count]
    }

    /// This rank's part of the sum over layers. Collective.
    package func evaluate(_ batch: LossBatch, gradients: LossGradients?, in context: LossContext) throws -> Double {
        precondition(
            batch.layerNumbers.count == batch.layers, "AdaptiveLayerLoss: \(batch.layers) layers without numbers")
        return try tape.evaluateInner(batch, gradients, context) { tape in
            let texts = batch.columns * batch.rows
            func layer(_ place: Int) -> TapeValue {  // [C * b, D]
                tape.rows(tape.embeddings, place * texts..<(place + 1) * texts)
            }
            let (last, priors) = (batch.layers - 1, batch.layers - 1)
            var total = try tape.evaluate(
                inner.loss, batch.layer(last), embeddings: layer(last), trained: tape.trained,
                weight: settings.lastLayerWeight, branch: last)
            for place in 0..<priors {
                let weight = settings.weighting.weight(batch.layerNumbers[place])
                total += try tape.evaluate(
                    inner.loss, batch.layer(place), embeddings: layer(place), trained: tape.trained,
                    weight: settings.priorLayersWeight * weight / Double(priors), branch: place)
                if settings.temperature > 0 {
                    total += tape.minimise(
                        divergence(tape, of: layer(place), from: tape.detached(layer(last))),
                        weight: settings.divergenceWeight * settings.temperature)
                }
            }
            return total
        }
    }

    /// This rank's part of the mean over texts of KL( softmax(target / T) || softmax(x / T) ).
    private func divergence(_ tape: Tape, of x: TapeValue, from target: TapeValue) -> TapeValue {
        let texts = tape.globalRows * Double(tape.batch.columns)
        let wanted = tape.logSoftmax(tape.scaled(target, by: 1 / settings.temperature))  // [C * b, D]
        let given = tape.logSoftmax(tape.scaled(x, by: 1 / settings.temperature))  // [C * b, D]
        let gaps = tape.multiply(tape.exponential(wanted), tape.subtract(wanted, given))
        return tape.sum(gaps, times: 1 / texts)
    }

    static let citation = """
        @misc{li20242d,
            title={2D Matryoshka Sentence Embeddings},
            author={Xianming Li and Zongxi Li and Jing Li and Haoran Xie and Qing Li},
            year={2024},
            eprint={2402.14776},
            archivePrefix={arXiv},
            primaryClass={cs.CL}
        }
        """

    /// What the registry knows of it.
    static let entry = LossEntry(
        name: name, summary: "another loss also on lower layers, so that the upper ones can be removed", inputs: [],
        settings: OwnSettings.self, citation: citation,
        make: { settings throws(TuttiError) in
            AdaptiveLayerLoss(try settings.loss.make(at: "loss", in: name), settings.layers)
        })
}
