// ALBERT: one block, or a few, applied again and again; narrow tables with a projection to the layers' width.
//
// The plan names the same tensors in every layer that applies a block: their gradients add up, and the layout places them
// where backward leaves their first application. As in the reference, nothing is dropped in the feed-forward branch.
// Reference: Lan et al. 2019, arXiv 1909.11942; transformers/models/albert/modeling_albert.py.

import TuttiGround

/// The settings of model_type "albert".
package struct ALBERT: EncoderFamily, Equatable {
    package static let modelTypes = ["albert"]
    package static let checkpointPrefixes = ["albert.", "model."]
    package static let encoderClasses = ["albert": "AlbertModel"]
    package static let options = OptionList<ALBERT>(
        TransformerShape.options.lifted(to: \.shape) + [
            TransformerShape.typeRows(atLeast: 1).lifted(to: \.shape),
            Option("embedding_size", \.embeddingSize, "width of the tables", check: .atLeast(1)),
            Option("num_hidden_groups", \.groups, "number of blocks that the layers share", check: .atLeast(1)),
            Option(
                "inner_group_num", \.blocksOfLayer, "blocks that a layer applies one after the other",
                check: .atLeast(1)),
        ])

    /// Of the head, and of the first ALBERT's search, which transformers never read.
    package static let inertKeys = [
        "classifier_dropout_prob", "down_scale_factor", "gap_size", "layers_to_keep", "net_structure_type",
        "num_memory_blocks",
    ]

    /// Applications of shared blocks cost no weights, so only this limits them.
    private static let mostLayers = 1000

    /// Dimensions.
    package var shape: TransformerShape
    /// W.
    package var embeddingSize = 128
    /// Number of groups of blocks.
    package var groups = 1
    /// Blocks of a group, which a layer applies one after the other.
    package var blocksOfLayer = 1

    package init() {
        shape = TransformerShape()
        shape.activation = .geluTanh
        (shape.hiddenDropout, shape.attentionDropout) = (0, 0)
    }

    package var sizes: FamilySizes {
        let blocks = groups.multipliedReportingOverflow(by: blocksOfLayer)
        return shape.sizes(
            ("embedding_size", [embeddingSize, shape.hiddenSize]),
            blocks: ("num_hidden_groups", blocks.overflow ? .max : blocks.partialValue), tableWidth: embeddingSize)
    }

    package func plan() throws(TuttiError) -> EncoderPlan {
        try checkOptions()
        try shape.validate()
        guard groups <= shape.layers else {
            throw planError("num_hidden_groups", "is \(groups), where there are \(shape.layers) layers")
        }
        guard shape.layers <= Self.mostLayers, blocksOfLayer <= Self.mostLayers / shape.layers else {
            throw planError(
                "num_hidden_layers", "is \(shape.layers)",
                hint: "At most \(Self.mostLayers) applications of blocks are taken.")
        }
        let projection = LinearPlan(
            "encoder.embedding_hidden_mapping_in", inputs: embeddingSize, outputs: shape.hiddenSize)
        return EncoderPlan(
            embedding: shape.embedding(width: embeddingSize, projection: projection),
            layers: (0..<shape.layers).flatMap(blocks), carries: .normed, longestSequence: shape.maximumPositions)
    }

    /// The blocks of a layer, each a layer of the plan: as in the reference, hidden states are those after every block.
    private func blocks(of layer: Int) -> [LayerPlan] {
        let group = Int(Double(layer) / (Double(shape.layers) / Double(groups)))
        return (0..<blocksOfLayer).map { block("\(group).albert_layers.\($0).") }
    }

    private func block(_ place: String) -> LayerPlan {
        let name = "encoder.albert_layer_groups.\(place)"
        let attention = shape.selfAttention(
            query: name + "attention.query", key: name + "attention.key", value: name + "attention.value",
            output: name + "attention.dense")
        return LayerPlan(stages: [
            shape.stage(attention, norm: name + "attention.LayerNorm"),
            shape.stage(
                shape.feedForward(inner: name + "ffn", output: name + "ffn_output"),
                norm: name + "full_layer_layer_norm", dropout: 0),
        ])
    }
}
