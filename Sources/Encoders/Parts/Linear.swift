// A dense layer: one weight, an optional bias, and all products with them.
//
// Only this file knows where the tensors are stored, their names and whether there is a bias; layers call it for a
// product or a gradient. Several modules side by side (queries, keys, values) count as one layer with more outputs, and
// one product for all of them, as long as their weights are adjacent in memory; a weight whose size is not a multiple of 16
// leaves a gap, and then every module has a product of its own, as has a frozen one among others that are trained.
//
// The product and the bias are separate on purpose: the next reader of the product (attention, an activation, a
// junction) adds the bias on the fly, which saves a pass over memory, and sums its gradient where it is available.
//
// Modules may have low-rank adapters (Adapter.swift), which take part in every product; `draw` is what those of the calling
// layer draw, and is the same in all products of a pass.
//
// Legend: R rows (tokens or sentences), I inputs, O outputs. Where the store says so (`products`), the operands of a
// product are rounded; those of adapters are not.

import TuttiKernels

/// The plan of a dense layer.
package struct LinearPlan: Sendable, Equatable {
    /// A module; its tensors are `<name>.weight` and `<name>.bias`.
    package struct Module: Sendable, Equatable {
        package let name: String
        package let outputs: Int
    }

    /// The modules side by side.
    package let modules: [Module]
    /// I.
    package let inputs: Int
    package let hasBias: Bool

    /// Modules of `outputs` outputs each.
    init(_ modules: String..., inputs: Int, outputs: Int, hasBias: Bool = true) {
        self.init(modules.map { Module(name: $0, outputs: outputs) }, inputs: inputs, hasBias: hasBias)
    }

    /// Modules of any widths.
    init(_ modules: [Module], inputs: Int, hasBias: Bool = true) {
        self.modules = modules
        self.inputs = inputs
        self.hasBias = hasBias
    }

    /// O.
    package var outputs: Int { modules.reduce(0) { $0 + $1.outputs } }

    /// Its tensors: all weights, then all biases, so that both are contiguous.
    var tensors: [TensorSpecification] {
        modules.map { .init($0.name + ".weight", [$0.outputs, inputs]) }
            + (hasBias ? modules.map { .init($0.name + ".bias", [$0.outputs]) } : [])
    }
}

/// y = x W^T + b over the parameters of a store.
struct Linear: Sendable {
    /// Tensors that are adjacent in memory, and the outputs that they give.
    private struct Run {
        let slot: TensorSlot
        let outputs: Range<Int>
    }

    private let weights: [Run]  // [O, I]
    private let biases: [Run]  // [O]
    private let adapters: [Adapter]

    init(_ plan: LinearPlan, _ layout: ParameterLayout) {
        weights = Self.runs(plan, ".weight", size: plan.inputs, layout)
        biases = plan.hasBias ? Self.runs(plan, ".bias", size: 1, layout) : []
        var (adapters, first) = ([Adapter](), 0)
        for module in plan.modules {
            for (name, own) in layout.adapters(of: module.name) {
                let outputs = own.range(of: module.outputs)
                adapters.append(
                    Adapter(
                        own, of: name, outputs: first + outputs.lowerBound..<first + outputs.upperBound, layout))
            }
            first += module.outputs
        }
        self.adapters = adapters
    }

    /// y [R, O] = x W^T, or y += x W^T, without the bias.
    func multiply(
        _ x: Matrix, _ parameters: ParameterStore, draw: AdapterDraw? = nil, into y: Matrix, accumulates: Bool = false
    ) {
        for run in weights {
            Gemm.multiply(
                x, parameters.matrix(run.slot), transposeB: true, into: y.columns(run.outputs),
                beta: accumulates ? 1 : 0, products: parameters.products)
        }
        for adapter in adapters { adapter.multiply(x, parameters, draw, into: y, accumulates: accumulates) }
    }

    /// [O - first] the bias to add to outputs `first` and following of the product, up to the end of their module at
    /// least; nil = none.
    func bias(_ parameters: ParameterStore, from first: Int = 0) -> UnsafePointer<Float>? {
        guard let run = biases.first(where: { $0.outputs.contains(first) }) else { return nil }
        return UnsafePointer(parameters.pointer(run.slot) + first - run.outputs.lowerBound)
    }

    /// [O] where the bias gradient accumulates, for a kernel that sums it; nil = there is no bias, or it is frozen.
    func biasGradient(_ parameters: ParameterStore) -> UnsafeMutablePointer<Float>? {
        guard let run = biases.first else { return nil }
        precondition(biases.count == 1, "Linear: biases that are not adjacent")
        return parameters.gradientPointer(run.slot)
    }

    /// dW += dY^T x, for a dY [R, O] whose column sums were added to `biasGradient` already.
    func accumulateWeightGradient(
        _ dY: Matrix, _ x: Matrix, _ parameters: ParameterStore, draw: AdapterDraw? = nil
    ) {
        for adapter in adapters { adapter.accumulateGradients(dY, x, parameters, draw) }
        for run in weights {
            guard let dW = parameters.gradientMatrix(run.slot) else { continue }
            Gemm.multiply(
                dY.columns(run.outputs), transposeA: true, x, into: dW, beta: 1, products: parameters.products)
        }
    }

    /// dW += dY^T x and db += column sums of dY [R, O].
    func accumulateGradients(_ dY: Matrix, _ x: Matrix, _ parameters: ParameterStore, draw: AdapterDraw? = nil) {
        if adapters.isEmpty, weights.count == 1, biases.count == 1, let dW = parameters.gradientMatrix(weights[0].slot),
            let dBias = parameters.gradientPointer(biases[0].slot)
        {
            return Gemm.accumulateWeightGradient(dY, x, into: dW, bias: dBias, products: parameters.products)
        }
        accumulateWeightGradient(dY, x, parameters, draw: draw)
        for run in biases {
            guard let dBias = parameters.gradientPointer(run.slot) else { continue }
            RowKernels.biasGradient(dY.columns(run.outputs), into: dBias)
        }
    }

    /// dX [R, I] = dY W, or dX += dY W if the residual stream accumulates.
    func inputGradient(
        _ dY: Matrix, _ parameters: ParameterStore, draw: AdapterDraw? = nil, into dX: Matrix, accumulates: Bool = false
    ) {
        for (place, run) in weights.enumerated() {
            Gemm.multiply(
                dY.columns(run.outputs), parameters.matrix(run.slot), into: dX, beta: accumulates || place > 0 ? 1 : 0,
                products: parameters.products)
        }
        for adapter in adapters { adapter.addInputGradient(dY, parameters, draw, to: dX) }
    }

    /// The tensors of all modules, `size` floats an output, in as few runs as their positions allow.
    private static func runs(
        _ plan: LinearPlan, _ suffix: String, size: Int, _ layout: ParameterLayout
    ) -> [Run] {
        var (runs, names, first, end) = ([Run](), [String](), 0, 0)
        for (place, module) in plan.modules.enumerated() {
            names.append(module.name + suffix)
            end += module.outputs
            func isTrained(_ place: Int) -> Bool { layout.trains(plan.modules[place].name + suffix) }
            let isLast = place == plan.modules.count - 1 || isTrained(place) != isTrained(place + 1)
            if isLast || module.outputs * size % ParameterLayout.alignment != 0 {
                runs.append(Run(slot: TensorSlot(layout, names), outputs: first..<end))
                (names, first) = ([], end)
            }
        }
        return runs
    }
}
