// The arenas of parameter values and gradients: one huge-page block each, in layout order.
//
// Both start as memory of this process; a training run may move them to memory shared by the ranks of a node, with one
// copy of the values for all and one gradient arena per rank. Frozen values have an arena of their own, without gradients.

import TuttiKernels

/// Owns the values and, once allocated, the gradients of all parameters.
package final class ParameterStore {
    /// The position of each parameter.
    package private(set) var layout: ParameterLayout
    /// All values in layout order; zero until weights are written.
    package private(set) var values: UnsafeMutableBufferPointer<Float>
    /// All gradients in layout order; empty until `allocateGradients`.
    package private(set) var gradients = UnsafeMutableBufferPointer<Float>(start: nil, count: 0)

    /// How dense products with these parameters are computed. Set by an encoder for the duration of a pass.
    var products = DenseProducts.fp32

    /// The values of frozen parameters, in layout order.
    package private(set) var frozenValues: UnsafeMutableBufferPointer<Float>

    /// The rows of the word table that have a gradient.
    package private(set) var touched: TouchedRows

    /// Memory that adapters compute in.
    let adapterRoom = AdapterRoom()

    private let wordTable: String?
    private var valueArena = Arena()
    private var gradientArena = Arena()
    private var frozenArena = Arena()
    private var frozenBase: UnsafeMutablePointer<Float>
    private var memory: AnyObject?
    /// Who keeps the frozen values, where that is not this store.
    private var frozenMemory: AnyObject?
    private var valueBase: UnsafeMutablePointer<Float>
    private var gradientBase: UnsafeMutablePointer<Float>?

    /// Zeroed values for `layout`, in which `wordTable` is the table whose rows tokens select.
    package init(layout: ParameterLayout, wordTable: String? = nil) {
        self.layout = layout
        self.wordTable = wordTable
        touched = TouchedRows(layout, table: wordTable)
        valueBase = valueArena.zeros(layout.count)
        values = UnsafeMutableBufferPointer(start: valueBase, count: layout.count)
        frozenBase = layout.frozenCount > 0 ? frozenArena.zeros(layout.frozenCount) : valueBase  // of none
        frozenValues = UnsafeMutableBufferPointer(start: frozenBase, count: layout.frozenCount)
    }

    /// Allocates zeroed gradients; a second call does nothing.
    package func allocateGradients() {
        guard gradientBase == nil else { return }
        let base = gradientArena.zeros(layout.count)
        gradientBase = base
        gradients = UnsafeMutableBufferPointer(start: base, count: layout.count)
    }

    /// Allocates zeroed loss parameters after the model's parameters, replacing earlier ones. Everything moves back to
    /// private memory; gradients must be allocated again.
    package func setLossParameters(_ tensors: [TensorSpecification]) {
        let isPrivate = memory == nil && gradientBase == nil
        if tensors.isEmpty, layout.lossRange.isEmpty, isPrivate { return }
        layout = layout.withLossParameters(tensors, alignment: OptimizerKernels.chunk)
        var arena = Arena()
        let base = arena.zeros(layout.count)
        base.update(from: valueBase, count: layout.modelCount)
        valueBase = base
        values = UnsafeMutableBufferPointer(start: base, count: layout.count)
        gradients = UnsafeMutableBufferPointer(start: nil, count: 0)
        gradientBase = nil
        touched = TouchedRows(layout, table: wordTable)
        swap(&valueArena, &arena)
        gradientArena = Arena()
        memory = nil
    }

    /// Becomes a part of the arenas of `other`, starting at float `start`, which holds the values of the same layout.
    package func live(in other: ParameterStore, from start: Int) {
        let range = start..<start + layout.count
        let (newValues, newGradients) = (
            UnsafeMutableBufferPointer(rebasing: other.values[range]),
            UnsafeMutableBufferPointer(rebasing: other.gradients[range])
        )
        guard let valueBase = newValues.baseAddress, let gradientBase = newGradients.baseAddress else { return }
        (values, self.valueBase) = (newValues, valueBase)
        (gradients, self.gradientBase) = (newGradients, gradientBase)
        memory = other
        valueArena = Arena()
        gradientArena = Arena()
    }

    /// Moves to memory that `owner` keeps: `newValues` hold the values already, `newGradients` and `marks` hold zeros.
    package func move(
        values newValues: UnsafeMutableBufferPointer<Float>, gradients newGradients: UnsafeMutableBufferPointer<Float>,
        marks: UnsafeMutableBufferPointer<Float>, owner: AnyObject
    ) {
        guard newValues.count == layout.count, newGradients.count == layout.count,
            let valueBase = newValues.baseAddress, let gradientBase = newGradients.baseAddress
        else { preconditionFailure("ParameterStore: move of \(layout.count) floats to \(newValues.count)") }
        (values, self.valueBase) = (newValues, valueBase)
        (gradients, self.gradientBase) = (newGradients, gradientBase)
        touched.move(marks: marks)
        memory = owner
        valueArena = Arena()
        gradientArena = Arena()
    }

    /// Moves the frozen values to memory that `owner` keeps and that holds them already.
    package func move(frozen newValues: UnsafeMutableBufferPointer<Float>, owner: AnyObject) {
        guard newValues.count == layout.frozenCount, let base = newValues.baseAddress else {
            preconditionFailure("ParameterStore: move of \(layout.frozenCount) frozen floats to \(newValues.count)")
        }
        (frozenValues, frozenBase, frozenMemory) = (newValues, base, owner)
        frozenArena = Arena()
    }

    /// Shares the frozen values of `other`, a store of the same frozen parameters.
    package func shareFrozen(of other: ParameterStore) {
        if layout.frozenCount > 0 { move(frozen: other.frozenValues, owner: other) }
    }

    /// Sets every gradient to zero, by writing only where there is one.
    package func clearGradients() {
        guard let gradientBase else { return }
        touched.collectIfNeeded()
        Parallel.forRange(layout.count, grain: OptimizerKernels.chunk) { range in
            touched.forEachStretch(in: range) { (gradientBase + $0.lowerBound).update(repeating: 0, count: $0.count) }
        }
        touched.reset()
    }

    /// The values of one parameter, without padding.
    package func values(of entry: ParameterLayout.Entry) -> UnsafeMutableBufferPointer<Float> {
        UnsafeMutableBufferPointer(rebasing: (entry.isFrozen ? frozenValues : values)[entry.elements])
    }

    /// The gradient of one parameter that is trained, without padding.
    package func gradient(of entry: ParameterLayout.Entry) -> UnsafeMutableBufferPointer<Float> {
        precondition(gradientBase != nil, "ParameterStore: gradients were not allocated")
        precondition(!entry.isFrozen, "ParameterStore: '\(entry.name)' is frozen")
        return UnsafeMutableBufferPointer(rebasing: gradients[entry.elements])
    }

    /// The values of one parameter as a matrix, one row for a vector.
    package func valueMatrix(of entry: ParameterLayout.Entry) -> Matrix { matrix(TensorSlot(entry)) }

    /// The gradient of one parameter as a matrix, one row for a vector; nil before `allocateGradients` and where it is frozen.
    package func gradientMatrix(of entry: ParameterLayout.Entry) -> Matrix? {
        gradientBase == nil ? nil : gradientMatrix(TensorSlot(entry))
    }

    /// First value of a slot.
    func pointer(_ slot: TensorSlot) -> UnsafeMutablePointer<Float> {
        (slot.isFrozen ? frozenBase : valueBase) + slot.offset
    }

    /// Values of a slot as a matrix.
    func matrix(_ slot: TensorSlot) -> Matrix { Matrix(pointer(slot), slot.rows, slot.columns) }

    /// First gradient of a slot; nil where it is frozen.
    func gradientPointer(_ slot: TensorSlot) -> UnsafeMutablePointer<Float>? {
        if slot.isFrozen { return nil }
        guard let gradientBase else {
            preconditionFailure("SequenceEncoder: backward before parameters.allocateGradients()")
        }
        return gradientBase + slot.offset
    }

    /// Gradients of a slot as a matrix; nil where it is frozen.
    func gradientMatrix(_ slot: TensorSlot) -> Matrix? {
        gradientPointer(slot).map { Matrix($0, slot.rows, slot.columns) }
    }
}

