// Tape: reverse-mode differentiation over 2-D matrices, in which losses are written.
//
// A loss says how its value follows from embeddings; every operation writes down its adjoint, and `evaluate` plays the
// adjoints backwards. Operations are files of Operations/, written with
// `record`, `newMatrix` and `gradient(of:)`, as a loss may write one of its own. The number of ranks needs no care:
// the loss is the sum of what the ranks return, a gather's adjoint is the reduce-scatter of that sum, a sum's adjoint
// is a sum, and what all ranks compute alike one of them returns (`once`). Collectives are played back on every rank in
// the same order, also where a rank has no rows.
//
// Numbers are fp32, sums inside an operation fp64. Memory comes from one arena that the next evaluation reuses.
//
// Legend: `b` rows on this rank, `N` rows of all ranks, `C` text columns, `D` width; comments give a value's shape.

import TuttiEnsemble
import TuttiGround
import TuttiKernels

/// A matrix on a tape.
public struct TapeValue {
    let index: Int
    /// The numbers.
    public let matrix: Matrix
    /// Rows of the matrix.
    public var rows: Int { matrix.rows }
    /// Columns of the matrix.
    public var columns: Int { matrix.columns }
    /// The only number of a `[1, 1]` matrix.
    public var scalar: Double { Double(matrix[0, 0]) }
}

/// Writes down operations and plays their adjoints backwards. Used by one thread.
public final class Tape {
    /// One value with what its gradient does.
    private struct Record {
        let matrix: Matrix
        /// The matrix whose memory this one is a view of, and how.
        let origin: (index: Int, view: (Matrix) -> Matrix)?
        /// Whether a gradient by it is wanted.
        let isActive: Bool
        /// Whether the adjoint is collective: then it is played even where nobody added to the gradient.
        let isCollective: Bool
        var gradient: Matrix?
        let adjoint: ((Matrix) throws -> Void)?
    }

    var arena = Arena()
    private var records: [Record] = []
    private(set) var batch: LossBatch
    private(set) var context: LossContext
    private var isRecording = false
    private var root: TapeValue?
    private var others: [Role: TapeValue] = [:]
    private var gathered: RankGather?
    private var tiles: Tape?

    /// A tape without values.
    public init() {
        let nothing = Matrix(UnsafeMutablePointer<Float>.allocate(capacity: 1), 0, 0)
        nothing.pointer.deallocate()
        batch = LossBatch(embeddings: nothing, rows: 0, columns: 1)
        context = LossContext(ensemble: LocalEnsemble.single())
    }

    // MARK: Evaluating

    /// Evaluates the loss that `body` says, a `[1, 1]` value, this rank's summand. Collective.
    ///
    /// The arguments and the result are those of `Loss.evaluate`.
    public func evaluate(
        _ batch: LossBatch, _ gradients: LossGradients?, _ context: LossContext,
        _ body: (Tape) throws -> TapeValue
    ) throws -> Double {
        try begin(batch, gradients, context)
        let value = try body(self)
        precondition(value.rows == 1 && value.columns == 1, "Tape: a loss of shape [\(value.rows), \(value.columns)]")
        gradient(of: value)?.fill(Float(context.weight))
        try playBack()
        return value.scalar
    }

    /// Evaluates a loss that other losses make up: `body` returns the value, and hands the gradients that the inner
    /// losses give, weights included, to `add(gradient:to:)`. Collective.
    public func evaluateInner(
        _ batch: LossBatch, _ gradients: LossGradients?, _ context: LossContext, _ body: (Tape) throws -> Double
    ) throws -> Double {
        try begin(batch, gradients, context)
        let value = try body(self)
        try playBack()
        return value
    }

    /// Counts `value`, `[1, 1]`, in with a weight: for the summands of a wrapper's own in `evaluateInner`.
    ///
    /// - Returns: weight times the value.
    public func minimise(_ value: TapeValue, weight: Double) -> Double {
        gradient(of: value)?[0, 0] += Float(context.weight * weight)
        return weight * value.scalar
    }

