// CNN: one-dimensional convolutions of several widths over the tokens of a text, their outputs side by side.
//
// Each is a product: the neighbourhoods of all tokens, unrolled, times the weight as it is stored. Beyond the ends of a
// text stands zero. In the reference a text that is padded to a longer one of its batch has there what the encoder gives for
// padding, so that its last vectors depend on the batch; a text alone has zeros, and that is what is computed here.
//
// Legend: T packed tokens, I input width, O channels of a convolution, K its width. Reference: torch.nn.Conv1d.

import TuttiKernels

/// The settings of CNN.
package struct ConvolutionPlan: Sendable, Equatable {
    /// The module's folder.
    package let name: String
    /// I.
    package let inputWidth: Int
    /// O.
    package let channels: Int
    /// K of each convolution, all odd: an even one would make texts shorter.
    package let widths: [Int]

    /// Convolutions of these widths.
    package init(name: String, inputWidth: Int, channels: Int, widths: [Int]) {
        precondition(widths.allSatisfy { $0 % 2 == 1 }, "CNN: kernels of \(widths)")
        self.name = name
        self.inputWidth = inputWidth
        self.channels = channels
        self.widths = widths
    }

    /// Channels of all convolutions.
    package var outputWidth: Int { channels * widths.count }

    /// Its tensors.
    package var tensors: [TensorSpecification] {
        widths.indices.flatMap {
            [
                TensorSpecification("\(name).convs.\($0).weight", [channels, inputWidth, widths[$0]]),
                TensorSpecification("\(name).convs.\($0).bias", [channels]),
            ]
        }
    }
}

/// The convolutions, resolved.
struct Convolution: Sendable {
    private let plan: ConvolutionPlan
    private let weights: [TensorSlot]  // [O, I K] each
    private let biases: [TensorSlot]  // [O] each

    init(_ plan: ConvolutionPlan, _ layout: ParameterLayout) {
        self.plan = plan
        weights = plan.widths.indices.map { TensorSlot(layout, "\(plan.name).convs.\($0).weight") }
        biases = plan.widths.indices.map { TensorSlot(layout, "\(plan.name).convs.\($0).bias") }
    }

    /// output [T, O n] = the convolutions of input [T, I]; returns their unrolled inputs [T, I K] for backward.
    func forward(
        _ input: Matrix, _ pass: PassContext, _ parameters: ParameterStore, into output: Matrix, arena: inout Arena
    ) -> [Matrix] {
        plan.widths.indices.map { place in
            let width = plan.widths[place]
            let unrolled = arena.matrix(input.rows, plan.inputWidth * width)  // [T, I K]
            unroll(input, width, pass, into: unrolled)
            let own = output.columns(place * plan.channels..<(place + 1) * plan.channels)
            Gemm.multiply(unrolled, parameters.matrix(weights[place]), transposeB: true, into: own)
            RowKernels.addBias(own, bias: parameters.pointer(biases[place]))
            return unrolled
        }
    }

    /// dInput [T, I] of dOutput [T, O n]; parameter gradients accumulate.
    func backward(
        _ unrolled: [Matrix], _ pass: PassContext, _ parameters: ParameterStore, dOutput: Matrix, into dInput: Matrix,
        arena: inout Arena
    ) {
        dInput.fill(0)
        for place in plan.widths.indices {
            let own = dOutput.columns(place * plan.channels..<(place + 1) * plan.channels)
            if let dWeight = parameters.gradientMatrix(weights[place]) {
                Gemm.multiply(own, transposeA: true, unrolled[place], into: dWeight, beta: 1)
            }
            if let dBias = parameters.gradientPointer(biases[place]) { RowKernels.biasGradient(own, into: dBias) }
            let gradient = arena.matrix(dInput.rows, unrolled[place].columns)  // [T, I K]
            Gemm.multiply(own, parameters.matrix(weights[place]), into: gradient)
            rollUp(gradient, plan.widths[place], pass, into: dInput)
        }
    }

    /// unrolled[t, i K + k] = input[t + k - K / 2, i], zero beyond the ends of a text.
    private func unroll(_ input: Matrix, _ width: Int, _ pass: PassContext, into unrolled: Matrix) {
        Parallel.forRange(pass.sequences, grain: 4) { sequences in
            for s in sequences {
                let text = Int(pass.tokens.offsets[s])..<Int(pass.tokens.offsets[s + 1])
                for t in text {
                    for k in 0..<width {
                        let (place, to) = (t + k - width / 2, unrolled.row(t) + k)
                        guard text.contains(place) else {
                            for i in 0..<plan.inputWidth { to[i * width] = 0 }
                            continue
                        }
                        let from = input.row(place)
                        for i in 0..<plan.inputWidth { to[i * width] = from[i] }
                    }
                }
            }
        }
    }

    /// The adjoint of `unroll`, added to `dInput`.
    private func rollUp(_ gradient: Matrix, _ width: Int, _ pass: PassContext, into dInput: Matrix) {
        Parallel.forRange(pass.sequences, grain: 4) { sequences in
            for s in sequences {
                let text = Int(pass.tokens.offsets[s])..<Int(pass.tokens.offsets[s + 1])
                for t in text {
                    for k in 0..<width where text.contains(t + k - width / 2) {
                        let (from, to) = (gradient.row(t) + k, dInput.row(t + k - width / 2))
                        for i in 0..<plan.inputWidth { to[i] += from[i * width] }
                    }
                }
            }
        }
    }
}