/// A tensor, or adjacent tensors used as one, resolved to its position so that no pass looks up names.
struct TensorSlot: Sendable {
    let offset: Int
    let rows: Int
    let columns: Int
    /// Whether it is among the frozen values.
    let isFrozen: Bool

    /// One parameter; a scalar counts as one row of one column, and what lies behind the first dimension as columns.
    init(_ entry: ParameterLayout.Entry) {
        offset = entry.range.lowerBound
        rows = entry.shape.count < 2 ? 1 : entry.shape[0]
        columns = entry.shape.count < 2 ? entry.shape.last ?? 1 : entry.shape.dropFirst().reduce(1, *)
        isFrozen = entry.isFrozen
    }

    /// The tensor called `name`.
    init(_ layout: ParameterLayout, _ name: String) { self.init(layout, [name]) }

    /// The tensor with a single name; several names must be adjacent, all frozen or none, and count as one tensor: matrices
    /// with more rows, vectors as one row with more columns.
    init(_ layout: ParameterLayout, _ names: [String]) {
        var offset = 0
        var rows = 0
        var columns = 0
        var isFrozen = false
        for (place, name) in names.enumerated() {
            guard let entry = layout.entry(named: name) else { preconditionFailure("no parameter '\(name)'") }
            let isVector = entry.shape.count == 1
            let own = isVector ? (1, entry.shape[0]) : (entry.shape[0], entry.shape.dropFirst().reduce(1, *))
            if place == 0 {
                (offset, rows, columns) = (entry.range.lowerBound, own.0, own.1)
                isFrozen = entry.isFrozen
            } else {
                precondition(
                    entry.isFrozen == isFrozen && entry.range.lowerBound == offset + rows * columns
                        && (isVector ? rows == 1 : own.1 == columns),
                    "'\(name)' does not follow its neighbour")
                if isVector { columns += own.1 } else { rows += own.0 }
            }
        }
        self.offset = offset
        self.rows = rows
        self.columns = columns
        self.isFrozen = isFrozen
    }
}
