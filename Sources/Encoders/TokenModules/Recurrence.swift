// LSTM: long short-term memory over the tokens of a text, forwards or in both directions, in one layer or several.
//
// The texts of a batch advance together: a moment is a block of rows, one for each text that is so long, the longest text
// first. So the hidden state of the moment before is the head of the block before, a moment is one product for all texts,
// and the products with the inputs of all moments are one. Backwards means that a text's moments begin at its last token.
// This is what torch computes of packed sequences.
//
// Legend: T packed tokens, S sequences, I input width, H cells, n directions. Reference: torch.nn.LSTM.

import TuttiKernels

/// The settings of LSTM.
package struct RecurrencePlan: Sendable, Equatable {
    /// The module's folder.
    package let name: String
    /// I.
    package let inputWidth: Int
    /// H.
    package let cells: Int
    /// Layers, one above the other.
    package let layers: Int
    /// Whether texts are read from their end too.
    package let isBidirectional: Bool
    /// Dropout between layers, during training.
    package let dropout: Float

    /// An LSTM of these sizes.
    package init(name: String, inputWidth: Int, cells: Int, layers: Int, isBidirectional: Bool, dropout: Float) {
        (self.name, self.inputWidth, self.cells, self.layers) = (name, inputWidth, cells, layers)
        (self.isBidirectional, self.dropout) = (isBidirectional, dropout)
    }

    /// n H.
    package var outputWidth: Int { cells * (isBidirectional ? 2 : 1) }

    /// I of a layer.
    fileprivate func inputWidth(of layer: Int) -> Int { layer == 0 ? inputWidth : outputWidth }

    /// What stands behind the names of the tensors of a layer, by direction.
    fileprivate func endings(of layer: Int) -> [String] {
        (isBidirectional ? ["", "_reverse"] : [""]).map { "_l\(layer)\($0)" }
    }

    /// Its tensors, the last layer first.
    package var tensors: [TensorSpecification] {
        (0..<layers).reversed().flatMap { layer in
            endings(of: layer).flatMap { ending in
                [
                    TensorSpecification("\(name).encoder.weight_ih\(ending)", [4 * cells, inputWidth(of: layer)]),
                    TensorSpecification("\(name).encoder.weight_hh\(ending)", [4 * cells, cells]),
                    TensorSpecification("\(name).encoder.bias_ih\(ending)", [4 * cells]),
                    TensorSpecification("\(name).encoder.bias_hh\(ending)", [4 * cells]),
                ]
            }
        }
    }
}

/// The weights, resolved.
struct Recurrence: Sendable {
    private struct Direction: Sendable {
        let input: TensorSlot  // [4H, I]
        let hidden: TensorSlot  // [4H, H]
        let inputBias: TensorSlot  // [4H]
        let hiddenBias: TensorSlot  // [4H]
        let isBackward: Bool
    }

    /// What the backward of one direction of one layer needs; rows are moment by moment.
    struct Saved {
        let rows: UnsafeMutablePointer<Int32>  // [T] the token of each row
        let input: Matrix  // [T, I]
        let gates: Matrix  // [T, 4H]
        let cells: Matrix  // [T, H]
        let hidden: Matrix  // [T, H]
    }

    /// The blocks of moments.
    private struct Moments {
        /// The sequences, the longest first.
        let order: [Int]
        /// The rows of each moment.
        let blocks: [Range<Int>]

        init(_ pass: PassContext) {
            func length(_ s: Int) -> Int { Int(pass.tokens.offsets[s + 1] - pass.tokens.offsets[s]) }
            order = (0..<pass.sequences).sorted { length($0) != length($1) ? length($0) > length($1) : $0 < $1 }
            var (blocks, start, active) = ([Range<Int>](), 0, pass.sequences)
            for moment in 0..<pass.longest {
                while active > 0, length(order[active - 1]) <= moment { active -= 1 }
                blocks.append(start..<start + active)
                start += active
            }
            self.blocks = blocks
        }

