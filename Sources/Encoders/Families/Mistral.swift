// Mistral (E5-Mistral, SFR-Embedding ...): Llama without biases, whose tokens may see a window of tokens only.
//
// Reference: Jiang et al. 2023, arXiv 2310.06825; transformers/models/mistral/modeling_mistral.py.

import TuttiGround
import TuttiKernels

/// The settings of model_type "mistral".
package struct Mistral: EncoderFamily, Equatable {
    package static let modelTypes = ["mistral"]
    package static let checkpointPrefixes = ["model."]
    package static let encoderClasses = ["mistral": "MistralModel"]
    package static let options = OptionList<Mistral>(
        CausalShape.options().lifted(to: \.shape) + RotarySettings.options(at: \.rotary) + [
            Option("is_causal", \.isCausal, "whether tokens see only the tokens before them"),
            Option(
                "sliding_window", \.window, "tokens that a token sees, itself included; null: all", check: .atLeast(1)),
        ])

    /// Dimensions.
    package var shape: CausalShape
    /// Its rotation.
    var rotary = RotarySettings()
    /// Whether tokens see only the tokens before them.
    package var isCausal = true
    /// Tokens that a token sees, itself included; nil = all before it.
    package var window: Int? = 4096

    package init() {
        shape = CausalShape()
        shape.keyHeads = 8
    }

    package var sizes: FamilySizes { shape.sizes }

    package func plan() throws(TuttiError) -> EncoderPlan {
        try checkOptions()
        guard isCausal || window == nil else {
            throw planError("sliding_window", "is set, where is_causal is false: such windows cannot be computed")
        }
        let rotation = try rotary.plan(
            width: shape.headWidth, theta: 10_000, positions: shape.maximumPositions)
        let span: AttentionSpan = isCausal ? window.map { .causalWindow(keys: $0) } ?? .causal : .full
        return try shape.plan(CausalShape.Style(), span: { _ in span }, rotary: { _ in rotation })
    }
}
