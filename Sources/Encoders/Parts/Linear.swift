// A dense layer: one weight, perhaps a bias, and every product that either of them takes part in.
//
// Where the tensors are stored, what they are called and whether there is a bias is known here and nowhere else; layers
// ask for a product or a gradient. Several modules side by side (queries, keys, values) count as one layer with more
// outputs, one product for all of them.
//
// The product and the bias are separate on purpose: whoever reads the product next (attention, an activation, a
// junction) adds the bias on the way, which saves a pass over memory, and sums its gradient where it has it at hand.
//
// Legend: R rows (tokens or sentences), I inputs, O outputs.

import TuttiKernels

/// A dense layer as a plan describes it.
package struct LinearPlan: Sendable, Equatable {
    /// The modules side by side; their tensors are `<module>.weight` and `<module>.bias`.
    let modules: [String]
    /// I.
    package let inputs: Int
    /// Outputs of one module: O = modules * this.
    let outputsOfModule: Int
    let hasBias: Bool

    init(_ modules: String..., inputs: Int, outputs: Int, hasBias: Bool = true) {
        self.modules = modules
        self.inputs = inputs
        outputsOfModule = outputs
        self.hasBias = hasBias
    }

    /// O.
    package var outputs: Int { modules.count * outputsOfModule }

    /// Its tensors: all weights, then all biases, so that either are neighbours.
    var tensors: [TensorSpecification] {
        modules.map { .init($0 + ".weight", [outputsOfModule, inputs]) }
            + (hasBias ? modules.map { .init($0 + ".bias", [outputsOfModule]) } : [])
    }
}

/// y = x W^T + b over the parameters of a store.
struct Linear: Sendable {
    private let weight: TensorSlot  // [O, I]
    private let bias: TensorSlot?  // [O]

    init(_ plan: LinearPlan, _ layout: ParameterLayout) {
        weight = TensorSlot(layout, plan.modules.map { $0 + ".weight" })
        bias = plan.hasBias ? TensorSlot(layout, plan.modules.map { $0 + ".bias" }) : nil
    }

    /// y [R, O] = x W^T, without the bias.
    func multiply(_ x: Matrix, _ parameters: ParameterStore, into y: Matrix) {
        Gemm.multiply(x, parameters.matrix(weight), transposeB: true, into: y)
    }

    /// [O] what is to be added to the product; nil = nothing.
    func bias(_ parameters: ParameterStore) -> UnsafePointer<Float>? {
        bias.map { UnsafePointer(parameters.pointer($0)) }
    }

    /// [O] where the bias's gradient accumulates, for a kernel that sums it on its way; nil = there is no bias.
    func biasGradient(_ parameters: ParameterStore) -> UnsafeMutablePointer<Float>? {
        bias.map { parameters.gradientPointer($0) }
    }

    /// dW += dY^T x, for a dY [R, O] whose column sums were added to `biasGradient` already.
    func accumulateWeightGradient(_ dY: Matrix, _ x: Matrix, _ parameters: ParameterStore) {
        Gemm.multiply(dY, transposeA: true, x, into: parameters.gradientMatrix(weight), beta: 1)
    }

    /// dW += dY^T x and db += column sums of dY [R, O].
    func accumulateGradients(_ dY: Matrix, _ x: Matrix, _ parameters: ParameterStore) {
        guard let bias else { return accumulateWeightGradient(dY, x, parameters) }
        Gemm.accumulateWeightGradient(
            dY, x, into: parameters.gradientMatrix(weight), bias: parameters.gradientPointer(bias))
    }

    /// dX [R, I] = dY W, or dX += dY W where the residual stream accumulates.
    func inputGradient(_ dY: Matrix, _ parameters: ParameterStore, into dX: Matrix, accumulates: Bool = false) {
        Gemm.multiply(dY, parameters.matrix(weight), into: dX, beta: accumulates ? 1 : 0)
    }
}
