// RoBERTa, CamemBERT and XLM-RoBERTa (multilingual E5, BGE-M3 ...): BERT's layers; positions are numbered from the padding
// token's id on, by tokens that are not padding.
//
// The three differ in vocabulary and heads only.
// Reference: Liu et al. 2019, arXiv 1907.11692; transformers/models/roberta/modeling_roberta.py.

import TuttiGround

/// The settings of the model types "roberta", "camembert" and "xlm-roberta".
package struct RoBERTa: EncoderFamily, Equatable {
    package static let modelTypes = ["roberta", "camembert", "xlm-roberta"]
    package static let checkpointPrefixes = ["roberta.", "model."]
    package static let encoderClasses = [
        "roberta": "RobertaModel", "camembert": "CamembertModel", "xlm-roberta": "XLMRobertaModel",
    ]
    package static let options = OptionList<RoBERTa>(
        TransformerShape.options.lifted(to: \.shape) + [
            TransformerShape.typeRows(atLeast: 1).lifted(to: \.shape)
        ])

    /// Dimensions.
    package var shape: TransformerShape

    package init() {
        shape = TransformerShape()
        shape.padTokenID = 1
    }

    package var sizes: FamilySizes { shape.sizes() }

    package func plan() throws(TuttiError) -> EncoderPlan {
        try checkOptions()
        try shape.validate()
        return EncoderPlan(
            embedding: shape.embedding(numbering: .counting(padding: shape.padTokenID)),
            layers: (0..<shape.layers).map { shape.layer("encoder.layer.\($0)") }, carries: .normed,
            longestSequence: try shape.positionsBehindPadding())
    }
}
