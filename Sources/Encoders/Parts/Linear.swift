// A dense layer: one weight, an optional bias, and all products with them.
//
// Only this file knows where the tensors are stored, their names and whether there is a bias; layers call it for a
// product or a gradient. Several modules side by side (queries, keys, values) count as one layer with more outputs, and
// one product for all of them.
//
// The product and the bias are separate on purpose: the next reader of the product (attention, an activation, a
// junction) adds the bias on the fly, which saves a pass over memory, and sums its gradient where it is available.
//
// Legend: R rows (tokens or sentences), I inputs, O outputs.

import TuttiKernels

/// The plan of a dense layer.
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

    /// Its tensors: all weights, then all biases, so that both are contiguous.
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

    /// [O] the bias to add to the product; nil = none.
    func bias(_ parameters: ParameterStore) -> UnsafePointer<Float>? {
        bias.map { UnsafePointer(parameters.pointer($0)) }
    }

    /// [O] where the bias gradient accumulates, for a kernel that sums it; nil = there is no bias.
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

    /// dX [R, I] = dY W, or dX += dY W if the residual stream accumulates.
    func inputGradient(_ dY: Matrix, _ parameters: ParameterStore, into dX: Matrix, accumulates: Bool = false) {
        Gemm.multiply(dY, parameters.matrix(weight), into: dX, beta: accumulates ? 1 : 0)
    }
}
