// Qwen2 (gte-Qwen2, stella 1.5B) and Qwen3 (Qwen3-Embedding): Llama with biases of queries, keys and values, or with norms
// of queries and keys; upper layers may see a window of tokens only.
//
// Reference: Yang et al. 2024, arXiv 2407.10671, and 2025, arXiv 2505.09388; transformers/models/qwen2, qwen3.

import TuttiGround
import TuttiKernels

/// What both generations have.
struct QwenSettings: Sendable, Equatable {
    /// Dimensions.
    var shape = CausalShape()
    /// The rotation.
    var rotary = RotarySettings()
    /// Whether tokens see only the tokens before them.
    var isCausal = true
    /// Whether windows are used at all.
    var usesWindow = false
    /// Tokens that a token of a sliding layer sees, itself included.
    var window: Int? = 4096
    /// Layers below, which see all tokens.
    var layersWithoutWindow = 28
    /// The kinds of the layers, where the file lists them.
    var kinds: [LayerKind]?

    static let options = OptionList<QwenSettings>(
        CausalShape.options().lifted(to: \.shape) + RotarySettings.options(at: \.rotary) + [
            Option("is_causal", \.isCausal, "whether tokens see only the tokens before them"),
            Option("use_sliding_window", \.usesWindow, "whether upper layers see a window of tokens only"),
            Option("sliding_window", \.window, "tokens of the window, the token itself included", check: .atLeast(1)),
            Option("max_window_layers", \.layersWithoutWindow, "layers from the lowest on that see all tokens"),
            Option("layer_types", \.kinds, "kinds of the layers, in place of max_window_layers"),
        ])

    /// The encoder in a generation's style.
    func plan(_ style: CausalShape.Style) throws(TuttiError) -> EncoderPlan {
        try kinds?.check(layers: shape.layers)
        let window = usesWindow ? window : nil
        func isSliding(_ layer: Int) -> Bool {
            kinds.map { $0[layer] == .sliding } ?? (window != nil && layer >= layersWithoutWindow)
        }
        if (0..<shape.layers).contains(where: isSliding) {
            guard window != nil else {
                throw planError("layer_types", "has sliding layers, where there is no sliding_window in use")
            }
            guard isCausal else {
                throw planError("sliding_window", "is used, where is_causal is false: such windows cannot be computed")
            }
        }
        let rotation = try rotary.plan(
            width: shape.headWidth, theta: 10_000, positions: shape.maximumPositions)
        return try shape.plan(
            style,
            span: { layer in
                guard isCausal else { return .full }
                return isSliding(layer) ? window.map { .causalWindow(keys: $0) } ?? .causal : .causal
            }, rotary: { _ in rotation })
    }
}

/// The settings of model_type "qwen2".
package struct Qwen2: EncoderFamily, Equatable {
    package static let modelTypes = ["qwen2"]
    package static let checkpointPrefixes = ["model."]
    package static let encoderClasses = ["qwen2": "Qwen2Model"]
    package static let options = OptionList<Qwen2>(QwenSettings.options.lifted(to: \.settings))

    /// All settings.
    var settings = QwenSettings()

    package init() {}

    package var sizes: FamilySizes { settings.shape.sizes }

    package func plan() throws(TuttiError) -> EncoderPlan {
        try checkOptions()
        return try settings.plan(CausalShape.Style(projectionBias: true))
    }
}

/// The settings of model_type "qwen3".
package struct Qwen3: EncoderFamily, Equatable {
    package static let modelTypes = ["qwen3"]
    package static let checkpointPrefixes = ["model."]
    package static let encoderClasses = ["qwen3": "Qwen3Model"]
    package static let options = OptionList<Qwen3>(
        QwenSettings.options.lifted(to: \.settings) + [
            Option("attention_bias", \.attentionBias, "whether the attention's linear layers have biases")
        ])

    /// What it shares with Qwen2.
    var settings = QwenSettings()
    /// Whether there are biases in the attention.
    package var attentionBias = false

    package init() { settings.shape.givenHeadWidth = 128 }

    package var sizes: FamilySizes { settings.shape.sizes }

    package func plan() throws(TuttiError) -> EncoderPlan {
        try checkOptions()
        return try settings.plan(
            CausalShape.Style(projectionBias: attentionBias, outputBias: attentionBias, normsHeads: true))
    }
}
