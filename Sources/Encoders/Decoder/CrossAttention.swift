// Cross-attention of a decoder to the one embedding of each sequence, with output projection, residual and LayerNorm.
//
// A softmax over one key is 1 whatever query and key are: the context of a token is the value of its sequence's
// embedding, and queries and keys have no gradient. What is left of the probabilities is their dropout, a mask on
// (head, token). The projections of queries and keys are parameters all the same: the reference has them.
//
// Legend: T packed tokens, S sequences, D hidden, H heads. Reference: BertCrossAttention in transformers.

import TuttiKernels

/// h = LayerNorm(x + dropout(dropout(1) (e Wv^T + bv) Wo^T + bo)), e the sequence's embedding.
struct CrossAttention: Sendable {
    /// The layer in the keys of dropout.
    let layer: Int
    let value: Linear  // [D, D]
    let output: Linear  // [D, D]
    let gamma: TensorSlot
    let beta: TensorSlot
    let heads: Int
    let headWidth: Int
    let epsilon: Float
    let hiddenDropout: Float
    let attentionDropout: Float

    /// What backward needs besides the embeddings.
    struct Saved {
        let context: Matrix  // [T, D]
        let sum: Matrix  // [T, D] before the norm
        let mean: UnsafeMutablePointer<Float>  // [T]
        let rstd: UnsafeMutablePointer<Float>  // [T]
        let output: Matrix  // [T, D]
    }

    init(_ configuration: EncoderConfiguration, _ names: String, layer: Int, _ layout: ParameterLayout) {
        self.layer = layer
        value = Linear(layout, names + ".self.value")
        output = Linear(layout, names + ".output.dense")
        gamma = TensorSlot(layout, names + ".output.LayerNorm.weight")
        beta = TensorSlot(layout, names + ".output.LayerNorm.bias")
        heads = configuration.heads
        headWidth = configuration.headWidth
        epsilon = configuration.layerNormEpsilon
        hiddenDropout = configuration.hiddenDropout
        attentionDropout = configuration.attentionDropout
    }

    static func allocate(_ configuration: EncoderConfiguration, tokens: Int, arena: inout Arena) -> Saved {
        let d = configuration.hiddenSize
        return Saved(
            context: arena.matrix(tokens, d), sum: arena.matrix(tokens, d), mean: arena.floats(tokens),
            rstd: arena.floats(tokens), output: arena.matrix(tokens, d))
    }

    /// saved.output [T, D] from input [T, D] and embeddings [S, D]; `values` [S, D] is scratch.
    func forward(
        _ input: Matrix, embeddings: Matrix, _ pass: EncoderPass, _ parameters: ParameterStore, saved: Saved,
        values: Matrix
    ) {
        value.multiply(embeddings, parameters, into: values)
        if let bias = value.bias(parameters) { RowKernels.addBias(values, bias: bias) }
        forEachHead(pass) { sequence, token, head, factor in
            let (from, to) = (values.row(sequence) + head * headWidth, saved.context.row(token) + head * headWidth)
            for k in 0..<headWidth { to[k] = factor * from[k] }
        }
        output.multiply(saved.context, parameters, into: saved.sum)
        RowKernels.biasDropoutResidualLayerNorm(
            branch: saved.sum, bias: output.bias(parameters), residual: input, gamma: parameters.pointer(gamma),
            beta: parameters.pointer(beta), epsilon: epsilon, dropout: mask(pass), sum: saved.sum, mean: saved.mean,
            rstd: saved.rstd, into: saved.output)
    }

    /// stream [T, D]: gradient of the output in, gradient of the input out; dEmbeddings [S, D] accumulates. dBranch and
    /// dContext [T, D] and dValues [S, D] are scratch.
    func backward(
        embeddings: Matrix, _ pass: EncoderPass, _ parameters: ParameterStore, saved: Saved, stream: Matrix,
        dEmbeddings: Matrix, dBranch: Matrix, dContext: Matrix, dValues: Matrix, scratch: UnsafeMutablePointer<Float>
    ) {
        RowKernels.biasDropoutResidualLayerNormBackward(
            dOutput: stream, sum: saved.sum, mean: saved.mean, rstd: saved.rstd, gamma: parameters.pointer(gamma),
            dropout: mask(pass), dResidual: stream, dBranch: dBranch, dGamma: parameters.gradientPointer(gamma),
            dBeta: parameters.gradientPointer(beta), dBias: output.biasGradient(parameters), scratch: scratch)
        output.accumulateWeightGradient(dBranch, saved.context, parameters)
        output.inputGradient(dBranch, parameters, into: dContext)
        dValues.fill(0)
        forEachHead(pass) { sequence, token, head, factor in
            let (from, to) = (dContext.row(token) + head * headWidth, dValues.row(sequence) + head * headWidth)
            for k in 0..<headWidth { to[k] += factor * from[k] }
        }
        value.accumulateGradients(dValues, embeddings, parameters)
        value.inputGradient(dValues, parameters, into: dEmbeddings, accumulates: true)
    }

    /// Calls `body` with what dropout makes of each probability: 0, or 1 / (1 - rate); sequences side by side.
    private func forEachHead(
        _ pass: EncoderPass, _ body: (_ sequence: Int, _ token: Int, _ head: Int, _ factor: Float) -> Void
    ) {
        let mask = pass.mask(layer: layer, .attentionProbabilities, rate: attentionDropout)
        let scale = 1 / (1 - (mask?.rate ?? 0))
        Parallel.forRange(pass.sequences, grain: 4) { sequences in
            for s in sequences {
                let (first, end) = (Int(pass.tokens.offsets[s]), Int(pass.tokens.offsets[s + 1]))
                for token in first..<end {
                    for head in 0..<heads {
                        let index = UInt32(head * (end - first) + token - first)
                        let isKept = mask.map { Dropout.keeps(siteKey: $0.keys[s], index: index, rate: $0.rate) }
                        body(s, token, head, isKept ?? true ? scale : 0)
                    }
                }
            }
        }
    }

    private func mask(_ pass: EncoderPass) -> DropoutMask? {
        pass.mask(layer: layer, .attentionOutput, rate: hiddenDropout)
    }
}
