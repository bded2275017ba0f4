// One forward with a later backward, as a value: its owner may back-propagate it once.
//
// The memory of a pass comes from its encoder and is returned to it, so that steps do not allocate; a second pass that
// starts while another is alive gets its own memory.

import TuttiKernels

/// A forward whose activations are kept until `backward` has consumed it.
package struct EncoderPass: ~Copyable {
    private let encoder: SequenceEncoder
    private let memory: PassMemory

    init(_ encoder: SequenceEncoder, _ memory: PassMemory) {
        self.encoder = encoder
        self.memory = memory
    }

    /// Adds the gradients of all parameters that are trained, given the gradient [taps * S, Dout] of the embeddings.
    ///
    /// `finished` gets each completed slice of the gradient arena once, in layout order; together they cover the arena.
    package consuming func backward(_ dEmbeddings: Matrix, finished: (Range<Int>) -> Void) {
        encoder.backward(dEmbeddings, memory, finished: finished)
    }

    deinit { encoder.takeBack(memory) }
}

/// The saved state of a pass, in memory that passes reuse.
final class PassMemory {
    var arena = Arena()
    /// The layers that were pooled, ascending.
    var taps: [Int] = []
    /// [T, D] the inputs of taps: the embedding's output, then that of each layer.
    var outputs: [Matrix] = []
    var stages: [Stage.Saved] = []
    /// Of the layers that keep nothing for a backward: those of one layer.
    var shared: [Stage.Saved] = []
    /// Of the modules over tokens.
    var modules: [TokenModule.Saved] = []
    /// What was pooled, where modules over tokens make it, and the pooled rows.
    var tokens: Matrix?
    var pooled: Matrix?
    var heads: [Head.Saved] = []

    init(layers: Int, stages stageCount: Int, heads headCount: Int) {
        outputs.reserveCapacity(layers + 1)
        stages.reserveCapacity(stageCount)
        heads.reserveCapacity(headCount)
    }

    /// The memory that the layers of the forward shared.
    var forwardScratch: Stage.ForwardScratch?
    /// Where not everything is kept in fp32: the layer in work, and what is kept of each.
    var window: LayerWindow?

    /// The embedding's state, that of the norm after it, and what all parts read.
    var embedding: TokenEmbedding.Saved?
    var entry: Norm.Saved?
    var context: PassContext?

    /// The output of a layer whose memory the next layer uses, where it outlasts that.
    func copy(of output: Matrix) -> Matrix {
        let copy = arena.matrix(output.rows, output.columns)
        copy.copy(from: output)
        return copy
    }

    /// Discards the last pass and keeps the memory.
    func reset(taps: [Int]) {
        arena.reset()
        self.taps = taps
        outputs.removeAll(keepingCapacity: true)
        stages.removeAll(keepingCapacity: true)
        shared.removeAll(keepingCapacity: true)
        modules.removeAll(keepingCapacity: true)
        heads.removeAll(keepingCapacity: true)
        (embedding, entry, context, tokens, pooled) = (nil, nil, nil, nil, nil)
        (forwardScratch, window) = (nil, nil)
    }
}