    /// Evaluates `inner` on a part or a transformation of this tape's batch, with a weight, and sends its gradient
    /// back. Collective.
    ///
    /// - Parameters:
    ///   - batch: what `inner` sees; its embeddings are `embeddings`, and `trained` by the other roles that are trained.
    ///   - branch: tells the random draws of several evaluations apart.
    /// - Returns: weight times the value.
    public func evaluate(
        _ inner: any Loss, _ batch: LossBatch, embeddings: TapeValue, trained: [Role: TapeValue] = [:],
        weight: Double, branch: Int = 0, parameters: LossParameters? = nil
    ) throws -> Double {
        var (batch, context) = (batch, context)
        batch.embeddings = embeddings.matrix
        for (role, value) in trained { batch.others[role] = value.matrix }
        context.weight *= weight
        context.draw.branch = context.draw.branch &* 31 &+ UInt32(truncatingIfNeeded: branch)
        if let parameters { context.parameters = parameters }
        var gradients: LossGradients?
        if isRecording {
            gradients = LossGradients(
                embeddings: newMatrix(embeddings.rows, embeddings.columns),
                others: trained.mapValues { newMatrix($0.rows, $0.columns) })
        }
        let value = try inner.evaluate(batch, gradients: gradients, in: context)
        if let gradients {
            add(gradient: gradients.embeddings, to: embeddings)
            for (role, value) in trained { if let own = gradients[role] { add(gradient: own, to: value) } }
        }
        return weight * value
    }

    private func begin(_ batch: LossBatch, _ gradients: LossGradients?, _ context: LossContext) throws {
        arena.reset()
        records.removeAll(keepingCapacity: true)
        self.batch = batch
        self.context = context
        isRecording = gradients != nil
        gathered = try RankGather(rows: batch.rows, ensemble: context.ensemble, arena: &arena)
        root = input(batch.embeddings, gradient: gradients?.embeddings)
        others.removeAll(keepingCapacity: true)
        for (role, matrix) in batch.others { others[role] = input(matrix, gradient: gradients?.others[role]) }
    }

    private func playBack() throws {
        defer { records.removeAll(keepingCapacity: true) }  // with the closures' hold on this tape
        guard isRecording else { return }
        for index in records.indices.reversed() {
            guard let adjoint = records[index].adjoint, records[index].isActive else { continue }
            if records[index].isCollective { _ = gradient(at: index) }
            if let gradient = records[index].gradient { try adjoint(gradient) }
        }
    }

    // MARK: Row tiles

    /// The sum over tiles of rows of what `body` makes of `inputs`, `[1, width]`, holding one tile's numbers at a time.
    ///
    /// Gradients compute each tile again, with all that `body` writes on the tape that it is given.
    ///
    /// - Parameters:
    ///   - count: rows in all; none give zeros.
    ///   - body: gets a tape of the tile, `inputs` on it and the tile's rows; calls no collective.
    public func tiled(
        _ count: Int, by tile: Int = 128, _ inputs: [TapeValue], width: Int = 1,
        _ body: @escaping (_ tape: Tape, _ inputs: [TapeValue], _ rows: Range<Int>) -> TapeValue
    ) -> TapeValue {
        let inner = tiles ?? Tape()
        tiles = inner
        let ranges = stride(from: 0, to: count, by: tile).map { $0..<min($0 + tile, count) }
        var sums = [Double](repeating: 0, count: width)
        for rows in ranges {
            let part = inner.write(isRecording: false) { body(inner, inputs.map { inner.constant($0.matrix) }, rows) }
            precondition(part.rows == 1 && part.columns == width, "Tape: a tile of [\(part.rows), \(part.columns)]")
            for column in 0..<width { sums[column] += Double(part.matrix[0, column]) }
        }
        let result = newMatrix(1, width)
        for column in 0..<width { result[0, column] = Float(sums[column]) }
        return record(result, from: inputs) { [unowned self] d in
            for rows in ranges {
                let part = inner.write(isRecording: true) {
                    body(inner, inputs.map { inner.append($0.matrix, gradient: gradient(of: $0)) }, rows)
                }
                inner.add(gradient: d, to: part)
                try inner.playBack()
            }
        }
    }

    private func write(isRecording: Bool, _ body: () -> TapeValue) -> TapeValue {
        arena.reset()
        records.removeAll(keepingCapacity: true)
        self.isRecording = isRecording
        return body()
    }

    // MARK: Inputs

    /// Whether gradients are wanted in this evaluation.
    public var wantsGradients: Bool { isRecording }

    /// How the rows of this batch lie among those of all ranks.
    var ranks: RankGather {
        guard let gathered else { preconditionFailure("Tape: used outside evaluate") }
        return gathered
    }

    /// Rows of all ranks, `N`, as a denominator: at least 1.
    public var globalRows: Double { Double(max(1, ranks.total)) }

    /// All embeddings of the batch: `[L * C * b, D]`.
    public var embeddings: TapeValue {
        guard let root else { preconditionFailure("Tape: used outside evaluate") }
        return root
    }

    /// The embeddings of one text column at the last layer: `[b, D]`.
    public func column(_ index: Int) -> TapeValue {
        let first = ((batch.layers - 1) * batch.columns + index) * batch.rows
        return rows(embeddings, first..<first + batch.rows)
    }

