// The magnitudes of an adapter (DoRA): the rows of W + s B A, brought to lengths m that are trained.
//
// With g = m / n, n the rows' lengths, and u = dropout(x) (W + s B A)^T, the module gives y = x W^T + g u - dropout(x) W^T,
// which is g u without dropout; biases are added behind. In the gradient n counts as a constant, as the paper proposes
// (4.3) and peft does. Nothing is kept for backward: n and u are made again.
//
// Legend: R rows, I inputs, O outputs, r rank. Reference: Liu et al. 2024, arXiv 2402.09353; peft/tuners/lora/dora.py.

import TuttiKernels

/// The magnitudes of one module's adapter, and the weight whose rows they scale.
struct AdapterMagnitude: Sendable {
    private let magnitude: TensorSlot  // [O]
    private let weight: TensorSlot  // of the plan's module, which is not trained
    private let rows: Range<Int>  // of it
    private let a: TensorSlot  // [r, I]
    private let b: TensorSlot  // [O, r]
    private let scale: Float

    init(_ plan: AdapterPlan, of module: String, _ layout: ParameterLayout) {
        let names = AdapterPlan.names(module)
        (a, b) = (TensorSlot(layout, names.a), TensorSlot(layout, names.b))
        magnitude = TensorSlot(layout, AdapterPlan.magnitudeName(module))
        weight = TensorSlot(layout, (plan.part?.module ?? module) + ".weight")
        rows = plan.range(of: weight.rows)
        precondition(weight.isFrozen, "AdapterMagnitude: the weight of \(module) is trained")
        scale = plan.scale
    }

    /// W [O, I].
    private func weight(_ parameters: ParameterStore) -> Matrix { parameters.matrix(weight).rows(rows) }

    /// g and 1 / n, [O] each; both 0 of a row of zeros.
    struct Factors {
        let scales, inverses: UnsafeMutablePointer<Float>
    }

    /// The factors of the rows, in `arena`.
    func factors(_ parameters: ParameterStore, arena: inout Arena) -> Factors {
        let own = Factors(scales: arena.floats(rows.count), inverses: arena.floats(rows.count))
        Self.lengths(
            weight(parameters), parameters.matrix(a), parameters.matrix(b), scale: scale, into: own.inverses,
            arena: &arena)
        let magnitudes = parameters.pointer(magnitude)
        for row in 0..<rows.count {
            own.inverses[row] = own.inverses[row] > 0 ? 1 / own.inverses[row] : 0
            own.scales[row] = magnitudes[row] * own.inverses[row]
        }
        return own
    }

    /// y [R, O] += g u - input W^T, where y is x W^T, and low [R, r] = input A^T; `isInput` = input is x, and y holds nothing
    /// else.
    func apply(
        _ input: Matrix, low: Matrix, isInput: Bool, _ parameters: ParameterStore, to y: Matrix, arena: inout Arena
    ) {
        let factors = factors(parameters, arena: &arena)
        if isInput {
            Gemm.multiply(low, parameters.matrix(b), transposeB: true, into: y, alpha: scale, beta: 1)
            return Self.scale(y, by: factors.scales, into: y)
        }
        let u = arena.matrix(y.rows, y.columns)
        Gemm.multiply(input, weight(parameters), transposeB: true, into: u, products: parameters.products)
        Self.forEachRow(y) { row, columns in
            let (y, u) = (y.row(row), u.row(row))
            for o in columns { y[o] -= u[o] }
        }
        Gemm.multiply(low, parameters.matrix(b), transposeB: true, into: u, alpha: scale, beta: 1)
        Self.forEachRow(y) { row, columns in
            let (y, u) = (y.row(row), u.row(row))
            for o in columns { y[o] += factors.scales[o] * u[o] }
        }
    }

