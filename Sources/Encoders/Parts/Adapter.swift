// A low-rank adapter of a dense module (LoRA): y += s dropout(x) A^T B^T beside y = x W^T, of which W stays as it is.
//
// The layout knows which modules have one, by name, so that plans and parts need not; Linear.swift calls it in each of its
// products. Nothing is kept for backward: dropout(x) A^T is made again, which costs little at a small rank. A mask is a
// function of sequence, layer and module, as every mask here. What DoRA adds is in AdapterMagnitude.swift.
//
// Legend: R rows, I inputs, O outputs, r rank. Reference: Hu et al. 2021, arXiv 2106.09685; peft/tuners/lora/layer.py.

import TuttiKernels

/// One of several equal parts of a dense module's outputs: transformers has a module for each where a file stores one.
package struct ModulePart: Sendable, Equatable {
    /// The module of the plan.
    package let module: String
    package let index: Int
    package let count: Int

    /// Part `index` of `count`.
    package init(of module: String, index: Int, count: Int) {
        (self.module, self.index, self.count) = (module, index, count)
    }

    /// Its rows among the `rows` of the module's weight or bias.
    package func range(of rows: Int) -> Range<Int> { rows / count * index..<rows / count * (index + 1) }
}

/// The adapter of a module.
package struct AdapterPlan: Sendable, Equatable {
    /// r.
    package let rank: Int
    /// s, the factor of its product.
    package let scale: Float
    /// Dropout of its input, used only during training.
    package let dropout: Float
    /// Whether the lengths of the rows of W + s B A are trained too (DoRA).
    package let hasMagnitudes: Bool
    /// What it belongs to, if that is no module of the plan but a part of one.
    package let part: ModulePart?

    /// An adapter of `rank`, whose product is multiplied by `scale`.
    package init(rank: Int, scale: Float, dropout: Float, hasMagnitudes: Bool = false, part: ModulePart? = nil) {
        (self.rank, self.scale, self.dropout, self.hasMagnitudes) = (rank, scale, dropout, hasMagnitudes)
        self.part = part
    }

    /// Where its outputs are among the `outputs` of the plan's module.
    func range(of outputs: Int) -> Range<Int> { part?.range(of: outputs) ?? 0..<outputs }

    /// The names of A and B of `module`.
    package static func names(_ module: String) -> (a: String, b: String) {
        (module + ".lora_A.weight", module + ".lora_B.weight")
    }

    /// The name of the magnitudes of `module`.
    package static func magnitudeName(_ module: String) -> String { module + ".lora_magnitude_vector.weight" }

    /// The names of its tensors.
    package func tensorNames(_ module: String) -> [String] {
        let names = Self.names(module)
        return [names.a, names.b] + (hasMagnitudes ? [Self.magnitudeName(module)] : [])
    }

    /// Its tensors A [r, I], B [O, r] and perhaps the magnitudes [O], of `module`; the weight of the plan's module has the
    /// shape `weight`.
    func tensors(_ module: String, weight: [Int]) -> [TensorSpecification] {
        let outputs = range(of: weight[0]).count
        let shapes = [[rank, weight[1]], [outputs, rank], [outputs]]
        return zip(tensorNames(module), shapes).map { TensorSpecification($0, $1) }
    }
}

/// The masks that adapters draw in one layer of a pass.
struct AdapterDraw {
    /// Keys of the rows' sequences.
    let keys: UnsafePointer<UInt64>
    /// [sequences + 1] where they begin.
    let offsets: UnsafePointer<Int32>
    let sequences: Int
    let layer: Int
}

/// Memory of the products of adapters, one at a time.
final class AdapterRoom {
    fileprivate var arena = Arena()
}

/// The adapter of one module of a dense layer.
struct Adapter: Sendable {
    private let a: TensorSlot  // [r, I]
    private let b: TensorSlot  // [O, r]
    private let plan: AdapterPlan
    private let magnitude: AdapterMagnitude?
    /// Where the module's outputs are among those of its layer.
    private let outputs: Range<Int>
    /// What tells its masks from those of other modules.
    private let site: UInt32

    init(_ plan: AdapterPlan, of module: String, outputs: Range<Int>, _ layout: ParameterLayout) {
        let names = AdapterPlan.names(module)
        (a, b) = (TensorSlot(layout, names.a), TensorSlot(layout, names.b))
        self.plan = plan
        self.outputs = outputs
        magnitude = plan.hasMagnitudes ? AdapterMagnitude(plan, of: module, layout) : nil
        // FNV-1a of the name; the highest bit keeps it apart from the sites of a layer.
        site = module.utf8.reduce(UInt32(0x811C_9DC5)) { ($0 ^ UInt32($1)) &* 0x0100_0193 } | 1 << 31
    }

