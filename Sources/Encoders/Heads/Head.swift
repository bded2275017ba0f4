// One module after pooling: rows [R, D] in, rows [R, D'] out, forward and backward, by an exhaustive switch.
//
// Rows are sentence vectors, R = taps * S, tap by tap. A row's dropout key is that of its sequence, so that the mask of a
// tap does not depend on the other taps.

import TuttiKernels

/// A module after pooling with its parameters resolved.
struct Head: Sendable {
    let configuration: HeadConfiguration
    /// Index among the model's heads; dropout keys count down from it.
    let index: Int
    let inputWidth: Int
    let outputWidth: Int
    /// The product of dense.
    private let linear: Linear?
    /// The product of dense's residual.
    private let residual: Linear?
    /// The norm of layerNorm.
    private let norm: Norm?

    /// What backward needs.
    struct Saved {
        let input: Matrix  // [R, D]
        let output: Matrix  // [R, D']
        let preactivation: Matrix  // [R, D'] of dense, bias not yet added
        let lengths: UnsafeMutablePointer<Float>  // [R] of normalize
        let norm: Norm.Saved
        let mask: DropoutMask?
    }

    init(
        _ configuration: HeadConfiguration, index: Int, inputWidth: Int, outputWidth: Int, _ layout: ParameterLayout
    ) {
        self.configuration = configuration
        self.index = index
        self.inputWidth = inputWidth
        self.outputWidth = outputWidth
        linear = configuration.linear.map { Linear($0, layout) }
        residual = configuration.residual.map { Linear($0, layout) }
        norm = configuration.norm.map { Norm($0, layout) }
    }

    /// Forward; everything that backward needs is in the result.
    func forward(
        _ input: Matrix, _ pass: PassContext, _ parameters: ParameterStore, arena: inout Arena
    ) -> Saved {
        let rows = input.rows
        let needsPreactivation = if case .dense = configuration { true } else { false }
        let output = arena.matrix(rows, outputWidth)  // [R, D']
        let saved = Saved(
            input: input, output: output,
            preactivation: needsPreactivation ? arena.matrix(rows, outputWidth) : output,
            lengths: arena.floats(rows), norm: Norm.Saved(rows: rows, arena: &arena),
            mask: mask(pass, rows: rows, arena: &arena))
        switch configuration {
        case .tokens, .pooling: preconditionFailure("Head: pooling belongs to the encoder")
        case .normalize: RowKernels.normalize(input, norms: saved.lengths, into: output)
        case .dense(_, _, _, _, let activation, let hasResidual):
            guard let linear else { preconditionFailure("Head: dense without weight") }
            linear.multiply(input, parameters, into: saved.preactivation)
            RowKernels.activation(activation, saved.preactivation, bias: linear.bias(parameters), into: output)
            guard hasResidual else { break }
            if let residual {
                residual.multiply(input, parameters, into: output, accumulates: true)
            } else {
                output.add(input)
            }
        case .layerNorm:
            guard let norm else { preconditionFailure("Head: layer norm without parameters") }
            norm.forward(input, parameters, saved: saved.norm, into: output)
        case .dropout: RowKernels.dropout(input, saved.mask, into: output)
        }
        return saved
    }

    /// Gradient of the input from that of the output, which is overwritten; parameter gradients accumulate.
    func backward(
        _ saved: Saved, dOutput: Matrix, _ parameters: ParameterStore, scratch: UnsafeMutablePointer<Float>,
        arena: inout Arena
    ) -> Matrix {
        switch configuration {
        case .tokens, .pooling: preconditionFailure("Head: pooling belongs to the encoder")
        case .normalize:
            RowKernels.normalizeBackward(saved.output, norms: saved.lengths, dY: dOutput, into: dOutput)
            return dOutput
        case .dense(_, _, _, _, let activation, let hasResidual):
            guard let linear else { preconditionFailure("Head: dense without weight") }
            let dInput = arena.matrix(dOutput.rows, inputWidth)  // [R, D]
            if let residual {
                residual.accumulateWeightGradient(dOutput, saved.input, parameters)
                residual.inputGradient(dOutput, parameters, into: dInput)
            } else if hasResidual {
                dInput.copy(from: dOutput)
            }
            RowKernels.activationBackward(
                activation, saved.preactivation, bias: linear.bias(parameters), dOutput: dOutput, into: dOutput)
            if let dBias = linear.biasGradient(parameters) { RowKernels.biasGradient(dOutput, into: dBias) }
            linear.accumulateWeightGradient(dOutput, saved.input, parameters)
            linear.inputGradient(dOutput, parameters, into: dInput, accumulates: hasResidual)
            return dInput
        case .layerNorm:
            guard let norm else { preconditionFailure("Head: layer norm without parameters") }
            norm.backward(saved.input, parameters, saved: saved.norm, inPlace: dOutput, scratch: scratch)
            return dOutput
        case .dropout:
            RowKernels.dropout(dOutput, saved.mask, into: dOutput)
            return dOutput
        }
    }

    /// One key per row: a row counts as a sequence of one token.
    private func mask(_ pass: PassContext, rows: Int, arena: inout Arena) -> DropoutMask? {
        guard case .dropout(let rate) = configuration, rate > 0, let keys = pass.dropout?.sequenceKeys,
            pass.sequences > 0
        else { return nil }
        let rowKeys = arena.uint64s(rows)
        let offsets = arena.int32s(rows + 1)
        for row in 0...rows { offsets[row] = Int32(row) }
        for tap in 0..<rows / pass.sequences {
            Dropout.siteKeys(
                of: keys, count: pass.sequences, layer: UInt32.max - UInt32(index), site: UInt32(tap),
                into: rowKeys + tap * pass.sequences)
        }
        return DropoutMask(rate: rate, keys: rowKeys, offsets: offsets, sequences: rows)
    }
}
