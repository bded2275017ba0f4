// A one-dimensional convolution over the tokens of a text: y[t] = sum over k of W[:, :, k] x[t + k - K / 2], plus b.
//
// It is a product: the neighbourhoods of all tokens, unrolled, times the weight as it is stored; with groups, one product
// each. Beyond the ends of a text is zero, whatever the next text of the batch.
//
// Legend: T packed tokens, I inputs, O outputs, K width, G groups. Reference: torch.nn.Conv1d with padding K / 2.

import TuttiKernels

/// The plan of a convolution; its tensors are `<name>.weight` and `<name>.bias`.
package struct TokenConvolutionPlan: Sendable, Equatable {
    package let name: String
    /// I.
    package let inputs: Int
    /// O.
    package let outputs: Int
    /// K, odd: an even one would make texts shorter.
    package let width: Int
    /// G: each reads its own I / G inputs and gives its own O / G outputs.
    package var groups = 1

    /// Its tensors.
    var tensors: [TensorSpecification] {
        [.init(name + ".weight", [outputs, inputs / groups, width]), .init(name + ".bias", [outputs])]
    }

    /// Numbers of the weight.
    var weights: Int { outputs * (inputs / groups) * width }
}

/// A convolution over the parameters of a store.
struct TokenConvolution: Sendable {
    private let plan: TokenConvolutionPlan
    private let weight: TensorSlot  // [O, I / G K]
    private let bias: TensorSlot  // [O]

    init(_ plan: TokenConvolutionPlan, _ layout: ParameterLayout) {
        precondition(plan.width % 2 == 1, "TokenConvolution: \(plan.width) tokens wide")
        self.plan = plan
        weight = TensorSlot(layout, plan.name + ".weight")
        bias = TensorSlot(layout, plan.name + ".bias")
    }

    /// y [T, O] of x [T, I]; returns x unrolled [T, I K], which backward reads.
    func forward(
        _ x: Matrix, _ pass: PassContext, _ parameters: ParameterStore, into y: Matrix, arena: inout Arena
    ) -> Matrix {
        let unrolled = arena.matrix(x.rows, plan.inputs * plan.width)
        unroll(x, pass, into: unrolled)
        for group in 0..<plan.groups {
            Gemm.multiply(
                unrolled.columns(neighbours(of: group)), parameters.matrix(weight).rows(outputs(of: group)),
                transposeB: true, into: y.columns(outputs(of: group)))
        }
        RowKernels.addBias(y, bias: parameters.pointer(bias))
        return unrolled
    }

    /// The gradients of weight and bias, which accumulate, from dY [T, O] and x unrolled.
    func accumulateGradients(_ dY: Matrix, unrolled: Matrix, _ parameters: ParameterStore) {
        if let dWeight = parameters.gradientMatrix(weight) {
            for group in 0..<plan.groups {
                Gemm.multiply(
                    dY.columns(outputs(of: group)), transposeA: true, unrolled.columns(neighbours(of: group)),
                    into: dWeight.rows(outputs(of: group)), beta: 1)
            }
        }
        if let dBias = parameters.gradientPointer(bias) { RowKernels.biasGradient(dY, into: dBias) }
    }

    /// dX [T, I] += the gradient from dY [T, O]; `room` [T, I K] is overwritten.
    func addInputGradient(
        _ dY: Matrix, _ pass: PassContext, _ parameters: ParameterStore, room: Matrix, to dX: Matrix
    ) {
        for group in 0..<plan.groups {
            Gemm.multiply(
                dY.columns(outputs(of: group)), parameters.matrix(weight).rows(outputs(of: group)),
                into: room.columns(neighbours(of: group)))
        }
        rollUp(room, pass, to: dX)
    }

    /// The columns of y, and rows of the weight.
    private func outputs(of group: Int) -> Range<Int> {
        let count = plan.outputs / plan.groups
        return group * count..<(group + 1) * count
    }

    /// The columns of x unrolled.
    private func neighbours(of group: Int) -> Range<Int> {
        let count = plan.inputs / plan.groups * plan.width
        return group * count..<(group + 1) * count
    }

    /// unrolled[t, i K + k] = x[t + k - K / 2, i], zero beyond the ends of a text.
    private func unroll(_ x: Matrix, _ pass: PassContext, into unrolled: Matrix) {
        let width = plan.width
        Parallel.forRange(pass.sequences, grain: 4) { sequences in
            for s in sequences {
                let text = Int(pass.tokens.offsets[s])..<Int(pass.tokens.offsets[s + 1])
                for t in text {
                    for k in 0..<width {
                        let (place, to) = (t + k - width / 2, unrolled.row(t) + k)
                        guard text.contains(place) else {
                            for i in 0..<plan.inputs { to[i * width] = 0 }
                            continue
                        }
                        let from = x.row(place)
                        for i in 0..<plan.inputs { to[i * width] = from[i] }
                    }
                }
            }
        }
    }

    /// The adjoint of `unroll`, added to `dX`.
    private func rollUp(_ gradient: Matrix, _ pass: PassContext, to dX: Matrix) {
        let width = plan.width
        Parallel.forRange(pass.sequences, grain: 4) { sequences in
            for s in sequences {
                let text = Int(pass.tokens.offsets[s])..<Int(pass.tokens.offsets[s + 1])
                for t in text {
                    for k in 0..<width where text.contains(t + k - width / 2) {
                        let (from, to) = (gradient.row(t) + k, dX.row(t + k - width / 2))
                        for i in 0..<plan.inputs { to[i] += from[i * width] }
                    }
                }
            }
        }
    }
}