        /// rows [T] = the token of each row.
        func number(_ pass: PassContext, isBackward: Bool, into rows: UnsafeMutablePointer<Int32>) {
            for (moment, block) in blocks.enumerated() {
                for (place, row) in block.enumerated() {
                    let s = order[place]
                    rows[row] =
                        isBackward
                        ? pass.tokens.offsets[s + 1] - 1 - Int32(moment) : pass.tokens.offsets[s] + Int32(moment)
                }
            }
        }
    }

    private let plan: RecurrencePlan
    private let layers: [[Direction]]
    /// Place among the model's modules; dropout keys count down from it.
    private let index: Int

    init(_ plan: RecurrencePlan, index: Int, _ layout: ParameterLayout) {
        self.plan = plan
        self.index = index
        layers = (0..<plan.layers).map { layer in
            plan.endings(of: layer).enumerated().map { place, ending in
                func slot(_ name: String) -> TensorSlot { TensorSlot(layout, "\(plan.name).encoder.\(name)\(ending)") }
                return Direction(
                    input: slot("weight_ih"), hidden: slot("weight_hh"), inputBias: slot("bias_ih"),
                    hiddenBias: slot("bias_hh"), isBackward: place == 1)
            }
        }
    }

    /// output [T, n H] of input [T, I]; the result is what backward needs, direction by direction.
    func forward(
        _ input: Matrix, _ pass: PassContext, _ parameters: ParameterStore, into output: Matrix, arena: inout Arena
    ) -> [Saved] {
        let moments = Moments(pass)
        var (saved, x) = ([Saved](), input)
        for (layer, directions) in layers.enumerated() {
            let isLast = layer == layers.count - 1
            let y = isLast ? output : arena.matrix(input.rows, plan.outputWidth)  // [T, n H]
            for (place, direction) in directions.enumerated() {
                let own = forward(direction, x, moments, pass, parameters, arena: &arena)
                scatter(own.hidden, own.rows, into: y.columns(place * plan.cells..<(place + 1) * plan.cells))
                saved.append(own)
            }
            if !isLast { RowKernels.dropout(y, mask(layer, pass, arena: &arena), into: y) }
            x = y
        }
        return saved
    }

    /// dInput [T, I] of dOutput [T, n H]; parameter gradients accumulate, and what was saved is overwritten.
    func backward(
        _ saved: [Saved], _ pass: PassContext, _ parameters: ParameterStore, dOutput: Matrix, into dInput: Matrix,
        arena: inout Arena
    ) {
        let moments = Moments(pass)
        var (dY, place) = (dOutput, saved.count)
        for (layer, directions) in layers.enumerated().reversed() {
            let dX = layer == 0 ? dInput : arena.matrix(dOutput.rows, plan.outputWidth)  // [T, I]
            dX.fill(0)
            place -= directions.count
            for (number, direction) in directions.enumerated() {
                backward(
                    direction, saved[place + number], moments, pass, parameters,
                    dHidden: dY.columns(number * plan.cells..<(number + 1) * plan.cells), addedTo: dX, arena: &arena)
            }
            if layer > 0 { RowKernels.dropout(dX, mask(layer - 1, pass, arena: &arena), into: dX) }
            dY = dX
        }
    }

    private func forward(
        _ direction: Direction, _ x: Matrix, _ moments: Moments, _ pass: PassContext, _ parameters: ParameterStore,
        arena: inout Arena
    ) -> Saved {
        let (tokens, h) = (x.rows, plan.cells)
        let saved = Saved(
            rows: arena.int32s(tokens), input: arena.matrix(tokens, x.columns), gates: arena.matrix(tokens, 4 * h),
            cells: arena.matrix(tokens, h), hidden: arena.matrix(tokens, h))
        moments.number(pass, isBackward: direction.isBackward, into: saved.rows)
        for row in 0..<tokens { saved.input.row(row).update(from: x.row(Int(saved.rows[row])), count: x.columns) }
        Gemm.multiply(saved.input, parameters.matrix(direction.input), transposeB: true, into: saved.gates)
        for (moment, block) in moments.blocks.enumerated() {
            let before = moment == 0 ? nil : moments.blocks[moment - 1].first(block.count)
            if let before {
                Gemm.multiply(
                    saved.hidden.rows(before), parameters.matrix(direction.hidden), transposeB: true,
                    into: saved.gates.rows(block), beta: 1)
            }
            self.moment(direction, saved, block, before, parameters).forward()
        }
        return saved
    }

