// Standalone LayerNorm over the parameters of a store, for embeddings and heads. Inside a layer the norm is fused with
// the sum before it (Junction.swift).
//
// Legend: R rows, D columns.

import TuttiKernels

/// The plan of a norm.
struct NormPlan: Sendable, Equatable {
    /// Its module; the tensors are `<name>.weight` and `<name>.bias`.
    let name: String
    /// D.
    let width: Int
    let epsilon: Float

    /// Its tensors.
    var tensors: [TensorSpecification] { [.init(name + ".weight", [width]), .init(name + ".bias", [width])] }
}

/// y = (x - mean) / std * gamma + beta, row by row.
struct Norm: Sendable {
    private let gamma: TensorSlot
    private let beta: TensorSlot
    let epsilon: Float

    /// The statistics of the rows, which backward needs in addition to the input.
    struct Saved {
        let mean: UnsafeMutablePointer<Float>  // [R]
        let rstd: UnsafeMutablePointer<Float>  // [R] 1 / std

        init(rows: Int, arena: inout Arena) {
            mean = arena.floats(rows)
            rstd = arena.floats(rows)
        }
    }

    init(_ plan: NormPlan, _ layout: ParameterLayout) {
        gamma = TensorSlot(layout, plan.name + ".weight")
        beta = TensorSlot(layout, plan.name + ".bias")
        epsilon = plan.epsilon
    }

    /// [D] the scale.
    func gamma(_ parameters: ParameterStore) -> UnsafePointer<Float> { UnsafePointer(parameters.pointer(gamma)) }
    /// [D] the shift.
    func beta(_ parameters: ParameterStore) -> UnsafePointer<Float> { UnsafePointer(parameters.pointer(beta)) }
    /// [D] where the scale's gradient accumulates.
    func dGamma(_ parameters: ParameterStore) -> UnsafeMutablePointer<Float> { parameters.gradientPointer(gamma) }
    /// [D] where the shift's gradient accumulates.
    func dBeta(_ parameters: ParameterStore) -> UnsafeMutablePointer<Float> { parameters.gradientPointer(beta) }

    /// y [R, D] = dropout(norm(x)).
    func forward(
        _ x: Matrix, _ parameters: ParameterStore, dropout: DropoutMask? = nil, saved: Saved, into y: Matrix
    ) {
        LayerNormKernels.layerNorm(
            x, gamma: gamma(parameters), beta: beta(parameters), epsilon: epsilon, dropout: dropout, mean: saved.mean,
            rstd: saved.rstd, into: y)
    }

    /// Replaces the gradient of y by that of `x`; those of the parameters accumulate.
    func backward(
        _ x: Matrix, _ parameters: ParameterStore, dropout: DropoutMask? = nil, saved: Saved, inPlace gradient: Matrix,
        scratch: UnsafeMutablePointer<Float>
    ) {
        LayerNormKernels.layerNormBackward(
            dOutput: gradient, x: x, mean: saved.mean, rstd: saved.rstd, gamma: gamma(parameters), dropout: dropout,
            dX: gradient, dGamma: dGamma(parameters), dBeta: dBeta(parameters), scratch: scratch)
    }
}
