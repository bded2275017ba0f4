// One branch and its junction, forward and hand-written backward, over packed tokens.
//
// The rules of every backward in this module, stated once:
// - parameter gradients accumulate (+=), so that columns, micro-batches and chunks add up;
// - activation gradients assign;
// - the residual stream's gradient accumulates: one matrix [T, D] passes down the encoder, the norm's backward rewrites it in
//   place and each branch of a post-LN model adds its part with beta = 1 in the last product, which saves a pass over
//   memory. In a pre-LN model the branch's part is assigned to a separate matrix, which the norm before it reads.
//
// Legend: T packed tokens, D hidden, F inner.

import TuttiKernels

/// The plan of a branch with its junction.
package struct StagePlan: Sendable, Equatable {
    /// What it computes.
    package let branch: BranchPlan
    /// How it joins the stream.
    package let junction: JunctionPlan

    /// Its tensors, in the order in which backward finishes their gradients.
    var tensors: [TensorSpecification] { junction.tensors + branch.tensors }
}

/// A branch of the residual stream and its junction.
struct Stage: Sendable {
    let branch: Branch
    let junction: Junction
    private let width: Int

    /// What backward needs.
    struct Saved {
        var input: Matrix  // [T, D] of the branch
        let branch: Branch.Saved
        let junction: Junction.Saved
    }

    /// What a backward computes of a stage: where nothing below is trained, no more than is needed.
    enum Extent: Sendable, Equatable {
        /// The gradients of its tensors and of the stream before it.
        case whole
        /// The gradients of its tensors.
        case tensors
        /// The gradients of its junction's tensors.
        case junction
    }

    /// The residual stream between two stages.
    struct Stream {
        /// [T, D] what the next junction adds to.
        var carried: Matrix
        /// [T, D] what the next branch reads.
        var input: Matrix
    }

    /// The gradients of a `Stream`: one matrix of a post-LN model, two of a pre-LN model.
    struct Gradient {
        let carried: Matrix  // [T, D]
        let input: Matrix  // [T, D]
    }

    /// Memory that the stages of a forward share.
    struct ForwardScratch {
        let kernel: UnsafeMutablePointer<Float>
        /// [T, F of the widest] activations; nil = they overwrite the pre-activations.
        let activated: Room?
    }

    /// Memory that the stages of a backward share.
    struct BackwardScratch {
        let kernel: UnsafeMutablePointer<Float>
        let branch: Matrix  // [T, D]
        let context: Room  // [T, D]
        let wide: Room  // [T, 3 D] or [T, F]
    }

    /// Rows for matrices of any width up to the widest.
    struct Room {
        let pointer: UnsafeMutablePointer<Float>
        let rows: Int
        let widest: Int

        init(rows: Int, widest: Int, arena: inout Arena) {
            pointer = arena.floats(rows * widest)
            self.rows = rows
            self.widest = widest
        }

        /// The memory as a matrix `columns` wide.
        func matrix(_ columns: Int) -> Matrix {
            precondition(columns <= widest, "Stage: \(columns) columns in room for \(widest)")
            return Matrix(pointer, rows, columns)
        }
    }

    /// A stage that draws its masks in `layer`; `isLowest` = no layer below has the same kind of biases.
    init(
        _ plan: StagePlan, layer: Int, _ positions: Positions, _ rotations: [RotaryPlan], isLowest: Bool,
        _ layout: ParameterLayout
    ) {
        branch = Branch(plan.branch, layer: layer, positions, rotations, isLowest: isLowest, layout)
        junction = Junction(plan.junction, layer: layer, site: branch.site, layout)
        width = plan.junction.norm.width
    }

    /// Activations of the stage: kept during training, otherwise shared by the layers.
    func allocate(input: Matrix, tokens: Int, arena: inout Arena) -> Saved {
        let branch = branch.allocate(tokens: tokens, arena: &arena)
        return Saved(
            input: input, branch: branch, junction: junction.allocate(tokens: tokens, width: width, arena: &arena))
    }

    /// The stream after the stage, whose normed sum is written to `normed` [T, D]; without a backward that may be any of
    /// the stream's matrices before the stage.
    func forward(
        _ stream: Stream, carries: CarriedSum, _ pass: PassContext, _ parameters: ParameterStore, saved: Saved,
        scratch: ForwardScratch, into normed: Matrix
    ) -> Stream {
        branch.forward(
            stream.input, pass, parameters, saved: saved.branch, scratch: scratch, into: saved.junction.product)
        junction.forward(
            bias: branch.output.bias(parameters), residual: stream.carried, pass, parameters, saved: saved.junction,
            into: normed)
        return Stream(carried: carries == .normed ? normed : saved.junction.sum, input: normed)
    }

    /// Replaces the gradients of the stream after the stage by those of the stream before it. `isFirst` = the stream
    /// before it is one matrix, read by the branch and carried on. `extent`: how much of it is wanted.
    func backward(
        _ gradient: Gradient, carries: CarriedSum, isFirst: Bool, extent: Extent = .whole, _ pass: PassContext,
        _ parameters: ParameterStore, saved: Saved, scratch: BackwardScratch
    ) {
        let isJoint = carries == .normed
        junction.backward(
            dNormed: gradient.input, dCarried: isJoint ? nil : gradient.carried, pass, parameters,
            saved: saved.junction, into: gradient.carried, dBranch: scratch.branch,
            dBias: branch.output.biasGradient(parameters), scratch: scratch.kernel)
        if extent == .junction { return }
        let accumulates = isJoint || isFirst
        let dInput = accumulates ? gradient.carried : gradient.input
        branch.backward(
            scratch.branch, input: saved.input, pass, parameters, saved: saved.branch, scratch: scratch,
            into: extent == .whole ? dInput : nil, accumulates: accumulates)
    }
}
