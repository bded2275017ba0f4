// One module between token vectors and pooling, resolved: [T, D] in, [T, D'] out, forward and backward.
//
// A mixture of layers reads the layers of the encoder, not the module before it; the engine feeds it (SequenceEncoder).

import TuttiKernels

/// A module over tokens with its parameters resolved.
struct TokenModule: Sendable {
    private enum Kind: Sendable {
        case wordWeights(WordWeights)
        case convolution(Convolution)
        case recurrence(Recurrence)
    }

    private let kind: Kind
    private let inputWidth: Int
    private let outputWidth: Int

    /// What backward needs.
    struct Saved {
        let input: Matrix  // [T, D]
        let output: Matrix  // [T, D']
        /// [T, D K] of each convolution.
        var unrolled: [Matrix] = []
        /// Of each direction of each layer of an LSTM.
        var moments: [Recurrence.Saved] = []
    }

    /// The module at `index` among the model's, by which dropout keys are told apart; nil for a mixture of layers.
    init?(_ plan: TokenModulePlan, index: Int, inputWidth: Int, _ layout: ParameterLayout) {
        switch plan {
        case .wordWeights(let plan): kind = .wordWeights(WordWeights(plan, layout))
        case .convolution(let plan): kind = .convolution(Convolution(plan, layout))
        case .recurrence(let plan): kind = .recurrence(Recurrence(plan, index: index, layout))
        case .layerMixture: return nil
        }
        self.inputWidth = inputWidth
        outputWidth = plan.outputWidth(from: inputWidth)
    }

    /// Forward; everything that backward needs is in the result. Weights of words leave their sums in `pass`.
    func forward(
        _ input: Matrix, _ pass: inout PassContext, _ parameters: ParameterStore, arena: inout Arena
    ) -> Saved {
        var saved = Saved(input: input, output: arena.matrix(input.rows, outputWidth))
        switch kind {
        case .wordWeights(let weights):
            let sums = WeightSums(count: pass.sequences, arena: &arena)
            weights.forward(input, pass, parameters, sums: sums.values, into: saved.output)
            pass.weightSums = sums
        case .convolution(let convolution):
            saved.unrolled = convolution.forward(input, pass, parameters, into: saved.output, arena: &arena)
        case .recurrence(let recurrence):
            saved.moments = recurrence.forward(input, pass, parameters, into: saved.output, arena: &arena)
        }
        return saved
    }

    /// Gradient of the input from that of the output, which may be overwritten; parameter gradients accumulate.
    func backward(
        _ saved: Saved, _ pass: PassContext, dOutput: Matrix, _ parameters: ParameterStore, arena: inout Arena
    ) -> Matrix {
        switch kind {
        case .wordWeights(let weights):
            guard let sums = pass.weightSums else { preconditionFailure("WordWeights: a pass without a forward") }
            weights.backward(saved.input, pass, parameters, dSums: sums.gradients, inPlace: dOutput)
            return dOutput
        case .convolution(let convolution):
            let dInput = arena.matrix(dOutput.rows, inputWidth)
            convolution.backward(saved.unrolled, pass, parameters, dOutput: dOutput, into: dInput)
            return dInput
        case .recurrence(let recurrence):
            let dInput = arena.matrix(dOutput.rows, inputWidth)
            recurrence.backward(saved.moments, pass, parameters, dOutput: dOutput, into: dInput, arena: &arena)
            return dInput
        }
    }
}

/// The sums of the weights of each sequence's words, by which means over tokens divide, and their gradients.
struct WeightSums {
    /// [S]
    let values: UnsafeMutablePointer<Float>
    /// [S] added to by the backward of pooling.
    let gradients: UnsafeMutablePointer<Float>

    init(count: Int, arena: inout Arena) {
        values = arena.floats(count)
        gradients = arena.floats(count)
        gradients.update(repeating: 0, count: count)
    }
}
