// A layer's own view of the shared table of positions: projected to keys that queries read, and to queries that keys read.
//
// The projections are a layer's own, or those of its contents (v3). Legend: P rows of the table that the batch reaches,
// D hidden, H heads, E head width.

import TuttiKernels

extension SelfAttentionPlan {
    /// Projections of the table of positions, [H E, D] each.
    package struct Disentangled: Sendable, Equatable {
        /// To what queries read; nil = without the term.
        package let keys: LinearPlan?
        /// To what keys read; nil = without the term.
        package let queries: LinearPlan?
        /// Whether they are the projections of contents.
        let isShared: Bool

        /// The projections of its own, in the order in which backward finishes their gradients.
        var linears: [LinearPlan] { isShared ? [] : [queries, keys].compactMap { $0 } }
    }
}

/// The projections of one layer, forward and backward.
struct DisentangledHeads: Sendable {
    private let keys: Linear?
    private let queries: Linear?
    private let columns: Int
    private let dropout: Float
    /// The layer in the dropout keys.
    private let layer: Int

    init(
        _ plan: SelfAttentionPlan.Disentangled, _ table: DisentangledTable, columns: Int, layer: Int,
        _ layout: ParameterLayout
    ) {
        keys = plan.keys.map { Linear($0, layout) }
        queries = plan.queries.map { Linear($0, layout) }
        self.columns = columns
        dropout = table.dropout
        self.layer = layer
    }

    /// What attention reads of the table, and the memory of its gradients.
    struct Projected {
        /// [P, D] the rows, of which the layer drops parts.
        let rows: Matrix
        let relatives: AttentionRelatives
        let gradients: AttentionRelatives
        /// [P, D]
        let dRows: Matrix
    }

    /// Floats of scratch.
    func scratchCount(_ pass: DisentangledRows) -> Int { pass.values.rows * (2 * pass.values.columns + 4 * columns) }

    /// The projections of the table's rows, and zeroed gradients if there `isBackward`; the scratch that is left.
    func project(
        _ pass: PassContext, _ table: DisentangledRows, _ parameters: ParameterStore, isBackward: Bool,
        scratch: UnsafeMutablePointer<Float>
    ) -> (Projected, UnsafeMutablePointer<Float>) {
        let (count, width) = (table.values.rows, table.values.columns)
        var rest = scratch
        func matrix(_ columns: Int) -> Matrix {
            defer { rest += count * columns }
            return Matrix(rest, count, columns)
        }
        let mask = pass.tableMask(layer: layer, rate: dropout, offsets: table.offsets)
        let dropped = matrix(width)
        if mask != nil { RowKernels.dropout(table.values, mask, into: dropped) }
        let rows = mask == nil ? table.values : dropped
        func relatives(_ make: (Linear) -> Matrix) -> AttentionRelatives {
            AttentionRelatives(
                keys: keys.map(make), queries: queries.map(make), rows: table.index, maximum: pass.longest)
        }
        let projected = relatives { linear in
            let product = matrix(columns)
            linear.multiply(
                rows, parameters, draw: pass.tableDraw(layer: layer, offsets: table.offsets), into: product)
            if let bias = linear.bias(parameters) { RowKernels.addBias(product, bias: bias) }
            return product
        }
        let gradients = relatives { _ in
            let gradient = matrix(columns)
            if isBackward { gradient.fill(0) }
            return gradient
        }
        return (Projected(rows: rows, relatives: projected, gradients: gradients, dRows: matrix(width)), rest)
    }

    /// Gradients of the projections, and `table.gradient` += that of the rows.
    func backward(
        _ projected: Projected, _ pass: PassContext, _ table: DisentangledRows, _ parameters: ParameterStore
    ) {
        guard let gradient = table.gradient else { preconditionFailure("DisentangledHeads: no gradient of the table") }
        var isFirst = true
        for (linear, dProduct) in [(keys, projected.gradients.keys), (queries, projected.gradients.queries)] {
            guard let linear, let dProduct else { continue }
            let draw = pass.tableDraw(layer: layer, offsets: table.offsets)
            // A bias of what queries read shifts all scores of a query: its gradient is zero, and is not computed.
            if isFirst && keys != nil {
                linear.accumulateWeightGradient(dProduct, projected.rows, parameters, draw: draw)
            } else {
                linear.accumulateGradients(dProduct, projected.rows, parameters, draw: draw)
            }
            linear.inputGradient(dProduct, parameters, draw: draw, into: projected.dRows, accumulates: !isFirst)
            isFirst = false
        }
        if isFirst { return }
        let mask = pass.tableMask(layer: layer, rate: dropout, offsets: table.offsets)
        if mask != nil { RowKernels.dropout(projected.dRows, mask, into: projected.dRows) }
        let count = gradient.rows * gradient.columns
        OptimizerKernels.addScaled(
            UnsafeBufferPointer(start: projected.dRows.pointer, count: count), factor: 1,
            to: UnsafeMutableBufferPointer(start: gradient.pointer, count: count))
    }
}
