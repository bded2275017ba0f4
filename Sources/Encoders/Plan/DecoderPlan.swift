// A text decoder as a value: the plan of an encoder whose layers also attend to an embedding, and a language model
// head.
//
// If a decoder is tied to an encoder, its plan names the encoder's tensors for everything but cross-attention and
// head; its own tensors have a prefix.

/// The parts of a decoder.
package struct DecoderPlan: Sendable, Equatable {
    /// Tokens and layers.
    package var stack: EncoderPlan
    /// From the last layer to the vocabulary.
    let head: LanguageModelHeadPlan
    /// The token that is not predicted.
    let padTokenID: Int
    /// The prefix of the names of the decoder's own tensors.
    let prefix: String

    /// V.
    package var vocabularySize: Int { stack.vocabularySize }
    /// D.
    package var hiddenSize: Int { stack.hiddenSize }
    /// Maximum tokens of a text, without the last one, which is predicted and never read.
    package var longestSequence: Int { stack.longestSequence }

    /// The decoder's own tensors, in the order in which backward finishes them; within a layer, those beyond an encoder's
    /// come first.
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
