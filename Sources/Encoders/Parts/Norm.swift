// Standalone norms over the parameters of a store, for embeddings, heads and the norms beside junctions. Inside a layer a
// norm is fused with the sum before it (Junction.swift).
//
// Legend: R rows, D columns.

import TuttiKernels

/// The plan of a norm.
package struct NormPlan: Sendable, Equatable {
    /// Its module; the tensors are `<name>.weight` and `<name>.bias`.
    package let name: String
    /// D.
    package let width: Int
    package let epsilon: Float
    /// What it computes.
    package var kind = NormKind.layer
    /// Whether it shifts; a LayerNorm may, an RMSNorm never does.
    var hasBias = true

    /// Its tensors.
    var tensors: [TensorSpecification] {
        [.init(name + ".weight", [width], isOfNorm: true)]
            + (shifts ? [.init(name + ".bias", [width], isOfNorm: true)] : [])
    }

    /// Whether there is a bias.
    package var shifts: Bool { kind == .layer && hasBias }
}

/// LayerNorm or RMSNorm, row by row.
struct Norm: Sendable {
    private let gamma: TensorSlot
    private let beta: TensorSlot?
    let kind: NormKind
    let epsilon: Float

    /// The statistics of the rows, which backward needs in addition to the input.
    struct Saved {
        let mean: UnsafeMutablePointer<Float>  // [R]
        let rstd: UnsafeMutablePointer<Float>  // [R] 1 / std

        init(rows: Int, arena: inout Arena) {
            mean = arena.floats(rows)
            rstd = arena.floats(rows)
        }

        /// In the 2 R floats at `memory`.
        init(_ memory: UnsafeMutablePointer<Float>, rows: Int) {
            mean = memory
            rstd = memory + rows
        }
    }

    init(_ plan: NormPlan, _ layout: ParameterLayout) {
        gamma = TensorSlot(layout, plan.name + ".weight")
        beta = plan.shifts ? TensorSlot(layout, plan.name + ".bias") : nil
        kind = plan.kind
        epsilon = plan.epsilon
    }

    /// [D] the scale.
    func gamma(_ parameters: ParameterStore) -> UnsafePointer<Float> { UnsafePointer(parameters.pointer(gamma)) }
    /// [D] the shift; nil = none.
    func beta(_ parameters: ParameterStore) -> UnsafePointer<Float>? {
        beta.map { UnsafePointer(parameters.pointer($0)) }
    }
    /// [D] where the scale's gradient accumulates; nil = it is frozen.
    func dGamma(_ parameters: ParameterStore) -> UnsafeMutablePointer<Float>? { parameters.gradientPointer(gamma) }
    /// [D] where the shift's gradient accumulates; nil = there is no shift, or it is frozen.
    func dBeta(_ parameters: ParameterStore) -> UnsafeMutablePointer<Float>? {
        beta.flatMap { parameters.gradientPointer($0) }
    }

    /// y [R, D] = dropout(norm(x)).
    func forward(
        _ x: Matrix, _ parameters: ParameterStore, dropout: DropoutMask? = nil, saved: Saved, into y: Matrix
    ) {
        NormKernels.norm(
            x, kind, gamma: gamma(parameters), beta: beta(parameters), epsilon: epsilon, dropout: dropout,
            mean: saved.mean, rstd: saved.rstd, into: y)
    }

    /// Replaces the gradient of y by that of `x`; those of the parameters accumulate, that of the shift unless it is left
    /// out.
    func backward(
        _ x: Matrix, _ parameters: ParameterStore, dropout: DropoutMask? = nil, saved: Saved, inPlace gradient: Matrix,
        withShift: Bool = true, scratch: UnsafeMutablePointer<Float>
    ) {
        NormKernels.normBackward(
            kind, dOutput: gradient, x: x, mean: saved.mean, rstd: saved.rstd, gamma: gamma(parameters),
            dropout: dropout, dX: gradient, dGamma: dGamma(parameters),
            dBeta: withShift ? dBeta(parameters) : nil, scratch: scratch)
    }

    /// sum += the gradient of `x`, given that of y without dropout; those of the parameters accumulate.
    func backward(
        _ x: Matrix, _ parameters: ParameterStore, saved: Saved, dOutput: Matrix, addedTo sum: Matrix,
        scratch: UnsafeMutablePointer<Float>
    ) {
        NormKernels.biasDropoutResidualNormBackward(
            kind, dOutput: dOutput, dCarried: sum, sum: x, mean: saved.mean, rstd: saved.rstd,
            gamma: gamma(parameters), dropout: nil, dResidual: sum, dBranch: sum, dGamma: dGamma(parameters),
            dBeta: dBeta(parameters), dBias: nil, scratch: scratch)
    }
}
