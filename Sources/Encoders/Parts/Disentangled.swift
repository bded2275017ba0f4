// Disentangled positions (DeBERTa): one table of relative positions for all layers, which every layer projects to keys and
// queries of its own.
//
// Only the rows that distances of the batch reach are normed, projected and differentiated. Each layer drops other parts
// of the table; a mask belongs to the step, not to a sequence, and is the same on every rank and in every chunk.
//
// Legend: P rows of the table that the batch reaches, 2 S rows of the table, D hidden, L longest sequence.
// Reference: He et al. 2020, arXiv 2006.03654; transformers/models/deberta_v2/modeling_deberta_v2.py.

import TuttiKernels

/// The plan of the table that layers share.
package struct DisentangledTable: Sendable, Equatable {
    /// The tensor [2 S, D].
    package let name: String
    /// The rows of distances.
    package let rows: DistanceRows
    /// D.
    package let width: Int
    /// The norm of the rows.
    package var norm: NormPlan?
    /// Dropout of the rows, anew in every layer, used only during training.
    let dropout: Float

    /// Its tensors, in the order in which backward finishes their gradients.
    var tensors: [TensorSpecification] { (norm?.tensors ?? []) + [.init(name, [2 * rows.reach, width])] }
}

/// The table's rows of one pass.
struct DisentangledRows {
    /// [P, D] the stored rows.
    let stored: Matrix
    /// [P, D] the normed rows, which layers drop parts of and project.
    let values: Matrix
    let statistics: Norm.Saved?
    /// [P, D] the gradient of `values`, accumulated by all layers; nil = no backward yet.
    var gradient: Matrix?
    /// The first of the P rows in the table.
    let first: Int
    /// [2 L - 1] the row among the P of the distance i - j at i - j + L - 1.
    let index: UnsafePointer<Int32>
    /// [2] where the mask of the P rows begins, so that a row has the same mask whatever the others.
    let offsets: UnsafePointer<Int32>

    /// Zeroed memory for the gradient.
    mutating func addGradient(arena: inout Arena) {
        let gradient = arena.matrix(values.rows, values.columns)
        gradient.fill(0)
        self.gradient = gradient
    }
}

/// The table that layers share, forward and backward.
struct DisentangledPositions: Sendable {
    private let plan: DisentangledTable
    private let table: TensorSlot
    private let norm: Norm?

    init(_ plan: DisentangledTable, _ layout: ParameterLayout) {
        self.plan = plan
        table = TensorSlot(layout, plan.name)
        norm = plan.norm.map { Norm($0, layout) }
    }

    /// The rows for sequences of up to `longest` tokens.
    func rows(longest: Int, _ parameters: ParameterStore, arena: inout Arena) -> DisentangledRows {
        let (first, last) = (plan.rows.row(1 - longest), plan.rows.row(longest - 1))
        let index = arena.int32s(2 * longest - 1)
        for place in 0..<2 * longest - 1 { index[place] = Int32(plan.rows.row(place + 1 - longest) - first) }
        let stored = parameters.matrix(table).rows(first..<last + 1)
        let offsets = arena.int32s(2)
        (offsets[0], offsets[1]) = (Int32(-first), Int32(stored.rows))
        guard let norm else {
            return DisentangledRows(
                stored: stored, values: stored, statistics: nil, first: first, index: index, offsets: offsets)
        }
        let statistics = Norm.Saved(rows: stored.rows, arena: &arena)
        let values = arena.matrix(stored.rows, stored.columns)
        norm.forward(stored, parameters, saved: statistics, into: values)
        return DisentangledRows(
            stored: stored, values: values, statistics: statistics, first: first, index: index, offsets: offsets)
    }

    /// The gradients of table and norm, after the last layer that adds to `rows.gradient`, which is overwritten.
    func backward(_ rows: DisentangledRows, _ parameters: ParameterStore, scratch: UnsafeMutablePointer<Float>) {
        guard let gradient = rows.gradient else { preconditionFailure("DisentangledPositions: no gradient") }
        if let norm, let statistics = rows.statistics {
            norm.backward(rows.stored, parameters, saved: statistics, inPlace: gradient, scratch: scratch)
        }
        guard let to = parameters.gradientMatrix(table)?.rows(rows.first..<rows.first + gradient.rows) else { return }
        let count = gradient.rows * gradient.columns
        OptimizerKernels.addScaled(
            UnsafeBufferPointer(start: gradient.pointer, count: count), factor: 1,
            to: UnsafeMutableBufferPointer(start: to.pointer, count: count))
    }
}
