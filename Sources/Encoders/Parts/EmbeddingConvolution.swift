// A convolution of the embedding that joins the first layer's output h: norm(h + f(dropout(conv(x_0)))), as in the larger
// models of DeBERTa v2, for streams that carry the normed sum.
//
// The convolution is computed before the layers, whose passes without a backward overwrite the embedding; the rest behind
// the first. Its state stays in fp32 however the layers' is kept.
//
// Legend: T packed tokens, D hidden, K width. Reference: ConvLayer in transformers/models/deberta_v2.

import TuttiKernels

/// The plan of a convolution of the embedding.
package struct EmbeddingConvolutionPlan: Sendable, Equatable {
    package let convolution: TokenConvolutionPlan
    package let activation: Activation
    package let norm: NormPlan
    /// Dropout of the convolution's output, used only during training.
    let dropout: Float

    /// Its tensors, in the order in which backward finishes them.
    var tensors: [TensorSpecification] { norm.tensors + convolution.tensors }
}

/// A convolution of the embedding over the parameters of a store.
struct EmbeddingConvolution: Sendable {
    private let convolution: TokenConvolution
    private let activation: Activation
    private let norm: Norm
    private let dropout: Float
    /// Whether a tensor of it is trained.
    let isTrained: Bool

    /// What forward computes before the first layer, and backward needs.
    struct Saved {
        let unrolled: Matrix  // [T, D K] the embedding
        /// [T, D] what is activated; after backward the gradient of the embedding.
        let convolved: Matrix
        let sum: Matrix  // [T, D]
        let norm: Norm.Saved
        /// [T, D] the stream after the first layer.
        let output: Matrix
    }

    init(_ plan: EmbeddingConvolutionPlan, _ layout: ParameterLayout) {
        convolution = TokenConvolution(plan.convolution, layout)
        activation = plan.activation
        norm = Norm(plan.norm, layout)
        dropout = plan.dropout
        isTrained = layout.trains(plan.tensors)
    }

    /// The dropped convolution of the embedded tokens [T, D], and room for the rest.
    func convolve(
        _ embedded: Matrix, _ pass: PassContext, _ parameters: ParameterStore, arena: inout Arena
    ) -> Saved {
        let convolved = arena.matrix(embedded.rows, embedded.columns)
        let unrolled = convolution.forward(embedded, pass, parameters, into: convolved, arena: &arena)
        RowKernels.dropout(convolved, mask(pass), into: convolved)
        return Saved(
            unrolled: unrolled, convolved: convolved, sum: arena.matrix(embedded.rows, embedded.columns),
            norm: Norm.Saved(rows: embedded.rows, arena: &arena),
            output: arena.matrix(embedded.rows, embedded.columns))
    }

    /// saved.output [T, D] from the first layer's output [T, D].
    func join(_ layerOutput: Matrix, _ parameters: ParameterStore, saved: Saved) {
        RowKernels.activation(activation, saved.convolved, into: saved.sum)
        NormKernels.biasDropoutResidualNorm(
            norm.kind, branch: saved.sum, bias: nil, residual: layerOutput, gamma: norm.gamma(parameters),
            beta: norm.beta(parameters), epsilon: norm.epsilon, dropout: nil, sum: saved.sum, mean: saved.norm.mean,
            rstd: saved.norm.rstd, into: saved.output)
    }

    /// Replaces the gradient [T, D] of saved.output by that of the first layer's output; that of the embedding is left in
    /// saved.convolved, if it is wanted. Gradients of the parameters accumulate.
    func backward(
        _ gradient: Matrix, _ pass: PassContext, _ parameters: ParameterStore, saved: Saved, wantsEmbedding: Bool,
        scratch: Stage.BackwardScratch
    ) {
        norm.backward(saved.sum, parameters, saved: saved.norm, inPlace: gradient, scratch: scratch.kernel)
        let own = scratch.branch  // [T, D]
        own.copy(from: gradient)
        RowKernels.activationBackward(activation, saved.convolved, dOutput: own, into: own)
        RowKernels.dropout(own, mask(pass), into: own)
        convolution.accumulateGradients(own, unrolled: saved.unrolled, parameters)
        guard wantsEmbedding else { return }
        saved.convolved.fill(0)
        convolution.addInputGradient(own, pass, parameters, room: saved.unrolled, to: saved.convolved)
    }

    private func mask(_ pass: PassContext) -> DropoutMask? { pass.mask(layer: 0, .convolution, rate: dropout) }
}