    /// g dY [R, O]: the gradient of u; and dm += column sums of dY u / n, where it is trained.
    func gradientOfRows(
        _ dY: Matrix, _ input: Matrix, low: Matrix, _ parameters: ParameterStore, arena: inout Arena
    ) -> Matrix {
        let factors = factors(parameters, arena: &arena)
        let u = arena.matrix(dY.rows, dY.columns)
        if let dMagnitude = parameters.gradientPointer(magnitude) {
            Gemm.multiply(input, weight(parameters), transposeB: true, into: u, products: parameters.products)
            Gemm.multiply(low, parameters.matrix(b), transposeB: true, into: u, alpha: scale, beta: 1)
            Self.forEachRow(u) { row, columns in
                let (u, dY) = (u.row(row), dY.row(row))
                for o in columns { u[o] *= dY[o] * factors.inverses[o] }
            }
            RowKernels.biasGradient(u, into: dMagnitude)
        }
        Self.scale(dY, by: factors.scales, into: u)
        return u
    }

    /// g dY [R, O], and into `dInput` [R, I] the part of the gradient of dropout(x) that W gives: (g dY - dY) W.
    func inputGradient(
        _ dY: Matrix, _ parameters: ParameterStore, into dInput: Matrix, beta: Float, arena: inout Arena
    ) -> Matrix {
        let factors = factors(parameters, arena: &arena)
        let scaled = arena.matrix(dY.rows, dY.columns)
        Self.forEachRow(dY) { row, columns in
            let (scaled, dY) = (scaled.row(row), dY.row(row))
            for o in columns { scaled[o] = (factors.scales[o] - 1) * dY[o] }
        }
        Gemm.multiply(scaled, weight(parameters), into: dInput, beta: beta, products: parameters.products)
        Self.scale(dY, by: factors.scales, into: scaled)
        return scaled
    }

    /// lengths [O] of the rows of W + s B A.
    fileprivate static func lengths(
        _ weight: Matrix, _ a: Matrix, _ b: Matrix, scale: Float, into lengths: UnsafeMutablePointer<Float>,
        arena: inout Arena
    ) {
        let sum = arena.matrix(weight.rows, weight.columns)  // [O, I]
        sum.copy(from: weight)
        Gemm.multiply(b, a, into: sum, alpha: scale, beta: 1)
        RowKernels.normalize(sum, norms: lengths, into: sum)
    }

    /// y [R, O] = x, each column multiplied by its scale; `y` may be `x`.
    private static func scale(_ x: Matrix, by scales: UnsafePointer<Float>, into y: Matrix) {
        forEachRow(x) { row, columns in
            let (from, to) = (x.row(row), y.row(row))
            for o in columns { to[o] = scales[o] * from[o] }
        }
    }

    private static func forEachRow(_ matrix: Matrix, _ body: (_ row: Int, _ columns: Range<Int>) -> Void) {
        Parallel.forRange(matrix.rows, grain: max(1, 16_384 / max(matrix.columns, 1))) { rows in
            for row in rows { body(row, 0..<matrix.columns) }
        }
    }
}

extension ParameterStore {
    /// The lengths of the rows of W + s B A [O], the weight of `module` with its adapter: where magnitudes begin, and what a
    /// merged weight's rows are divided by.
    package func lengthsOfRows(of module: String, _ plan: AdapterPlan) -> [Float] {
        let names = AdapterPlan.names(module)
        guard let weight = layout.entry(named: (plan.part?.module ?? module) + ".weight"),
            let a = layout.entry(named: names.a), let b = layout.entry(named: names.b)
        else { return [] }
        var arena = Arena()
        let rows = plan.range(of: weight.shape[0])
        var lengths = [Float](repeating: 0, count: rows.count)
        lengths.withUnsafeMutableBufferPointer { lengths in
            guard let lengths = lengths.baseAddress else { return }
            AdapterMagnitude.lengths(
                valueMatrix(of: weight).rows(rows), valueMatrix(of: a), valueMatrix(of: b), scale: plan.scale,
                into: lengths, arena: &arena)
        }
        return lengths
    }
}
