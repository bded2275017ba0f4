// One forward that a backward follows, as a value: whoever holds it may back-propagate it, once.
//
// The memory of a pass comes from its encoder and goes back to it, so that steps allocate nothing; a second pass that
// begins while one lives gets memory of its own.

import TuttiKernels

/// A forward whose activations are kept until `backward` has consumed it.
package struct EncoderPass: ~Copyable {
    private let encoder: SequenceEncoder
    private let memory: PassMemory

    init(_ encoder: SequenceEncoder, _ memory: PassMemory) {
        self.encoder = encoder
        self.memory = memory
    }

    /// Adds the gradients of all parameters, given the gradient [taps * S, Dout] of the embeddings.
    ///
    /// `finished` gets each completed slice of the gradient arena: in layout order, together the whole arena, once each.
    package consuming func backward(_ dEmbeddings: Matrix, finished: (Range<Int>) -> Void) {
        encoder.backward(dEmbeddings, memory, finished: finished)
    }

    deinit { encoder.takeBack(memory) }
}

/// What a pass keeps, in memory that passes use in turn.
final class PassMemory {
    var arena = Arena()
    /// The layers that were pooled, ascending.
    var taps: [Int] = []
    /// [T, D] what taps read: the embedding's output, then that of each layer.
    var outputs: [Matrix] = []
    var stages: [Stage.Saved] = []
    var heads: [Head.Saved] = []

    init(layers: Int, stages stageCount: Int, heads headCount: Int) {
        outputs.reserveCapacity(layers + 1)
        stages.reserveCapacity(stageCount)
        heads.reserveCapacity(headCount)
    }

    /// The embedding's share, and what all parts read.
    var embedding: TokenEmbedding.Saved?
    var context: PassContext?

    /// Forgets the last pass and keeps the memory.
    func reset(taps: [Int]) {
        arena.reset()
        self.taps = taps
        outputs.removeAll(keepingCapacity: true)
        stages.removeAll(keepingCapacity: true)
        heads.removeAll(keepingCapacity: true)
        (embedding, context) = (nil, nil)
    }
}
