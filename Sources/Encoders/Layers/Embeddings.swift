// Token ids to vectors: dropout(LayerNorm(word + type + position)), forward and backward.
//
// Legend: T packed tokens, D hidden. Reference: BertEmbeddings and MPNetEmbeddings in transformers.

import TuttiKernels

/// The embedding layer.
struct Embeddings: Sendable {
    let word: TensorSlot
    let position: TensorSlot
    let type: TensorSlot?
    let gamma: TensorSlot
    let beta: TensorSlot
    let positionStart: Int
    let paddingID: Int
    let epsilon: Float
    let dropoutRate: Float

    /// What backward needs.
    struct Saved {
        let sum: Matrix  // [T, D]
        let mean: UnsafeMutablePointer<Float>  // [T]
        let rstd: UnsafeMutablePointer<Float>  // [T]
    }

    init(_ configuration: EncoderConfiguration, _ architecture: any EncoderArchitecture, _ layout: ParameterLayout) {
        let names = architecture.embeddingNames
        word = TensorSlot(layout, names.word)
        position = TensorSlot(layout, names.position)
        type = names.type.map { TensorSlot(layout, $0) }
        gamma = TensorSlot(layout, names.norm + ".weight")
        beta = TensorSlot(layout, names.norm + ".bias")
        positionStart = architecture.positionStart
        paddingID = architecture.paddingID(configuration)
        epsilon = configuration.layerNormEpsilon
        dropoutRate = configuration.hiddenDropout
    }

    /// output [T, D] = the embedded tokens.
    func forward(_ pass: EncoderPass, _ parameters: ParameterStore, saved: Saved, into output: Matrix) {
        RowKernels.gatherEmbeddings(
            pass.tokens, word: parameters.pointer(word), position: parameters.pointer(position),
            positionStart: positionStart, type: type.map { UnsafePointer(parameters.pointer($0)) }, into: saved.sum)
        RowKernels.layerNorm(
            saved.sum, gamma: parameters.pointer(gamma), beta: parameters.pointer(beta), epsilon: epsilon,
            dropout: mask(pass), mean: saved.mean, rstd: saved.rstd, into: output)
    }

    /// Table and LayerNorm gradients accumulate, and the tokens' rows are marked; `dOutput` [T, D] is overwritten.
    func backward(
        _ pass: EncoderPass, _ parameters: ParameterStore, saved: Saved, dOutput: Matrix,
        scratch: UnsafeMutablePointer<Float>
    ) {
        RowKernels.layerNormBackward(
            dOutput: dOutput, x: saved.sum, mean: saved.mean, rstd: saved.rstd, gamma: parameters.pointer(gamma),
            dropout: mask(pass), dX: dOutput, dGamma: parameters.gradientPointer(gamma),
            dBeta: parameters.gradientPointer(beta), scratch: scratch)
        RowKernels.scatterEmbeddings(
            pass.tokens, dOutput: dOutput, dWord: parameters.gradientPointer(word),
            dPosition: parameters.gradientPointer(position), positionStart: positionStart,
            dType: type.map { parameters.gradientPointer($0) }, paddingID: paddingID)
        if parameters.touched.watches(word) { parameters.touched.mark(pass.tokens) }
    }

    private func mask(_ pass: EncoderPass) -> DropoutMask? {
        pass.mask(layer: 0, .embedding, rate: dropoutRate)
    }
}
