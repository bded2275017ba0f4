// The parts of a layer: branches of three kinds, each read by a junction. A closed set with exhaustive switches, so
// that stages are plain values and a pass does not allocate.
//
// Legend: T packed tokens, D hidden.

import TuttiKernels

/// The plan of a branch.
package enum BranchPlan: Sendable, Equatable {
    case selfAttention(SelfAttentionPlan)
    case crossAttention(CrossAttentionPlan)
    case feedForward(FeedForwardPlan)

    /// The plan of its kind.
    private var part: any BranchPart {
        switch self {
        case .selfAttention(let plan): plan
        case .crossAttention(let plan): plan
        case .feedForward(let plan): plan
        }
    }

    /// A weight matrix of a layer.
    package struct Product {
        /// Its name in measurements.
        package let name: String
        /// Its widths.
        package let linear: LinearPlan
        /// Whether its input is the stream, whose gradient it adds to.
        package let readsStream: Bool
    }

    /// Widths of the scratch that branches share.
    struct Room {
        /// Activations of a forward.
        var activated = 0
        /// Gradient of the attention context.
        var context = 0
        /// Gradient of the widest projection.
        var wide = 0

        /// Enough for either.
        func joined(with other: Room) -> Room {
            Room(
                activated: max(activated, other.activated), context: max(context, other.context),
                wide: max(wide, other.wide))
        }
    }

    /// The products, in forward order.
    package var products: [Product] { part.products }
    /// Its weight matrices, in the order in which backward finishes their gradients.
    var linears: [LinearPlan] { part.linears }
    /// The scratch that it needs.
    var room: Room { part.room }
    /// Its attention score biases.
    var positions: PositionsPlan { part.positions }
    /// Its tensors, in the order in which backward finishes their gradients.
    var tensors: [TensorSpecification] { part.vectors + linears.flatMap(\.tensors) + positions.tensors }
}

/// The plan of one kind of branch.
protocol BranchPart {
    /// The products, in forward order.
    var products: [BranchPlan.Product] { get }
    /// Its weight matrices, in the order in which backward finishes their gradients: the products' from the last to the
    /// first, if there are no others.
    var linears: [LinearPlan] { get }
    /// Tensors beside those of its matrices and biases; none by default.
    var vectors: [TensorSpecification] { get }
    /// The scratch that it needs.
    var room: BranchPlan.Room { get }
    /// Its attention score biases; none by default.
    var positions: PositionsPlan { get }
}

extension BranchPart {
    var linears: [LinearPlan] { products.reversed().map(\.linear) }
    var vectors: [TensorSpecification] { [] }
    var positions: PositionsPlan { .none }
}

/// A branch from the residual stream to a product whose bias the junction adds.
enum Branch: Sendable {
    case selfAttention(SelfAttention)
    case crossAttention(CrossAttention)
    case feedForward(FeedForward)

    /// What backward needs in addition to the input.
    enum Saved {
        case selfAttention(SelfAttention.Saved)
        case crossAttention(CrossAttention.Saved)
        case feedForward(FeedForward.Saved)
    }

    /// A branch that draws its masks in `layer`; `isLowest` = no layer below has the same kind of biases.
    init(
        _ plan: BranchPlan, layer: Int, _ positions: Positions, _ rotations: [RotaryPlan], isLowest: Bool,
        _ layout: ParameterLayout
    ) {
        switch plan {
        case .selfAttention(let plan):
            self = .selfAttention(
                SelfAttention(plan, layer: layer, positions, rotations, isLowest: isLowest, layout))
        case .crossAttention(let plan): self = .crossAttention(CrossAttention(plan, layer: layer, layout))
        case .feedForward(let plan): self = .feedForward(FeedForward(plan, layer: layer, layout))
        }
    }

    /// The site of its dropout before the residual sum.
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
        return branch.scratchCount(pass, parameters)
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
            branch.forward(input, pass, parameters, saved: saved, scratch: scratch, into: product)
        default: preconditionFailure("Branch: saved by a branch of another kind")
        }
    }

    /// dInput [T, D] from dProduct [T, D]: added if the residual stream accumulates, else assigned; nil = nobody wants it.
    func backward(
        _ dProduct: Matrix, input: Matrix, _ pass: PassContext, _ parameters: ParameterStore, saved: Saved,
        scratch: Stage.BackwardScratch, into dInput: Matrix?, accumulates: Bool
    ) {
        switch (self, saved) {
        case (.selfAttention(let branch), .selfAttention(let saved)):
            branch.backward(
                dProduct, input: input, pass, parameters, saved: saved, scratch: scratch, into: dInput,
                accumulates: accumulates)
        case (.crossAttention(let branch), .crossAttention(let saved)):
            branch.backward(dProduct, pass, parameters, saved: saved, scratch: scratch)
            if !accumulates { dInput?.fill(0) }
        case (.feedForward(let branch), .feedForward(let saved)):
            branch.backward(
                dProduct, input: input, pass, parameters, saved: saved, scratch: scratch, into: dInput,
                accumulates: accumulates)
        default: preconditionFailure("Branch: saved by a branch of another kind")
        }
    }
}
