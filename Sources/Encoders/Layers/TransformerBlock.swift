// One post-LN transformer block, forward and hand-written backward, over packed tokens.
//
// The rules of every backward here, stated once:
// - parameter gradients accumulate (+=), so that columns, micro-batches and chunks add up;
// - activation gradients assign;
// - the residual stream's gradient accumulates: one matrix [T, D] runs down the encoder, LayerNorm's backward rewrites it in
//   place and each branch adds its own share with beta = 1 in the last product, which saves a pass over memory.
//
// Legend: T packed tokens, D hidden, H heads, F inner. Reference: Devlin et al. 2019; BertLayer in transformers.

import TuttiKernels

/// Self-attention, then the feed-forward half.
struct TransformerBlock: Sendable {
    let attention: SelfAttention
    let feedForward: FeedForward
    /// The block's slice of the gradient arena.
    let slice: Range<Int>

    /// What backward needs of one block.
    struct Saved {
        let attention: SelfAttention.Saved
        let hidden: Matrix  // [T, D] between the halves
        let feedForward: FeedForward.Saved
    }

    /// Memory that all blocks of a pass use in turn.
    struct Scratch {
        let branch: Matrix  // [T, D]
        let context: Matrix  // [T, D]
        let inner: Matrix  // [T, F]
        let qkv: Matrix  // [T, 3 D], overlaps `inner`
        let kernel: UnsafeMutablePointer<Float>
    }

    init(
        _ configuration: EncoderConfiguration, _ architecture: any EncoderArchitecture, layer: Int,
        _ layout: ParameterLayout, slice: Range<Int>
    ) {
        let names = architecture.blockNames(layer)
        attention = SelfAttention(configuration, names, layer: layer, layout)
        feedForward = FeedForward(configuration, names, layer: layer, layout)
        self.slice = slice
    }

    /// output [T, D] from input [T, D]; `activated` [T, F] is scratch.
    func forward(
        _ input: Matrix, _ pass: EncoderPass, _ parameters: ParameterStore, saved: Saved, activated: Matrix,
        scratch: UnsafeMutablePointer<Float>, into output: Matrix
    ) {
        attention.forward(
            input, pass, parameters, saved: saved.attention, scratch: scratch, into: saved.hidden)
        feedForward.forward(
            saved.hidden, pass, parameters, saved: saved.feedForward, activated: activated, into: output)
    }

    /// stream [T, D]: gradient of the output in, gradient of the input out; parameter gradients accumulate.
    func backward(
        _ input: Matrix, _ pass: EncoderPass, _ parameters: ParameterStore, saved: Saved, stream: Matrix,
        scratch: Scratch
    ) {
        feedForward.backward(
            saved.hidden, pass, parameters, saved: saved.feedForward, stream: stream, dBranch: scratch.branch,
            inner: scratch.inner, activated: saved.feedForward.preactivation, scratch: scratch.kernel)
        attention.backward(
            input, pass, parameters, saved: saved.attention, stream: stream, dBranch: scratch.branch,
            dContext: scratch.context, dQKV: scratch.qkv, scratch: scratch.kernel)
    }

    /// Activations of one block: kept by each block while training, shared in turn at inference.
    static func allocate(_ configuration: EncoderConfiguration, tokens: Int, arena: inout Arena) -> Saved {
        let d = configuration.hiddenSize
        let attention = SelfAttention.Saved(
            qkv: arena.matrix(tokens, 3 * d), context: arena.matrix(tokens, d),
            logSumExp: arena.floats(tokens * configuration.heads), sum: arena.matrix(tokens, d),
            mean: arena.floats(tokens), rstd: arena.floats(tokens))
        let feedForward = FeedForward.Saved(
            preactivation: arena.matrix(tokens, configuration.intermediateSize), sum: arena.matrix(tokens, d),
            mean: arena.floats(tokens), rstd: arena.floats(tokens))
        return Saved(attention: attention, hidden: arena.matrix(tokens, d), feedForward: feedForward)
    }

    /// Scratch for the backward of all blocks; `kernel` floats are for the row and attention kernels.
    static func allocateScratch(
        _ configuration: EncoderConfiguration, tokens: Int, kernel: Int, arena: inout Arena
    ) -> Scratch {
        let (d, f) = (configuration.hiddenSize, configuration.intermediateSize)
        let wide = arena.floats(tokens * max(f, 3 * d))
        return Scratch(
            branch: arena.matrix(tokens, d), context: arena.matrix(tokens, d), inner: Matrix(wide, tokens, f),
            qkv: Matrix(wide, tokens, 3 * d), kernel: arena.floats(kernel))
    }
}
