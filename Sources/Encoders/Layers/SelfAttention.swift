// Self-attention with its output projection, residual and LayerNorm, forward and backward.
//
// Queries, keys and values come from one product with [3 D, D]: their weights lie together in the layout.
// Legend: T packed tokens, D hidden, H heads. Reference: BertAttention, MPNetAttention in transformers.

import TuttiKernels

/// h = LayerNorm(x + dropout(attention(x) Wo^T + bo)).
struct SelfAttention: Sendable {
    let layer: Int
    let projection: Linear  // [3 D, D]
    let output: Linear  // [D, D]
    let gamma: TensorSlot
    let beta: TensorSlot
    let heads: Int
    let headWidth: Int
    let epsilon: Float
    let hiddenDropout: Float
    let attentionDropout: Float

    /// What backward needs besides the block's input.
    struct Saved {
        let qkv: Matrix  // [T, 3 D], bias not yet added
        let context: Matrix  // [T, D]
        let logSumExp: UnsafeMutablePointer<Float>  // [H, L] of each sequence
        let sum: Matrix  // [T, D] before the norm
        let mean: UnsafeMutablePointer<Float>  // [T]
        let rstd: UnsafeMutablePointer<Float>  // [T]
    }

    init(_ configuration: EncoderConfiguration, _ names: BlockNames, layer: Int, _ layout: ParameterLayout) {
        self.layer = layer
        projection = Linear(layout, names.query, names.key, names.value)
        output = Linear(layout, names.attentionOutput)
        gamma = TensorSlot(layout, names.attentionNorm + ".weight")
        beta = TensorSlot(layout, names.attentionNorm + ".bias")
        heads = configuration.heads
        headWidth = configuration.headWidth
        epsilon = configuration.layerNormEpsilon
        hiddenDropout = configuration.hiddenDropout
        attentionDropout = configuration.attentionDropout
    }

    /// The attention kernel's view of this pass.
    func kernel(_ pass: EncoderPass, _ parameters: ParameterStore) -> Attention {
        Attention(
            heads: heads, width: headWidth, offsets: pass.tokens.offsets, sequences: pass.sequences,
            bias: projection.bias(parameters), positions: pass.positions.map { UnsafePointer($0.pointer) },
            maximum: pass.longest, dropout: pass.mask(layer: layer + 1, .attentionProbabilities, rate: attentionDropout))
    }

    /// hidden [T, D] from input [T, D].
    func forward(
        _ input: Matrix, _ pass: EncoderPass, _ parameters: ParameterStore, saved: Saved,
        scratch: UnsafeMutablePointer<Float>, into hidden: Matrix
    ) {
        projection.multiply(input, parameters, into: saved.qkv)
        kernel(pass, parameters).forward(
            qkv: saved.qkv, context: saved.context, logSumExp: saved.logSumExp, scratch: scratch)
        output.multiply(saved.context, parameters, into: saved.sum)
        RowKernels.biasDropoutResidualLayerNorm(
            branch: saved.sum, bias: output.bias(parameters), residual: input, gamma: parameters.pointer(gamma),
            beta: parameters.pointer(beta), epsilon: epsilon, dropout: mask(pass), sum: saved.sum, mean: saved.mean,
            rstd: saved.rstd, into: hidden)
    }

    /// stream [T, D]: gradient of hidden in, gradient of input out. dBranch, dContext [T, D] and dQKV [T, 3 D] are scratch.
    func backward(
        _ input: Matrix, _ pass: EncoderPass, _ parameters: ParameterStore, saved: Saved, stream: Matrix,
        dBranch: Matrix, dContext: Matrix, dQKV: Matrix, scratch: UnsafeMutablePointer<Float>
    ) {
        RowKernels.biasDropoutResidualLayerNormBackward(
            dOutput: stream, sum: saved.sum, mean: saved.mean, rstd: saved.rstd, gamma: parameters.pointer(gamma),
            dropout: mask(pass), dResidual: stream, dBranch: dBranch, dGamma: parameters.gradientPointer(gamma),
            dBeta: parameters.gradientPointer(beta), dBias: output.biasGradient(parameters), scratch: scratch)
        output.accumulateWeightGradient(dBranch, saved.context, parameters)
        output.inputGradient(dBranch, parameters, into: dContext)
        kernel(pass, parameters).backward(
            qkv: saved.qkv, logSumExp: saved.logSumExp, dContext: dContext, dQKV: dQKV,
            dPositions: pass.dPositions?.pointer, scratch: scratch)
        projection.accumulateGradients(dQKV, input, parameters)
        projection.inputGradient(dQKV, parameters, into: stream, accumulates: true)
    }

    private func mask(_ pass: EncoderPass) -> DropoutMask? {
        pass.mask(layer: layer + 1, .attentionOutput, rate: hiddenDropout)
    }
}
