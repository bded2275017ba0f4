// Gemma 3 text models and EmbeddingGemma: RMS norms around every branch with scales stored less one, an embedding times
// sqrt(D), norms of queries and keys, and two rotations: one of layers that see everything, one of layers with a window.
//
// With attention in both directions, sliding_window of the file is twice the reach; a causal window counts the keys.
// Soft caps of scores are stored in files, but the reference does not apply them.
// Reference: Gemma Team 2025, arXiv 2503.19786; transformers/models/gemma3/modeling_gemma3.py.

import TuttiGround
import TuttiKernels

/// The settings of model_type "gemma3_text".
package struct Gemma3: EncoderFamily, Equatable {
    package static let modelTypes = ["gemma3_text"]
    package static let checkpointPrefixes = ["model.language_model.", "language_model.model.", "model."]
    package static let encoderClasses = ["gemma3_text": "Gemma3TextModel"]
    package static let options = OptionList<Gemma3>(
        CausalShape.options(activation: "hidden_activation").lifted(to: \.shape) + [
            Option("query_pre_attn_scalar", \.scoreScalar, "scores are divided by its root", check: .positive),
            Option("attention_bias", \.attentionBias, "whether the attention's linear layers have biases"),
            Option(
                "use_bidirectional_attention", \.isBidirectional, "whether tokens see the tokens after them too",
                null: false),
            Option("sliding_window", \.window, "tokens of the window", check: .atLeast(1)),
            Option(
                "sliding_window_pattern", \.pattern, "every layer of this number sees all tokens", check: .atLeast(1)),
            Option("layer_types", \.kinds, "kinds of the layers, in place of sliding_window_pattern"),
            Option("rope_theta", \.full.theta, "base of the frequencies of full layers", check: .positive),
            Option("rope_local_base_freq", \.sliding.theta, "base of those of sliding layers", check: .positive),
            RotarySettings.nested("rope_scaling", "scaling of the frequencies of full layers", at: \.full),
            RotarySettings.byKind(full: \.full, sliding: \.sliding),
        ])

    /// The pattern behind layer_types, and soft caps, which the reference does not apply.
    package static let inertKeys = ["_sliding_window_pattern", "attn_logit_softcapping", "final_logit_softcapping"]

    /// Dimensions.
    package var shape: CausalShape
    /// Scores are divided by its root.
    package var scoreScalar: Double = 256
    /// Whether there are biases in the attention.
    package var attentionBias = false
    /// Whether tokens see the tokens after them too.
    package var isBidirectional = false
    /// sliding_window as the file has it; nil = sliding layers see all tokens.
    package var window: Int? = 4096
    /// Every layer of this number sees all tokens.
    package var pattern = 6
    /// The kinds of the layers, where the file lists them.
    var kinds: [LayerKind]?
    /// The rotations of full and of sliding layers.
    var (full, sliding) = (RotarySettings(), RotarySettings())

    package init() {
        shape = CausalShape()
        shape.keyHeads = 4
        shape.givenHeadWidth = 256
        shape.activation = .geluTanh
        shape.padTokenID = 0
    }

    package var sizes: FamilySizes { shape.sizes }

    package func plan() throws(TuttiError) -> EncoderPlan {
        try checkOptions()
        try kinds?.check(layers: shape.layers)
        func isSliding(_ layer: Int) -> Bool {
            kinds.map { $0[layer] == .sliding } ?? ((layer + 1) % pattern != 0)
        }
        let everything: AttentionSpan = isBidirectional ? .full : .causal
        let inWindow = window.map { isBidirectional ? .window(reach: $0 / 2) : .causalWindow(keys: $0) } ?? everything
        let (width, positions) = (shape.headWidth, shape.maximumPositions)
        let rotations = (
            full: try full.plan(
                width: width, theta: 1_000_000, positions: positions, key: "rope_parameters.full_attention"),
            sliding: try sliding.plan(
                width: width, theta: 10_000, positions: positions, key: "rope_parameters.sliding_attention")
        )
        let style = CausalShape.Style(
            projectionBias: attentionBias, outputBias: attentionBias, normsHeads: true, isSandwich: true,
            norm: .shiftedRMS, scale: Float(1 / scoreScalar.squareRoot()),
            embeddingScale: Float(Double(shape.hiddenSize).squareRoot()))
        return try shape.plan(
            style, span: { isSliding($0) ? inWindow : everything },
            rotary: { isSliding($0) ? rotations.sliding : rotations.full })
    }
}
