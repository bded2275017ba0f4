// What a layer is made of: branches of three kinds, each read by a junction. A closed set with exhaustive switches, so
// that stages are plain values and a pass allocates nothing.
//
// Legend: T packed tokens, D hidden.

import TuttiKernels

/// A branch as a plan describes it.
package enum BranchPlan: Sendable, Equatable {
    case selfAttention(SelfAttentionPlan)
    case crossAttention(CrossAttentionPlan)
    case feedForward(FeedForwardPlan)

    /// Its weight matrices, in the order in which backward finishes their gradients.
    var linears: [LinearPlan] {
        switch self {
        case .selfAttention(let plan): [plan.output, plan.projection]
        case .crossAttention(let plan): [plan.output, plan.value, plan.key, plan.query]
        case .feedForward(let plan): [plan.output, plan.inner]
        }
    }

    /// What it adds to attention scores.
    var positions: PositionsPlan {
        if case .selfAttention(let plan) = self { plan.positions } else { .none }
    }

    /// Its tensors, in the order in which backward finishes their gradients.
    var tensors: [TensorSpecification] { linears.flatMap(\.tensors) + positions.tensors }
}

/// A branch from the residual stream to a product whose bias the junction adds.
enum Branch: Sendable {
    case selfAttention(SelfAttention)
    case crossAttention(CrossAttention)
    case feedForward(FeedForward)

    /// What backward needs besides the input.
    enum Saved {
        case selfAttention(SelfAttention.Saved)
        case crossAttention(CrossAttention.Saved)
        case feedForward(FeedForward.Saved)
    }

    /// A branch that draws its masks in `layer`; `isLowest` = no layer below has the same kind of biases.
    init(_ plan: BranchPlan, layer: Int, _ positions: Positions, isLowest: Bool, _ layout: ParameterLayout) {
        switch plan {
        case .selfAttention(let plan):
            self = .selfAttention(SelfAttention(plan, layer: layer, positions, isLowest: isLowest, layout))
        case .crossAttention(let plan): self = .crossAttention(CrossAttention(plan, layer: layer, layout))
        case .feedForward(let plan): self = .feedForward(FeedForward(plan, layout))
        }
    }

    /// Where its dropout is drawn before the residual sum.
    var site: DropoutSite {
        switch self {
        case .selfAttention, .crossAttention: .attentionOutput
        case .feedForward: .feedForwardOutput
        }
    }

    /// The output projection: the junction adds its bias and sums the bias's gradient.
    var output: Linear {
        switch self {
        case .selfAttention(let branch): branch.output
        case .crossAttention(let branch): branch.output
        case .feedForward(let branch): branch.output
        }
    }

    /// Floats of scratch for its kernels in this pass.
    func scratchCount(_ pass: PassContext, _ parameters: ParameterStore) -> Int {
        guard case .selfAttention(let branch) = self else { return 0 }
        return branch.kernel(pass, parameters).scratchCount
    }

    func allocate(tokens: Int, arena: inout Arena) -> Saved {
        switch self {
        case .selfAttention(let branch): .selfAttention(branch.allocate(tokens: tokens, arena: &arena))
        case .crossAttention(let branch): .crossAttention(branch.allocate(tokens: tokens, arena: &arena))
        case .feedForward(let branch): .feedForward(branch.allocate(tokens: tokens, arena: &arena))
        }
    }

    /// product [T, D] from input [T, D].
    func forward(
        _ input: Matrix, _ pass: PassContext, _ parameters: ParameterStore, saved: Saved, scratch: Stage.ForwardScratch,
        into product: Matrix
    ) {
        switch (self, saved) {
        case (.selfAttention(let branch), .selfAttention(let saved)):
            branch.forward(input, pass, parameters, saved: saved, scratch: scratch.kernel, into: product)
        case (.crossAttention(let branch), .crossAttention(let saved)):
            branch.forward(pass, parameters, saved: saved, into: product)
        case (.feedForward(let branch), .feedForward(let saved)):
            branch.forward(input, parameters, saved: saved, scratch: scratch, into: product)
        default: preconditionFailure("Branch: saved by a branch of another kind")
        }
    }

    /// dInput [T, D] from dProduct [T, D]: added where the residual stream accumulates, else assigned.
    func backward(
        _ dProduct: Matrix, input: Matrix, _ pass: PassContext, _ parameters: ParameterStore, saved: Saved,
        scratch: Stage.BackwardScratch, into dInput: Matrix, accumulates: Bool
    ) {
        switch (self, saved) {
        case (.selfAttention(let branch), .selfAttention(let saved)):
            branch.backward(
                dProduct, input: input, pass, parameters, saved: saved, scratch: scratch, into: dInput,
                accumulates: accumulates)
        case (.crossAttention(let branch), .crossAttention(let saved)):
            branch.backward(dProduct, pass, parameters, saved: saved, scratch: scratch)
            if !accumulates { dInput.fill(0) }
        case (.feedForward(let branch), .feedForward(let saved)):
            branch.backward(
                dProduct, input: input, parameters, saved: saved, scratch: scratch, into: dInput,
                accumulates: accumulates)
        default: preconditionFailure("Branch: saved by a branch of another kind")
        }
    }
}
