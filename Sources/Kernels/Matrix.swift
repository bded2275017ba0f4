// A borrowed view of fp32 numbers in row-major order; memory belongs to an Arena or a parameter store.

import CTuttiKernels

/// A row-major fp32 matrix view: `rows` rows of `columns` numbers, `stride` numbers apart. It owns nothing.
public struct Matrix: @unchecked Sendable {
    /// First number of row 0.
    public let pointer: UnsafeMutablePointer<Float>
    /// Number of rows.
    public let rows: Int
    /// Number of columns.
    public let columns: Int
    /// Numbers from the start of one row to the start of the next.
    public let stride: Int

    /// A view of `rows` x `columns` numbers at `pointer`; rows are `stride` (by default `columns`) apart.
    @inlinable
    public init(_ pointer: UnsafeMutablePointer<Float>, _ rows: Int, _ columns: Int, stride: Int? = nil) {
        let stride = stride ?? columns
        precondition(rows >= 0 && columns >= 0 && stride >= columns, "Matrix: bad shape [\(rows), \(columns)]")
        self.pointer = pointer
        self.rows = rows
        self.columns = columns
        self.stride = stride
    }

    /// The number at row `r`, column `c`.
    @inlinable
    public subscript(r: Int, c: Int) -> Float {
        get { pointer[r * stride + c] }
        nonmutating set { pointer[r * stride + c] = newValue }
    }

    /// The first number of row `r`.
    @inlinable
    public func row(_ r: Int) -> UnsafeMutablePointer<Float> { pointer + r * stride }

    /// The view of some rows.
    @inlinable
    public func rows(_ range: Range<Int>) -> Matrix {
        precondition(range.lowerBound >= 0 && range.upperBound <= rows, "Matrix: rows \(range) outside 0..<\(rows)")
        return Matrix(pointer + range.lowerBound * stride, range.count, columns, stride: stride)
    }

    /// The view of some columns (same stride).
    @inlinable
    public func columns(_ range: Range<Int>) -> Matrix {
        precondition(
            range.lowerBound >= 0 && range.upperBound <= columns, "Matrix: columns \(range) outside 0..<\(columns)")
        return Matrix(pointer + range.lowerBound, rows, range.count, stride: stride)
    }

    /// True when rows follow each other without gaps.
    @inlinable
    public var isContiguous: Bool { stride == columns || rows <= 1 }

    /// The C form.
    var kernel: tutti_rows { tutti_rows(at: pointer, stride: Int64(stride)) }

    /// Sets every number to `value`.
    public func fill(_ value: Float) {
        if isContiguous {
            pointer.update(repeating: value, count: rows * columns)
        } else {
            for r in 0..<rows { row(r).update(repeating: value, count: columns) }
        }
    }

    /// Multiplies every number by `factor`.
    public func scale(by factor: Float) {
        for r in 0..<rows { for c in 0..<columns { self[r, c] *= factor } }
    }

    /// Adds a matrix of the same shape.
    package func add(_ other: Matrix) {
        precondition(
            rows == other.rows && columns == other.columns,
            "Matrix: [\(other.rows), \(other.columns)] added to [\(rows), \(columns)]")
        for row in 0..<rows {
            for column in 0..<columns { self[row, column] += other[row, column] }
        }
    }

    /// Copies a matrix of the same shape (memory must not overlap unless it is the same view).
    public func copy(from other: Matrix) {
        precondition(
            rows == other.rows && columns == other.columns,
            "Matrix: copy of [\(other.rows), \(other.columns)] into [\(rows), \(columns)]")
        if isContiguous && other.isContiguous {
            pointer.update(from: other.pointer, count: rows * columns)
        } else {
            for r in 0..<rows { row(r).update(from: other.row(r), count: columns) }
        }
    }
}

extension Range<Int> {
    /// The C form.
    var kernel: tutti_range { tutti_range(begin: Int64(lowerBound), end: Int64(upperBound)) }
}
