// Jina embeddings v2: BERT with linear score biases (ALiBi) in place of a position table, and mostly gated feed-forward
// branches. Its files say model_type "bert" and position_embedding_type "alibi".
//
// A gated branch drops parts of its product, and nothing before the residual sum. The variant for code has norms of
// queries and keys that config.json does not mention; it is refused by the class that it names.
// Reference: Günther et al. 2023, arXiv 2310.19923; backends/candle/src/models/jina.rs and alibi.rs of
// text-embeddings-inference.

import TuttiGround
import TuttiKernels

/// The settings of model_type "bert" with position_embedding_type "alibi".
package struct JinaBERT: EncoderFamily, Equatable {
    /// The feed-forward branch.
    enum FeedForwardType: String, OptionChoice {
        case original
        case geglu
        case reglu
    }

    package static let modelTypes = ["jina_bert"]  // and "bert" with "alibi"
    package static let checkpointPrefixes = ["bert.", "model."]
    package static let options = OptionList<JinaBERT>(
        OptionList(TransformerShape.options(.init())).lifted(to: \.shape) + [
            TransformerShape.typeRows(atLeast: 1).lifted(to: \.shape),
            Option("feed_forward_type", \.feedForwardType, "kind of the feed-forward branch"),
            .only("position_embedding_type", "alibi", "how positions enter"),
            Option("auto_map", \.classes, "the classes of the model's repository", check: withoutNorms),
            Option("is_decoder", \.shape.isDecoder, "of a decoder, which cannot be trained as an encoder"),
        ])

    private static let withoutNorms = OptionCheck<JSONObject>("no model with norms of queries and keys") { classes in
        classes.contains { $0.value.string?.contains("qk-post-norm") ?? false }
            ? "names a model with norms of queries and keys, which are not computed" : nil
    }

    /// The pooling of Jina's own class, where modules.json names none.
    package static let inertKeys = ["emb_pooler"]

    /// Dimensions.
    package var shape: TransformerShape
    var feedForwardType = FeedForwardType.original
    var classes: JSONObject?

    package init() { shape = TransformerShape() }

    package static func reads(_ configuration: JSONObject) -> Bool {
        let type = configuration["model_type"]?.string
        return type == "jina_bert" || type == "bert" && configuration["position_embedding_type"]?.string == "alibi"
    }

    package var sizes: FamilySizes { shape.sizes(hasPositions: false) }

    package func plan() throws(TuttiError) -> EncoderPlan {
        try checkOptions()
        try shape.validate()
        return EncoderPlan(
            embedding: shape.embedding(hasPositions: false),
            layers: (0..<shape.layers).map(layer), carries: .normed, longestSequence: shape.maximumPositions)
    }

    private func layer(_ number: Int) -> LayerPlan {
        let name = "encoder.layer.\(number)"
        let plain = shape.layer(name, positions: .slopes(heads: shape.heads))
        guard feedForwardType != .original else { return plain }
        let (module, d) = (name + ".mlp.", shape.hiddenSize)
        let gated = FeedForwardPlan(
            inner: LinearPlan(module + "gated_layers", inputs: d, outputs: 2 * shape.innerSize, hasBias: false),
            output: LinearPlan(module + "wo", inputs: shape.innerSize, outputs: d),
            activation: feedForwardType == .geglu ? .gelu : .relu, gate: .first, dropout: shape.hiddenDropout)
        return LayerPlan(
            stages: plain.stages.dropLast() + [
                shape.stage(.feedForward(gated), norm: module + "layernorm", dropout: 0)
            ])
    }
}
