// A decoder of texts as a value: the plan of an encoder whose layers also attend to an embedding, and a language model's
// head.
//
// Where a decoder is tied to an encoder, its plan names the encoder's tensors for everything but cross-attention and
// head; what is its own stands behind a prefix.

/// The parts of a decoder.
package struct DecoderPlan: Sendable, Equatable {
    /// Tokens and layers.
    package var stack: EncoderPlan
    /// From the last layer to the vocabulary.
    let head: LanguageModelHeadPlan
    /// The token that is not predicted.
    let padTokenID: Int
    /// What stands before the names of tensors that are the decoder's own.
    let prefix: String

    /// V.
    package var vocabularySize: Int { stack.vocabularySize }
    /// D.
    package var hiddenSize: Int { stack.hiddenSize }
    /// Tokens that a text may have, the last one apart, which is predicted and never read.
    package var longestSequence: Int { stack.longestSequence }

    /// The tensors that are the decoder's own, in the order in which backward finishes them; of a layer, what it has
    /// beyond an encoder's comes first.
    package var ownTensors: [TensorSpecification] {
        let layers = stack.layers.reversed().flatMap { layer in
            let (cross, others) = (
                layer.stages.filter(\.isCrossAttention), layer.stages.filter { !$0.isCrossAttention }
            )
            return (cross + others.reversed()).flatMap(\.tensors)
        }
        return (head.tensors + layers + stack.embedding.tensors).filter { $0.name.hasPrefix(prefix) }
    }
}

extension StagePlan {
    /// Whether tokens attend to an embedding.
    var isCrossAttention: Bool {
        if case .crossAttention = branch { true } else { false }
    }
}
