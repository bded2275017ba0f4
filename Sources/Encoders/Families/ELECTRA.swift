// ELECTRA: BERT, whose tables may be narrower than its layers; then a projection follows the embedding's norm and dropout.
//
// Embedding models use the discriminator.
// Reference: Clark et al. 2020, arXiv 2003.10555; transformers/models/electra/modeling_electra.py.

import TuttiGround

/// The settings of model_type "electra".
package struct ELECTRA: EncoderFamily, Equatable {
    package static let modelTypes = ["electra"]
    package static let checkpointPrefixes = ["electra.", "model."]
    package static let encoderClasses = ["electra": "ElectraModel"]
    package static let options = OptionList<ELECTRA>(
        TransformerShape.options.lifted(to: \.shape) + [
            TransformerShape.typeRows(atLeast: 1).lifted(to: \.shape),
            Option("embedding_size", \.embeddingSize, "width of the tables", check: .atLeast(1)),
        ])

    /// Dimensions.
    package var shape: TransformerShape
    /// W.
    package var embeddingSize = 128

    package init() { shape = TransformerShape() }

    package var sizes: FamilySizes {
        shape.sizes(("embedding_size", [embeddingSize, shape.hiddenSize]), tableWidth: embeddingSize)
    }

    package func plan() throws(TuttiError) -> EncoderPlan {
        try checkOptions()
        try shape.validate()
        let projection =
            embeddingSize == shape.hiddenSize
            ? nil : LinearPlan("embeddings_project", inputs: embeddingSize, outputs: shape.hiddenSize)
        return EncoderPlan(
            embedding: shape.embedding(width: embeddingSize, projection: projection),
            layers: (0..<shape.layers).map { shape.layer("encoder.layer.\($0)") }, carries: .normed,
            longestSequence: shape.maximumPositions)
    }
}
