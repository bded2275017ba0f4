// DeBERTa v2 and v3: BERT with disentangled positions: scores also compare contents with positions, and positions with
// contents, from one table that all layers project.
//
// v3 shares the projections of contents and positions, norms the table and puts far distances into buckets. The larger v2
// models do so too, and add a convolution of the embedding to the first layer's output.
// Reference: He et al. 2020, arXiv 2006.03654, and 2021, arXiv 2111.09543;
// transformers/models/deberta_v2/modeling_deberta_v2.py.

import TuttiGround
import TuttiKernels

/// The settings of model_type "deberta-v2".
package struct DeBERTa: EncoderFamily, Equatable {
    package static let modelTypes = ["deberta-v2"]
    package static let checkpointPrefixes = ["deberta.", "model."]
    package static let encoderClasses = ["deberta-v2": "DebertaV2Model"]
    package static let options = OptionList<DeBERTa>(
        OptionList(TransformerShape.options(.init())).lifted(to: \.shape)
            + DisentangledSettings.options.lifted(to: \.positions) + [
                Option(
                    "position_buckets", \.buckets, "rows of each direction of the table, of which far distances share",
                    null: -1),
                Option("share_att_key", \.sharesProjections, "whether contents and positions share projections"),
                Option("norm_rel_ebd", \.tableNorm, "\"layer_norm\" if the table of positions is normed"),
                TransformerShape.typeRows(atLeast: 0).lifted(to: \.shape),
                Option("attention_head_size", \.headWidth, "width of a head", check: .atLeast(1)),
                Option(
                    "conv_kernel_size", \.convolutionWidth,
                    "tokens that a convolution of the embedding sees, which is added after the first layer; 0 = none",
                    check: .atLeast(0)),
                Option("conv_act", \.convolutionActivation, "activation of the convolution"),
                Option("conv_groups", \.convolutionGroups, "groups of the convolution", check: .atLeast(1)),
                .only("z_steps", 0, "extra passes of the last layer"),
            ])

    /// Of heads.
    package static let inertKeys = ["legacy", "pooler_dropout", "pooler_hidden_act", "pooler_hidden_size"]

    /// Dimensions.
    package var shape: TransformerShape
    var positions = DisentangledSettings()
    /// Below 1 = every distance has a row.
    var buckets = -1
    var sharesProjections = false
    var tableNorm = "none"
    /// nil = hidden_size / heads.
    var headWidth: Int?
    /// 0 = there is no convolution.
    var convolutionWidth = 0
    var convolutionActivation = Activation.tanh
    var convolutionGroups = 1

    package init() {
        shape = TransformerShape()
        shape.layerNormEpsilon = 1e-7
        shape.typeRows = 0
    }

    package var sizes: FamilySizes {
        positions.sizes(
            shape, reach: reach,
            convolutionWidth > 0
                ? [("conv_kernel_size", [shape.hiddenSize, shape.hiddenSize / convolutionGroups, convolutionWidth])]
                : [])
    }

    /// Rows of the table of positions in one direction.
    private var reach: Int { buckets > 0 ? buckets : positions.farthest(shape) }

    package func plan() throws(TuttiError) -> EncoderPlan {
        try checkOptions()
        try shape.validate()
        try positions.validate()
        if let headWidth, headWidth != shape.headWidth {
            throw planError(
                "attention_head_size",
                "is \(headWidth), where hidden_size / num_attention_heads = \(shape.headWidth)")
        }
        guard buckets < 1 || buckets >= 4 && positions.farthest(shape) > buckets / 2 + 1 else {
            throw planError(
                "position_buckets", "is \(buckets)", hint: "There are 4 at least, and distances beyond half.")
        }
        let table = DisentangledTable(
            name: "encoder.rel_embeddings.weight",
            rows: DistanceRows(
                reach: reach,
                buckets: buckets > 0 ? .init(count: buckets, farthest: positions.farthest(shape)) : nil),
            width: shape.hiddenSize,
            norm: try hasTableNorm() ? shape.norm("encoder.LayerNorm") : nil, dropout: shape.hiddenDropout)
        return EncoderPlan(
            embedding: positions.embedding(shape),
            layers: (0..<shape.layers).map { layer($0, positions.isRelative ? .disentangled(table) : .none) },
            carries: .normed, longestSequence: shape.maximumPositions, convolution: try convolution())
    }

    private func convolution() throws(TuttiError) -> EmbeddingConvolutionPlan? {
        guard convolutionWidth > 0 else { return nil }
        guard convolutionWidth % 2 == 1 else {
            throw planError("conv_kernel_size", "is \(convolutionWidth)", hint: "An even one would shorten texts.")
        }
        guard shape.hiddenSize % convolutionGroups == 0 else {
            throw planError("conv_groups", "\(convolutionGroups) does not divide hidden_size \(shape.hiddenSize)")
        }
        return EmbeddingConvolutionPlan(
            convolution: TokenConvolutionPlan(
                name: "encoder.conv.conv", inputs: shape.hiddenSize, outputs: shape.hiddenSize,
                width: convolutionWidth, groups: convolutionGroups),
            activation: convolutionActivation, norm: shape.norm("encoder.conv.LayerNorm"),
            dropout: shape.hiddenDropout)
    }

    private func hasTableNorm() throws(TuttiError) -> Bool {
        let words = tableNorm.lowercased().filter { $0 != " " }.split(separator: "|")
        if let other = words.first(where: { $0 != "none" && $0 != "layer_norm" }) {
            throw planError("norm_rel_ebd", "'\(other)' is not computed", hint: "Computed are none and layer_norm.")
        }
        return words.contains("layer_norm")
    }

    private func layer(_ number: Int, _ table: PositionsPlan) -> LayerPlan {
        let name = "encoder.layer.\(number)."
        func module(_ name: String) -> LinearPlan {
            LinearPlan(name, inputs: shape.hiddenSize, outputs: shape.hiddenSize)
        }
        let own = name + "attention.self."
        let (query, key) = (own + "query_proj", own + "key_proj")
        let heads = SelfAttentionPlan.Disentangled(
            keys: positions.readsKeys ? module(sharesProjections ? key : own + "pos_key_proj") : nil,
            queries: positions.readsQueries ? module(sharesProjections ? query : own + "pos_query_proj") : nil,
            isShared: sharesProjections)
        let attention = SelfAttentionPlan(
            projection: LinearPlan(
                query, key, own + "value_proj", inputs: shape.hiddenSize, outputs: shape.hiddenSize),
            output: module(name + "attention.output.dense"), heads: shape.heads, headWidth: shape.headWidth,
            scale: positions.scale(width: shape.headWidth), positions: table,
            disentangled: positions.isRelative ? heads : nil, dropout: shape.attentionDropout)
        let feedForward = shape.feedForward(inner: name + "intermediate.dense", output: name + "output.dense")
        return LayerPlan(stages: [
            shape.stage(.selfAttention(attention), norm: name + "attention.output.LayerNorm"),
            shape.stage(feedForward, norm: name + "output.LayerNorm"),
        ])
    }
}
