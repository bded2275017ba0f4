// The position-wise feed-forward branch up to its output projection, forward and backward: plain, or gated.
//
// Only the pre-activation u is kept; its activation is recomputed in backward, which costs less than its memory. A gated
// branch has one product for gate and factor, whose halves lie side by side: one tensor, or two modules side by side.
// Legend: T packed tokens, D hidden, F inner, G = F, or 2 F of a gated branch. Reference: BertIntermediate and BertOutput;
// Shazeer 2020, arXiv 2002.05202, for the gates.

import TuttiKernels

/// The plan of a feed-forward branch.
package struct FeedForwardPlan: Sendable, Equatable {
    /// [G, D]
    package let inner: LinearPlan
    /// [D, F]
    package let output: LinearPlan
    package let activation: Activation
    /// The activated half of a gated branch; nil = the branch is plain.
    package var gate: GatedHalf?
    /// Dropout of what the output projection reads, used only during training.
    var dropout: Float = 0

    /// F.
    package var width: Int { gate == nil ? inner.outputs : inner.outputs / 2 }
}

extension FeedForwardPlan: BranchPart {
    var products: [BranchPlan.Product] {
        [
            .init(name: "inner", linear: inner, readsStream: true),
            .init(name: "output", linear: output, readsStream: false),
        ]
    }

    var room: BranchPlan.Room { .init(activated: width, wide: width) }
}

/// f(x W1^T + b1) W2^T, or (f(u) * v) W2^T of the halves u and v of x W1^T + b1.
struct FeedForward: Sendable {
    let output: Linear  // [D, F]
    private let inner: Linear  // [G, D]
    private let innerWidth: Int
    private let width: Int
    private let activation: Activation
    private let gate: GatedHalf?
    private let dropout: Float
    /// The layer in the dropout keys.
    private let layer: Int

    /// What backward needs in addition to the input.
    struct Saved {
        let preactivation: Matrix  // [T, G], bias not yet added
    }

    /// A branch that draws its masks in `layer`.
    init(_ plan: FeedForwardPlan, layer: Int, _ layout: ParameterLayout) {
        output = Linear(plan.output, layout)
        inner = Linear(plan.inner, layout)
        innerWidth = plan.inner.outputs
        width = plan.width
        activation = plan.activation
        gate = plan.gate
        dropout = plan.dropout
        self.layer = layer
    }

    func allocate(tokens: Int, arena: inout Arena) -> Saved {
        Saved(preactivation: arena.matrix(tokens, innerWidth))
    }

    /// product [T, D] from input [T, D]. Without a backward the activation overwrites the pre-activation.
    func forward(
        _ input: Matrix, _ pass: PassContext, _ parameters: ParameterStore, saved: Saved,
        scratch: Stage.ForwardScratch, into product: Matrix
    ) {
        let activated = scratch.activated?.matrix(width) ?? saved.preactivation.columns(0..<width)  // [T, F]
        let draw = pass.draw(layer: layer)
        inner.multiply(input, parameters, draw: draw, into: saved.preactivation)
        if let gate {
            RowKernels.gated(activation, of: gate, saved.preactivation, bias: gatedBias(parameters), into: activated)
        } else {
            RowKernels.activation(
                activation, saved.preactivation, bias: inner.bias(parameters), into: activated)
        }
        RowKernels.dropout(activated, mask(pass), into: activated)
        output.multiply(activated, parameters, draw: draw, into: product)
    }

    /// dInput [T, D] from dProduct [T, D], assigned or accumulated; nil = nobody wants it. The pre-activation is
    /// overwritten.
    func backward(
        _ dProduct: Matrix, input: Matrix, _ pass: PassContext, _ parameters: ParameterStore, saved: Saved,
        scratch: Stage.BackwardScratch, into dInput: Matrix?, accumulates: Bool
    ) {
        let (wide, mask, draw) = (scratch.wide.matrix(width), mask(pass), pass.draw(layer: layer))  // [T, F]
        output.inputGradient(dProduct, parameters, draw: draw, into: wide)
        RowKernels.dropout(wide, mask, into: wide)
        // Either kernel recomputes the activation; of the two matrices it fills, the gated one swaps the roles.
        let (activated, dInner) = gate == nil ? (saved.preactivation, wide) : (wide, saved.preactivation)
        if let gate {
            RowKernels.gatedWithGradient(
                activation, of: gate, saved.preactivation, bias: gatedBias(parameters), dOutput: wide)
        } else {
            RowKernels.activationWithGradient(
                activation, saved.preactivation, bias: inner.bias(parameters), dOutput: wide, activated: activated)
        }
        RowKernels.dropout(activated, mask, into: activated)
        output.accumulateWeightGradient(dProduct, activated, parameters, draw: draw)
        inner.accumulateGradients(dInner, input, parameters, draw: draw)
        if let dInput { inner.inputGradient(dInner, parameters, draw: draw, into: dInput, accumulates: accumulates) }
    }

    private func gatedBias(_ parameters: ParameterStore) -> GatedBias? {
        GatedBias(inner.bias(parameters), inner.bias(parameters, from: width))
    }

    private func mask(_ pass: PassContext) -> DropoutMask? {
        pass.mask(layer: layer, .feedForwardInner, rate: dropout)
    }
}
