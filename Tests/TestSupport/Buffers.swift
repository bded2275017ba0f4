// Plain Swift arrays as kernels see them.

import TuttiKernels

/// A block of floats with the views kernels take. Its memory stays until the process ends: Swift may release an object
/// after its last mention, which would be before the kernel that got its pointer has run.
package final class FloatBlock {
    /// The memory.
    package let pointer: UnsafeMutablePointer<Float>
    /// Number of floats.
    package let count: Int

    /// A copy of these numbers.
    package init(_ values: [Float]) {
        count = values.count
        pointer = UnsafeMutablePointer<Float>.allocate(capacity: max(count, 1))
        pointer.initialize(from: values, count: count)
    }

    /// `count` numbers equal to `value` (NaN by default, so that reading what was not written shows).
    package convenience init(count: Int, of value: Float = .nan) {
        self.init([Float](repeating: value, count: count))
    }

    /// The numbers now.
    package var values: [Float] { Array(UnsafeBufferPointer(start: pointer, count: count)) }

    /// The block as a matrix of `rows` rows.
    package func matrix(_ rows: Int, _ columns: Int) -> Matrix {
        precondition(rows * columns <= count, "FloatBlock: [\(rows), \(columns)] of \(count)")
        return Matrix(pointer, rows, columns)
    }

    /// The block as a buffer.
    package var buffer: UnsafeMutableBufferPointer<Float> { UnsafeMutableBufferPointer(start: pointer, count: count) }
}
