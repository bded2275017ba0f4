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
    package static let options = OptionList<ALBERT>(
        TransformerShape.options.lifted(to: \.shape) + [
            Option("type_vocab_size", \.typeVocabularySize, "rows of the table of token types", check: .atLeast(1)),
            Option("embedding_size", \.embeddingSize, "width of the tables", check: .atLeast(1)),
            Option("num_hidden_groups", \.groups, "number of blocks that the layers share", check: .atLeast(1)),
            .only("inner_group_num", 1, "blocks that a layer applies one after the other"),
        ])

    /// Applications of shared blocks cost no weights, so only this limits them.
    private static let mostLayers = 1000

    /// Dimensions.
    package var shape: TransformerShape
    /// Rows of the table of token types.
    package var typeVocabularySize = 2
    /// W.
    package var embeddingSize = 128
    /// Number of blocks.
    package var groups = 1

    package init() {
        shape = TransformerShape()
        shape.activation = .geluTanh
        (shape.hiddenDropout, shape.attentionDropout) = (0, 0)
    }

    package var sizes: FamilySizes {
        shape.sizes(
            ("type_vocab_size", [typeVocabularySize, embeddingSize]),
            ("embedding_size", [embeddingSize, shape.hiddenSize]),
            blocks: ("num_hidden_groups", groups), tableWidth: embeddingSize)
    }

    package func plan() throws(TuttiError) -> EncoderPlan {
        try checkOptions()
        try shape.validate()
        guard groups <= shape.layers else {
            throw planError("num_hidden_groups", "is \(groups), where there are \(shape.layers) layers")
        }
        guard shape.layers <= Self.mostLayers else {
            throw planError("num_hidden_layers", "is \(shape.layers)", hint: "At most \(Self.mostLayers) are taken.")
        }
        let projection = LinearPlan(
            "encoder.embedding_hidden_mapping_in", inputs: embeddingSize, outputs: shape.hiddenSize)
        return EncoderPlan(
            embedding: shape.embedding(types: typeVocabularySize, width: embeddingSize, projection: projection),
            layers: (0..<shape.layers).map(layer), carries: .normed, longestSequence: shape.maximumPositions)
    }

    /// The application with this number of its block.
    private func layer(_ number: Int) -> LayerPlan {
        let group = Int(Double(number) / (Double(shape.layers) / Double(groups)))
        let name = "encoder.albert_layer_groups.\(group).albert_layers.0."
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
