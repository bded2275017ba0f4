// Jina embeddings v2: BERT with linear score biases (ALiBi) in place of a position table, and mostly gated feed-forward
// branches. Its files say model_type "bert" and position_embedding_type "alibi".
//
// A gated branch drops parts of its product, and nothing before the residual sum. The variant for code norms queries and keys,
// and norms the sum of a layer's input and attention's normed sum once more; it activates the second half of the gated branch.
// config.json does not mention that: it is known by the class that auto_map names.
// Reference: Günther et al. 2023, arXiv 2310.19923; backends/candle/src/models/jina.rs, jina_code.rs and alibi.rs of
// text-embeddings-inference; modeling_bert.py of jinaai/jina-bert-v2-qk-post-norm.

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
            Option(
                "auto_map", \.classes,
                "the classes of the model's repository; those of jina-bert-v2-qk-post-norm norm queries and keys"),
            Option("is_decoder", \.shape.isDecoder, "of a decoder, which cannot be trained as an encoder"),
        ])

    /// The pooling of Jina's own class, where modules.json names none.
    package static let inertKeys = ["emb_pooler"]

    /// Dimensions.
    package var shape: TransformerShape
    var feedForwardType = FeedForwardType.original
    var classes: JSONObject?

    /// Whether it is the variant for code.
    private var normsQueriesAndKeys: Bool {
        classes?.contains { $0.value.string?.contains("qk-post-norm") ?? false } ?? false
    }

    package init() { shape = TransformerShape() }

    package static func reads(_ configuration: JSONObject) -> Bool {
        let type = configuration["model_type"]?.string
        return type == "jina_bert" || type == "bert" && configuration["position_embedding_type"]?.string == "alibi"
    }

    package var sizes: FamilySizes { shape.sizes(hasPositions: false) }

    package func plan() throws(TuttiError) -> EncoderPlan {
        try checkOptions()
        try shape.validate()
        if normsQueriesAndKeys, feedForwardType == .original {
            throw planError(
                "feed_forward_type", "is original, where a model with norms of queries and keys has a gated branch")
        }
        return EncoderPlan(
            embedding: shape.embedding(hasPositions: false),
            layers: (0..<shape.layers).map(normsQueriesAndKeys ? codeLayer : layer), carries: .normed,
            longestSequence: shape.maximumPositions)
    }

    private func layer(_ number: Int) -> LayerPlan {
        let name = "encoder.layer.\(number)"
        let plain = shape.layer(name, positions: .slopes(heads: shape.heads))
        guard feedForwardType != .original else { return plain }
        let module = name + ".mlp."
        return LayerPlan(
            stages: plain.stages.dropLast() + [
                shape.stage(
                    gated(module + "gated_layers", output: module + "wo", .first), norm: module + "layernorm",
                    dropout: 0)
            ])
    }

    private func codeLayer(_ number: Int) -> LayerPlan {
        let (name, d) = ("encoder.layer.\(number).", shape.hiddenSize)
        let own = name + "attention.self."
        let attention = SelfAttentionPlan(
            projection: LinearPlan(own + "query", own + "key", own + "value", inputs: d, outputs: d),
            output: LinearPlan(name + "attention.output.dense", inputs: d, outputs: d), heads: shape.heads,
            headWidth: shape.headWidth, positions: .slopes(heads: shape.heads),
            rowNorms: .init(query: shape.norm(own + "layer_norm_q"), key: shape.norm(own + "layer_norm_k")),
            dropout: shape.attentionDropout)
        let junction = JunctionPlan(
            norm: shape.norm(name + "attention.output.LayerNorm"), dropout: shape.hiddenDropout,
            outerNorm: shape.norm(name + "layer_norm_1"))
        return LayerPlan(stages: [
            StagePlan(branch: .selfAttention(attention), junction: junction),
            shape.stage(
                gated(name + "mlp.up_gated_layer", output: name + "mlp.down_layer", .second),
                norm: name + "layer_norm_2", dropout: 0),
        ])
    }

    private func gated(_ inner: String, output: String, _ half: GatedHalf) -> BranchPlan {
        .feedForward(
            FeedForwardPlan(
                inner: LinearPlan(inner, inputs: shape.hiddenSize, outputs: 2 * shape.innerSize, hasBias: false),
                output: LinearPlan(output, inputs: shape.innerSize, outputs: shape.hiddenSize),
                activation: feedForwardType == .geglu ? .gelu : .relu, gate: half, dropout: shape.hiddenDropout))
    }
}
