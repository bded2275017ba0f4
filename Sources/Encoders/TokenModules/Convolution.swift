// CNN: one-dimensional convolutions of several widths over the tokens of a text, their outputs side by side.
//
// In the reference a text that is padded to a longer one of its batch has, beyond its end, what the encoder gives for
// padding, so that its last vectors depend on the batch; a text alone has zeros, and that is what is computed here.
//
// Legend: T packed tokens, I input width, O channels of a convolution, K its width.

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
    package var tensors: [TensorSpecification] { convolutions.flatMap(\.tensors) }

    fileprivate var convolutions: [TokenConvolutionPlan] {
        widths.enumerated().map { place, width in
            TokenConvolutionPlan(name: "\(name).convs.\(place)", inputs: inputWidth, outputs: channels, width: width)
        }
    }
}

/// The convolutions, resolved.
struct Convolution: Sendable {
    private let channels: Int
    private let convolutions: [TokenConvolution]

    init(_ plan: ConvolutionPlan, _ layout: ParameterLayout) {
        channels = plan.channels
        convolutions = plan.convolutions.map { TokenConvolution($0, layout) }
    }

    /// output [T, O n] = the convolutions of input [T, I]; returns their unrolled inputs [T, I K] for backward.
    func forward(
        _ input: Matrix, _ pass: PassContext, _ parameters: ParameterStore, into output: Matrix, arena: inout Arena
    ) -> [Matrix] {
        convolutions.enumerated().map { place, convolution in
            convolution.forward(input, pass, parameters, into: own(output, place), arena: &arena)
        }
    }

    /// dInput [T, I] of dOutput [T, O n]; parameter gradients accumulate. The unrolled inputs are overwritten.
    func backward(
        _ unrolled: [Matrix], _ pass: PassContext, _ parameters: ParameterStore, dOutput: Matrix, into dInput: Matrix
    ) {
        dInput.fill(0)
        for (place, convolution) in convolutions.enumerated() {
            let dOwn = own(dOutput, place)
            convolution.accumulateGradients(dOwn, unrolled: unrolled[place], parameters)
            convolution.addInputGradient(dOwn, pass, parameters, room: unrolled[place], to: dInput)
        }
    }

    /// The columns of one convolution.
    private func own(_ matrix: Matrix, _ place: Int) -> Matrix {
        matrix.columns(place * channels..<(place + 1) * channels)
    }
}
