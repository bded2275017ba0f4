// DeBERTa v1: as v2 without buckets; queries, keys and values of one head are neighbours in one tensor without biases, and
// queries and values have biases of their own.
//
// Reference: He et al. 2020, arXiv 2006.03654; transformers/models/deberta/modeling_deberta.py.

import TuttiGround
import TuttiKernels

/// The settings of model_type "deberta".
package struct DeBERTaV1: EncoderFamily, Equatable {
    package static let modelTypes = ["deberta"]
    package static let checkpointPrefixes = ["deberta.", "model."]
    package static let encoderClasses = ["deberta": "DebertaModel"]
    package static let options = OptionList<DeBERTaV1>(
        OptionList(TransformerShape.options(.init())).lifted(to: \.shape)
            + DisentangledSettings.options.lifted(to: \.positions) + [
                TransformerShape.typeRows(atLeast: 0).lifted(to: \.shape)
            ])

    /// Of heads.
    package static let inertKeys = [
        "legacy", "pooler_dropout", "pooler_hidden_act", "pooler_hidden_size", "padding_idx",
    ]

    /// Dimensions.
    package var shape: TransformerShape
    var positions = DisentangledSettings()

    package init() {
        shape = TransformerShape()
        shape.layerNormEpsilon = 1e-7
        shape.typeRows = 0
    }

    package var sizes: FamilySizes { positions.sizes(shape, reach: positions.farthest(shape)) }

    package func plan() throws(TuttiError) -> EncoderPlan {
        try checkOptions()
        try shape.validate()
        try positions.validate()
        let table = DisentangledTable(
            name: "encoder.rel_embeddings.weight", rows: DistanceRows(reach: positions.farthest(shape)),
            width: shape.hiddenSize, dropout: shape.hiddenDropout)
        return EncoderPlan(
            embedding: positions.embedding(shape),
            layers: (0..<shape.layers).map { layer($0, positions.isRelative ? .disentangled(table) : .none) },
            carries: .normed, longestSequence: shape.maximumPositions)
    }

    private func layer(_ number: Int, _ table: PositionsPlan) -> LayerPlan {
        let (name, d) = ("encoder.layer.\(number).", shape.hiddenSize)
        let own = name + "attention.self."
        let heads = SelfAttentionPlan.Disentangled(
            keys: positions.readsKeys
                ? LinearPlan(own + "pos_proj", inputs: d, outputs: d, hasBias: false) : nil,
            queries: positions.readsQueries ? LinearPlan(own + "pos_q_proj", inputs: d, outputs: d) : nil,
            isShared: false)
        let attention = SelfAttentionPlan(
            projection: LinearPlan(own + "in_proj", inputs: d, outputs: 3 * d, hasBias: false),
            output: LinearPlan(name + "attention.output.dense", inputs: d, outputs: d), heads: shape.heads,
            headWidth: shape.headWidth, order: .byHead(queryBias: own + "q_bias", valueBias: own + "v_bias"),
            scale: positions.scale(width: shape.headWidth), positions: table,
            disentangled: positions.isRelative ? heads : nil, dropout: shape.attentionDropout)
        let feedForward = shape.feedForward(inner: name + "intermediate.dense", output: name + "output.dense")
        return LayerPlan(stages: [
            shape.stage(.selfAttention(attention), norm: name + "attention.output.LayerNorm"),
            shape.stage(feedForward, norm: name + "output.LayerNorm"),
        ])
    }
}
