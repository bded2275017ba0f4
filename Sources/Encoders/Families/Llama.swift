// Llama: causal attention with grouped heads and rotary positions.
//
// Reference: Touvron et al. 2023, arXiv 2302.13971; transformers/models/llama/modeling_llama.py.

import TuttiGround
import TuttiKernels

/// The settings of model_type "llama".
package struct Llama: EncoderFamily, Equatable {
    package static let modelTypes = ["llama"]
    package static let checkpointPrefixes = ["model."]
    package static let encoderClasses = ["llama": "LlamaModel"]
    package static let options = OptionList<Llama>(
        CausalShape.options().lifted(to: \.shape) + RotarySettings.options(at: \.rotary) + [
            Option("is_causal", \.isCausal, "whether tokens see only the tokens before them"),
            Option("attention_bias", \.attentionBias, "whether the attention's linear layers have biases"),
            Option("mlp_bias", \.innerBias, "whether the feed-forward's linear layers have biases"),
        ])

    /// Dimensions.
    package var shape = CausalShape()
    /// Its rotation.
    var rotary = RotarySettings()
    /// Whether tokens see only the tokens before them.
    package var isCausal = true
    /// Whether there are biases in the attention.
    package var attentionBias = false
    /// Whether there are biases in the feed-forward branch.
    package var innerBias = false

    package init() {}

    package var sizes: FamilySizes { shape.sizes }

    package func plan() throws(TuttiError) -> EncoderPlan {
        try checkOptions()
        let rotation = try rotary.plan(
            width: shape.headWidth, theta: 10_000, positions: shape.maximumPositions)
        let style = CausalShape.Style(
            projectionBias: attentionBias, outputBias: attentionBias, innerBias: innerBias)
        return try shape.plan(style, span: { _ in isCausal ? .causal : .full }, rotary: { _ in rotation })
    }
}
