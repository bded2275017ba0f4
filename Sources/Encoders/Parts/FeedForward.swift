// The position-wise feed-forward branch up to its output projection, forward and backward.
//
// Only the pre-activation u is kept; its activation is recomputed in backward, which costs less than its memory.
// Legend: T packed tokens, D hidden, F inner. Reference: BertIntermediate and BertOutput in transformers.

import TuttiKernels

/// The plan of a feed-forward branch.
package struct FeedForwardPlan: Sendable, Equatable {
    /// [F, D]
    package let inner: LinearPlan
    /// [D, F]
    package let output: LinearPlan
    let activation: Activation
}

extension FeedForwardPlan: BranchPart {
    var products: [BranchPlan.Product] {
        [
            .init(name: "inner", linear: inner, readsStream: true),
            .init(name: "output", linear: output, readsStream: false),
        ]
    }

    var room: BranchPlan.Room { .init(activated: inner.outputs, wide: inner.outputs) }
}

/// f(x W1^T + b1) W2^T.
struct FeedForward: Sendable {
    let output: Linear  // [D, F]
    private let inner: Linear  // [F, D]
    private let innerWidth: Int
    private let activation: Activation

    /// What backward needs in addition to the input.
    struct Saved {
        let preactivation: Matrix  // [T, F], bias not yet added
    }

    init(_ plan: FeedForwardPlan, _ layout: ParameterLayout) {
        output = Linear(plan.output, layout)
        inner = Linear(plan.inner, layout)
        innerWidth = plan.inner.outputs
        activation = plan.activation
    }

    func allocate(tokens: Int, arena: inout Arena) -> Saved {
        Saved(preactivation: arena.matrix(tokens, innerWidth))
    }

    /// product [T, D] from input [T, D]. Without a backward the activation overwrites the pre-activation.
    func forward(
        _ input: Matrix, _ parameters: ParameterStore, saved: Saved, scratch: Stage.ForwardScratch,
        into product: Matrix
    ) {
        let activated = scratch.activated?.matrix(innerWidth) ?? saved.preactivation  // [T, F]
        inner.multiply(input, parameters, into: saved.preactivation)
        RowKernels.activation(activation, saved.preactivation, bias: inner.bias(parameters), into: activated)
        output.multiply(activated, parameters, into: product)
    }

    /// dInput [T, D] from dProduct [T, D], assigned or accumulated; the pre-activation is overwritten.
    func backward(
        _ dProduct: Matrix, input: Matrix, _ parameters: ParameterStore, saved: Saved, scratch: Stage.BackwardScratch,
        into dInput: Matrix, accumulates: Bool
    ) {
        let dInner = scratch.wide.matrix(innerWidth)  // [T, F]
        let activated = saved.preactivation
        output.inputGradient(dProduct, parameters, into: dInner)
        RowKernels.activationWithGradient(
            activation, saved.preactivation, bias: inner.bias(parameters), dOutput: dInner, activated: activated)
        output.accumulateWeightGradient(dProduct, activated, parameters)
        inner.accumulateGradients(dInner, input, parameters)
        inner.inputGradient(dInner, parameters, into: dInput, accumulates: accumulates)
    }
}