    private func backward(
        _ direction: Direction, _ saved: Saved, _ moments: Moments, _ pass: PassContext, _ parameters: ParameterStore,
        dHidden dOutput: Matrix, addedTo dX: Matrix, arena: inout Arena
    ) {
        let (tokens, h) = (dX.rows, plan.cells)
        let dHidden = arena.matrix(tokens, h)  // [T, H] moment by moment
        for row in 0..<tokens { dHidden.row(row).update(from: dOutput.row(Int(saved.rows[row])), count: h) }
        let dCells = arena.matrix(pass.sequences, h)  // [S, H]
        dCells.fill(0)
        for (moment, block) in moments.blocks.enumerated().reversed() {
            let before = moment == 0 ? nil : moments.blocks[moment - 1].first(block.count)
            self.moment(direction, saved, block, before, parameters)
                .backward(dHidden: dHidden.rows(block), dCells: dCells)
            guard let before else { continue }
            let dGates = saved.gates.rows(block)
            Gemm.multiply(dGates, parameters.matrix(direction.hidden), into: dHidden.rows(before), beta: 1)
            guard let dWeight = parameters.gradientMatrix(direction.hidden) else { continue }
            Gemm.multiply(dGates, transposeA: true, saved.hidden.rows(before), into: dWeight, beta: 1)
        }
        if let dWeight = parameters.gradientMatrix(direction.input) {
            Gemm.multiply(saved.gates, transposeA: true, saved.input, into: dWeight, beta: 1)
        }
        for bias in [direction.inputBias, direction.hiddenBias] {
            if let dBias = parameters.gradientPointer(bias) { RowKernels.biasGradient(saved.gates, into: dBias) }
        }
        let dInput = arena.matrix(tokens, dX.columns)  // [T, I] moment by moment
        Gemm.multiply(saved.gates, parameters.matrix(direction.input), into: dInput)
        for row in 0..<tokens {
            let (from, to) = (dInput.row(row), dX.row(Int(saved.rows[row])))
            for column in 0..<dX.columns { to[column] += from[column] }
        }
    }

    private func moment(
        _ direction: Direction, _ saved: Saved, _ block: Range<Int>, _ before: Range<Int>?, _ parameters: ParameterStore
    ) -> RecurrentMoment {
        RecurrentMoment(
            gates: saved.gates.rows(block), cells: saved.cells.rows(block), hidden: saved.hidden.rows(block),
            before: before.map { saved.cells.rows($0) }, bias: UnsafePointer(parameters.pointer(direction.inputBias)),
            recurrentBias: UnsafePointer(parameters.pointer(direction.hiddenBias)))
    }

    private func scatter(_ hidden: Matrix, _ rows: UnsafeMutablePointer<Int32>, into output: Matrix) {
        for row in 0..<hidden.rows { output.row(Int(rows[row])).update(from: hidden.row(row), count: hidden.columns) }
    }

    /// The mask of the outputs of `layer`, or none.
    private func mask(_ layer: Int, _ pass: PassContext, arena: inout Arena) -> DropoutMask? {
        guard plan.dropout > 0, let keys = pass.dropout?.sequenceKeys, pass.sequences > 0 else { return nil }
        let own = arena.uint64s(pass.sequences)
        Dropout.siteKeys(
            of: keys, count: pass.sequences, layer: UInt32.max - UInt32(index), site: UInt32(layer), into: own)
        return DropoutMask(rate: plan.dropout, keys: own, offsets: pass.tokens.offsets, sequences: pass.sequences)
    }
}

extension Range<Int> {
    /// The first `count` of its numbers.
    fileprivate func first(_ count: Int) -> Range<Int> { lowerBound..<lowerBound + count }
}