    /// The embeddings of one of the text columns that `role` reads, `[b, width]`; a frozen role's have no gradient.
    public func column(_ index: Int, of role: Role) -> TapeValue {
        if role == .student { return column(index) }
        guard let value = others[role] else { preconditionFailure("Tape: the loss did not ask for \(role)") }
        return rows(value, index * batch.rows..<(index + 1) * batch.rows)
    }

    /// All embeddings by the roles besides the student that are trained.
    public var trained: [Role: TapeValue] { others.filter { $0.key.isTrained } }

    /// The labels: `[b, labelWidth]`, without a gradient.
    ///
    /// - Throws: `TuttiError` where the data have none.
    public func labels(of loss: String) throws(TuttiError) -> TapeValue {
        guard let labels = batch.labels else { throw TuttiError.loss(loss, problem: "the data have no labels") }
        let matrix = newMatrix(batch.rows, batch.labelWidth)
        for index in 0..<labels.count { matrix.pointer[index] = labels[index] }
        return constant(matrix)
    }

    /// A parameter that the loss owns, one row for a vector.
    public func parameter(_ name: String) -> TapeValue {
        let tensor = context.parameters[name]
        return append(tensor.values, gradient: isRecording ? tensor.gradient : nil)
    }

    /// Numbers without a gradient.
    public func constant(_ matrix: Matrix) -> TapeValue { append(matrix, gradient: nil) }

    /// One number without a gradient.
    public func constant(_ value: Double) -> TapeValue {
        let matrix = newMatrix(1, 1)
        matrix[0, 0] = Float(value)
        return constant(matrix)
    }

    /// `value` as a constant: no gradient flows through it.
    public func detached(_ value: TapeValue) -> TapeValue { constant(value.matrix) }

    private func input(_ matrix: Matrix, gradient: Matrix?) -> TapeValue {
        gradient?.fill(0)
        return append(matrix, gradient: gradient)
    }

    private func append(_ matrix: Matrix, gradient: Matrix?) -> TapeValue {
        if let gradient {
            precondition(
                gradient.rows == matrix.rows && gradient.columns == matrix.columns,
                "Tape: a gradient [\(gradient.rows), \(gradient.columns)] of [\(matrix.rows), \(matrix.columns)]")
        }
        records.append(
            Record(
                matrix: matrix, origin: nil, isActive: gradient != nil, isCollective: false, gradient: gradient,
                adjoint: nil))
        return TapeValue(index: records.count - 1, matrix: matrix)
    }

    // MARK: Writing down operations

    /// Writes down a result that was computed from `inputs`.
    ///
    /// - Parameters:
    ///   - isCollective: the adjoint is collective; then all ranks must have written the same operation.
    ///   - adjoint: gets the derivative by the result and adds to `gradient(of:)` of the inputs that have one.
    public func record(
        _ result: Matrix, from inputs: [TapeValue], isCollective: Bool = false,
        adjoint: @escaping (Matrix) throws -> Void
    ) -> TapeValue {
        let isActive = isRecording && inputs.contains { records[$0.index].isActive }
        records.append(
            Record(
                matrix: result, origin: nil, isActive: isActive, isCollective: isCollective, gradient: nil,
                adjoint: isActive ? adjoint : nil))
        return TapeValue(index: records.count - 1, matrix: result)
    }

    /// A value that is part of another's memory: its gradient is the same part of the other's gradient.
    public func view(of value: TapeValue, _ view: @escaping (Matrix) -> Matrix) -> TapeValue {
        let matrix = view(value.matrix)
        records.append(
            Record(
                matrix: matrix, origin: (value.index, view), isActive: records[value.index].isActive,
                isCollective: false, gradient: nil, adjoint: nil))
        return TapeValue(index: records.count - 1, matrix: matrix)
    }

    /// Where adjoints add the derivative by `value`; nil where none is wanted.
    public func gradient(of value: TapeValue) -> Matrix? { gradient(at: value.index) }

    /// Adds a gradient that was computed elsewhere, weights included, to that of `value`.
    public func add(gradient: Matrix, to value: TapeValue) {
        guard let sum = self.gradient(of: value) else { return }
        for row in 0..<sum.rows { for column in 0..<sum.columns { sum[row, column] += gradient[row, column] } }
    }

    private func gradient(at index: Int) -> Matrix? {
        if let gradient = records[index].gradient { return gradient }
        guard records[index].isActive else { return nil }
        if let (origin, view) = records[index].origin {
            records[index].gradient = self.gradient(at: origin).map(view)
        } else {
            let gradient = newMatrix(records[index].matrix.rows, records[index].matrix.columns)
            gradient.fill(0)
            records[index].gradient = gradient
        }
        return records[index].gradient
    }

    /// Room for a result, until the next evaluation.
    public func newMatrix(_ rows: Int, _ columns: Int) -> Matrix { arena.matrix(rows, columns) }
}
