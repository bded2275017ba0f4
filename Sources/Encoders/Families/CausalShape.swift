// The numbers that describe Llama and its descendants alike, by the keys that they share in config.json, and their layers:
// RMS norms before each branch, grouped heads, rotary positions, gated feed-forwards.
//
// Legend: D hidden, H heads, K heads of keys and values, E head width, F inner, V vocabulary.

import TuttiGround
import TuttiKernels

/// Dimensions and settings of a transformer of this kind.
package struct CausalShape: Sendable, Equatable {
    /// V.
    package var vocabularySize = 0
    /// D.
    package var hiddenSize = 0
    /// Number of layers.
    package var layers = 0
    /// H.
    package var heads = 0
    /// K; nil = H.
    package var keyHeads: Int?
    /// E; nil = D / H.
    package var givenHeadWidth: Int?
    /// F.
    package var innerSize = 0
    /// Maximum tokens of a sequence.
    package var maximumPositions = 0
    /// Epsilon of every norm.
    package var epsilon: Float = 1e-6
    /// Of the feed-forward branches.
    package var activation: Activation = .silu
    /// Dropout of attention probabilities, used only while training.
    package var attentionDropout: Float = 0
    /// The token whose row of the word table gets no gradient; nil = every row has one.
    package var padTokenID: Int?

    /// What differs between families.
    struct Style {
        /// Biases of queries, keys and values.
        var projectionBias = false
        /// Bias of the attention's output.
        var outputBias = false
        /// Biases of the feed-forward branch.
        var innerBias = false
        /// Whether queries and keys are normed head by head.
        var normsHeads = false
        /// Whether what a branch adds is normed too.
        var isSandwich = false
        var norm = NormKind.rms
        /// Factor of the scores; nil = 1 / sqrt(E).
        var scale: Float?
        /// Factor of the embedding.
        var embeddingScale: Float = 1
    }

    /// The shared keys.
    static func options(activation: String = "hidden_act") -> OptionList<CausalShape> {
        OptionList([
            Option("vocab_size", \.vocabularySize, "tokens in the vocabulary", check: .atLeast(1), isRequired: true),
            Option("hidden_size", \.hiddenSize, "width of a token's vector", check: .atLeast(1), isRequired: true),
            Option("num_hidden_layers", \.layers, "number of layers", check: .atLeast(1), isRequired: true),
            Option("num_attention_heads", \.heads, "attention heads of a layer", check: .atLeast(1), isRequired: true),
            Option("num_key_value_heads", \.keyHeads, "heads of keys and values; null: as many", check: .atLeast(1)),
            Option("head_dim", \.givenHeadWidth, "width of a head; null: hidden_size / heads", check: .atLeast(1)),
            Option(
                "intermediate_size", \.innerSize, "width inside the feed-forward branch", check: .atLeast(1),
                isRequired: true),
            Option(
                "max_position_embeddings", \.maximumPositions, "longest text in tokens", check: .atLeast(1),
                isRequired: true),
            Option("rms_norm_eps", \.epsilon, "epsilon of the norms", check: .positive),
            Option(activation, \.activation, "activation of the feed-forward branch"),
            Option(
                "attention_dropout", \.attentionDropout, "dropout of attention probabilities", check: .within(0..<1)),
            Option("pad_token_id", \.padTokenID, "the padding token; its row of the word table gets no gradient"),
        ])
    }

    /// E.
    var headWidth: Int { givenHeadWidth ?? hiddenSize / max(heads, 1) }

    /// What these dimensions ask for.
    var sizes: FamilySizes {
        FamilySizes(
            layersKey: "num_hidden_layers", layers: layers,
            shapes: [
                ("vocab_size", [vocabularySize, hiddenSize]), ("hidden_size", [hiddenSize]),
                ("num_attention_heads", [heads]), ("num_key_value_heads", [keyHeads ?? 1]),
                ("head_dim", [heads, givenHeadWidth ?? 1, hiddenSize]), ("intermediate_size", [innerSize, hiddenSize]),
                ("num_hidden_layers", [layers, hiddenSize]), ("num_hidden_layers", [layers, innerSize, hiddenSize]),
            ])
    }

    /// The encoder in a family's style.
    ///
    /// - Parameters:
    ///   - span: the keys that a token of a layer sees.
    ///   - rotary: the rotation of a layer.
    func plan(
        _ style: Style, span: (_ layer: Int) -> AttentionSpan, rotary: (_ layer: Int) throws(TuttiError) -> RotaryPlan
    ) throws(TuttiError) -> EncoderPlan {
        try validate()
        var (layers, longest) = ([LayerPlan](), maximumPositions)
        for number in 0..<self.layers {
            let rotation = try rotary(number)
            longest = min(longest, rotation.longest)
            layers.append(layer(number, style, span: span(number), rotary: rotation))
        }
        return EncoderPlan(
            embedding: TokenEmbeddingPlan(
                word: .init(name: "embed_tokens.weight", rows: vocabularySize), paddingID: padTokenID,
                scale: style.embeddingScale, width: hiddenSize, dropout: 0),
            entry: norm("layers.0.input_layernorm", style), layers: layers, carries: .plain,
            longestSequence: longest)
    }

    /// Refuses dimensions that do not belong together, by their keys.
    private func validate() throws(TuttiError) {
        guard givenHeadWidth != nil || hiddenSize % heads == 0 else {
            throw planError("num_attention_heads", "\(heads) does not divide hidden_size \(hiddenSize)")
        }
        guard heads % (keyHeads ?? heads) == 0 else {
            throw planError("num_key_value_heads", "\(keyHeads ?? heads) does not divide num_attention_heads \(heads)")
        }
        guard padTokenID.map((0..<vocabularySize).contains) ?? true else {
            throw planError("pad_token_id", "is \(padTokenID ?? 0), which is outside of the vocabulary")
        }
    }

    private func norm(_ name: String, _ style: Style) -> NormPlan {
        NormPlan(name: name, width: hiddenSize, epsilon: epsilon, kind: style.norm)
    }

    private func layer(_ number: Int, _ style: Style, span: AttentionSpan, rotary: RotaryPlan) -> LayerPlan {
        let name = "layers.\(number)."
        let (attention, dense, keys) = (name + "self_attn.", name + "mlp.", keyHeads ?? heads)
        let selfAttention = SelfAttentionPlan(
            projection: LinearPlan(
                [
                    .init(name: attention + "q_proj", outputs: heads * headWidth),
                    .init(name: attention + "k_proj", outputs: keys * headWidth),
                    .init(name: attention + "v_proj", outputs: keys * headWidth),
                ], inputs: hiddenSize, hasBias: style.projectionBias),
            output: LinearPlan(
                attention + "o_proj", inputs: heads * headWidth, outputs: hiddenSize, hasBias: style.outputBias),
            heads: heads, keyHeads: keys, headWidth: headWidth, span: span, scale: style.scale, rotary: rotary,
            norms: style.normsHeads
                ? .init(
                    query: attention + "q_norm.weight", key: attention + "k_norm.weight", epsilon: epsilon,
                    shift: style.norm == .shiftedRMS ? 1 : 0) : nil, dropout: attentionDropout)
        let feedForward = FeedForwardPlan(
            inner: LinearPlan(
                dense + "gate_proj", dense + "up_proj", inputs: hiddenSize, outputs: innerSize,
                hasBias: style.innerBias),
            output: LinearPlan(dense + "down_proj", inputs: innerSize, outputs: hiddenSize, hasBias: style.innerBias),
            activation: activation, gate: .first)
        let next = number == layers - 1 ? "norm" : "layers.\(number + 1).input_layernorm"
        func junction(_ following: String, sandwich: String) -> JunctionPlan {
            JunctionPlan(
                norm: norm(following, style), dropout: 0,
                branchNorm: style.isSandwich ? norm(name + sandwich, style) : nil)
        }
        return LayerPlan(stages: [
            StagePlan(
                branch: .selfAttention(selfAttention),
                junction: junction(
                    name + (style.isSandwich ? "pre_feedforward_layernorm" : "post_attention_layernorm"),
                    sandwich: "post_attention_layernorm")),
            StagePlan(
                branch: .feedForward(feedForward), junction: junction(next, sandwich: "post_feedforward_layernorm")),
        ])
    }
}