    /// y [R, O of the layer] += s dropout(x) A^T B^T, where y holds x W^T, and other sums if it `accumulates`.
    func multiply(
        _ x: Matrix, _ parameters: ParameterStore, _ draw: AdapterDraw?, into y: Matrix, accumulates: Bool
    ) {
        let (input, low) = lowRank(x, parameters, draw)
        if let magnitude {
            return magnitude.apply(
                input, low: low, isInput: input.pointer == x.pointer && !accumulates, parameters,
                to: y.columns(outputs), arena: &parameters.adapterRoom.arena)
        }
        Gemm.multiply(
            low, parameters.matrix(b), transposeB: true, into: y.columns(outputs), alpha: plan.scale, beta: 1)
    }

    /// dA += s (dY B)^T dropout(x) and dB += s dY^T (dropout(x) A^T), where they are trained.
    func accumulateGradients(_ dY: Matrix, _ x: Matrix, _ parameters: ParameterStore, _ draw: AdapterDraw?) {
        let (input, low) = lowRank(x, parameters, draw)
        var own = dY.columns(outputs)
        if let magnitude {
            own = magnitude.gradientOfRows(
                own, input, low: low, parameters, arena: &parameters.adapterRoom.arena)
        }
        if let dB = parameters.gradientMatrix(b) {
            Gemm.multiply(own, transposeA: true, low, into: dB, alpha: plan.scale, beta: 1)
        }
        if let dA = parameters.gradientMatrix(a) {
            let dLow = gradientOfLow(own, parameters)
            Gemm.multiply(dLow, transposeA: true, input, into: dA, beta: 1)
        }
    }

    /// dX [R, I] += the adjoint of dropout of s dY B A.
    func addInputGradient(_ dY: Matrix, _ parameters: ParameterStore, _ draw: AdapterDraw?, to dX: Matrix) {
        parameters.adapterRoom.arena.reset()
        var own = dY.columns(outputs)
        let mask = mask(draw, parameters)
        let dInput = mask == nil ? dX : parameters.adapterRoom.arena.matrix(dX.rows, dX.columns)  // [R, I]
        var beta: Float = mask == nil ? 1 : 0
        if let magnitude {
            own = magnitude.inputGradient(
                own, parameters, into: dInput, beta: beta, arena: &parameters.adapterRoom.arena)
            beta = 1
        }
        Gemm.multiply(gradientOfLow(own, parameters), parameters.matrix(a), into: dInput, beta: beta)
        guard let mask else { return }
        RowKernels.dropout(dInput, mask, into: dInput)
        let count = dX.rows * dX.columns
        precondition(dX.stride == dX.columns, "Adapter: a gradient in columns of another matrix")
        OptimizerKernels.addScaled(
            UnsafeBufferPointer(start: dInput.pointer, count: count), factor: 1,
            to: UnsafeMutableBufferPointer(start: dX.pointer, count: count))
    }

    /// dropout(x) [R, I] and dropout(x) A^T [R, r].
    private func lowRank(
        _ x: Matrix, _ parameters: ParameterStore, _ draw: AdapterDraw?
    ) -> (input: Matrix, low: Matrix) {
        parameters.adapterRoom.arena.reset()
        var input = x
        if let mask = mask(draw, parameters) {
            input = parameters.adapterRoom.arena.matrix(x.rows, x.columns)
            RowKernels.dropout(x, mask, into: input)
        }
        let low = parameters.adapterRoom.arena.matrix(x.rows, plan.rank)
        Gemm.multiply(input, parameters.matrix(a), transposeB: true, into: low)
        return (input, low)
    }

    /// s dY B [R, r].
    private func gradientOfLow(_ dY: Matrix, _ parameters: ParameterStore) -> Matrix {
        let dLow = parameters.adapterRoom.arena.matrix(dY.rows, plan.rank)
        Gemm.multiply(dY, parameters.matrix(b), into: dLow, alpha: plan.scale)
        return dLow
    }

    private func mask(_ draw: AdapterDraw?, _ parameters: ParameterStore) -> DropoutMask? {
        guard plan.dropout > 0, let draw else { return nil }
        let keys = parameters.adapterRoom.arena.uint64s(draw.sequences)
        Dropout.siteKeys(of: draw.keys, count: draw.sequences, layer: UInt32(draw.layer), site: site, into: keys)
        return DropoutMask(rate: plan.dropout, keys: keys, offsets: draw.offsets, sequences: draw.sequences)
    }
}
