// DistilBERT (msmarco-distilbert, distiluse ...): BERT without token types, with keys and names of its own.
//
// As in the reference, the epsilon of the norms is fixed, and nothing is dropped behind the output projection of attention.
// A sinusoidal position table is a table as any other: the setting only says how it was initialized.
// Reference: Sanh et al. 2019, arXiv 1910.01108; transformers/models/distilbert/modeling_distilbert.py.

import TuttiGround

/// The settings of model_type "distilbert".
package struct DistilBERT: EncoderFamily, Equatable {
    package static let modelTypes = ["distilbert"]
    package static let checkpointPrefixes = ["distilbert.", "model."]
    package static let encoderClasses = ["distilbert": "DistilBertModel"]
    package static let options = OptionList<DistilBERT>(
        OptionList(TransformerShape.options(keys)).lifted(to: \.shape))

    private static let keys = TransformerShape.Keys(
        hidden: "dim", layers: "n_layers", heads: "n_heads", inner: "hidden_dim", epsilon: nil,
        activation: "activation", hiddenDropout: "dropout", attentionDropout: "attention_dropout")

    /// How the position table was initialized, and heads.
    package static let inertKeys = ["sinusoidal_pos_embds", "qa_dropout", "seq_classif_dropout"]

    /// Dimensions.
    package var shape: TransformerShape

    package init() {
        shape = TransformerShape()
        shape.keys = Self.keys
        shape.typeRows = 0
    }

    package var sizes: FamilySizes { shape.sizes() }

    package func plan() throws(TuttiError) -> EncoderPlan {
        try checkOptions()
        try shape.validate()
        return EncoderPlan(
            embedding: shape.embedding(), layers: (0..<shape.layers).map(layer), carries: .normed,
            longestSequence: shape.maximumPositions)
    }

    private func layer(_ number: Int) -> LayerPlan {
        let name = "transformer.layer.\(number)."
        let attention = shape.selfAttention(
            query: name + "attention.q_lin", key: name + "attention.k_lin", value: name + "attention.v_lin",
            output: name + "attention.out_lin")
        return LayerPlan(stages: [
            shape.stage(attention, norm: name + "sa_layer_norm", dropout: 0),
            shape.stage(
                shape.feedForward(inner: name + "ffn.lin1", output: name + "ffn.lin2"),
                norm: name + "output_layer_norm"),
        ])
    }
}
