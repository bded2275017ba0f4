// The position-wise feed-forward half of a block with its residual and LayerNorm, forward and backward.
//
// Only the pre-activation u is kept; its activation is computed again in backward, which costs less than its memory.
// Legend: T packed tokens, D hidden, F inner. Reference: BertIntermediate and BertOutput in transformers.

import TuttiKernels

/// y = LayerNorm(h + dropout(f(h W1^T + b1) W2^T + b2)).
struct FeedForward: Sendable {
    let layer: Int
    let inner: Linear  // [F, D]
    let output: Linear  // [D, F]
    let gamma: TensorSlot
    let beta: TensorSlot
    let activation: Activation
    let epsilon: Float
    let dropoutRate: Float

    /// What backward needs besides the half's input.
    struct Saved {
        let preactivation: Matrix  // [T, F], bias not yet added
        let sum: Matrix  // [T, D] before the norm
        let mean: UnsafeMutablePointer<Float>  // [T]
        let rstd: UnsafeMutablePointer<Float>  // [T]
    }

    init(_ configuration: EncoderConfiguration, _ names: BlockNames, layer: Int, _ layout: ParameterLayout) {
        self.layer = layer
        inner = Linear(layout, names.inner)
        output = Linear(layout, names.output)
        gamma = TensorSlot(layout, names.outputNorm + ".weight")
        beta = TensorSlot(layout, names.outputNorm + ".bias")
        activation = configuration.activation
        epsilon = configuration.layerNormEpsilon
        dropoutRate = configuration.hiddenDropout
    }

    /// result [T, D] from hidden [T, D]; activated [T, F] is scratch and may be the pre-activation without a backward.
    func forward(
        _ hidden: Matrix, _ pass: EncoderPass, _ parameters: ParameterStore, saved: Saved, activated: Matrix,
        into result: Matrix
    ) {
        inner.multiply(hidden, parameters, into: saved.preactivation)
        RowKernels.activation(activation, saved.preactivation, bias: inner.bias(parameters), into: activated)
        output.multiply(activated, parameters, into: saved.sum)
        RowKernels.biasDropoutResidualLayerNorm(
            branch: saved.sum, bias: output.bias(parameters), residual: hidden, gamma: parameters.pointer(gamma),
            beta: parameters.pointer(beta), epsilon: epsilon, dropout: mask(pass), sum: saved.sum, mean: saved.mean,
            rstd: saved.rstd, into: result)
    }

    /// stream [T, D]: gradient of the result in, gradient of hidden out. dBranch [T, D], inner and activated
    /// [T, F] are scratch; `activated` may be the pre-activation, which is then lost.
    func backward(
        _ hidden: Matrix, _ pass: EncoderPass, _ parameters: ParameterStore, saved: Saved, stream: Matrix,
        dBranch: Matrix, inner dInner: Matrix, activated: Matrix, scratch: UnsafeMutablePointer<Float>
    ) {
        RowKernels.biasDropoutResidualLayerNormBackward(
            dOutput: stream, sum: saved.sum, mean: saved.mean, rstd: saved.rstd, gamma: parameters.pointer(gamma),
            dropout: mask(pass), dResidual: stream, dBranch: dBranch, dGamma: parameters.gradientPointer(gamma),
            dBeta: parameters.gradientPointer(beta), dBias: output.biasGradient(parameters), scratch: scratch)
        output.inputGradient(dBranch, parameters, into: dInner)
        RowKernels.activationWithGradient(
            activation, saved.preactivation, bias: inner.bias(parameters), dOutput: dInner, activated: activated)
        output.accumulateWeightGradient(dBranch, activated, parameters)
        inner.accumulateGradients(dInner, hidden, parameters)
        inner.inputGradient(dInner, parameters, into: stream, accumulates: true)
    }

    private func mask(_ pass: EncoderPass) -> DropoutMask? {
        pass.mask(layer: layer + 1, .feedForwardOutput, rate: dropoutRate)
    }
}
