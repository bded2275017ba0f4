// What Adafactor and Muon do with whole matrices (whole_optimizers.c), in pieces that threads share; sums have a fixed order.

import CTuttiKernels

extension OptimizerKernels {
    /// Adafactor's factored second moments of a matrix g [rows, columns], updated in place: those of rows and of columns.
    package static func factoredMoments(
        _ g: UnsafePointer<Float>, rows: Int, columns: Int, rowState: UnsafeMutablePointer<Float>,
        columnState: UnsafeMutablePointer<Float>, _ scalars: UpdateScalars
    ) {
        let scalars = scalars.kernel
        Parallel.forRange(rows, grain: max(1, chunk / max(1, columns))) { part in
            tutti_adafactor_rows(
                g + part.lowerBound * columns, Int64(part.count), Int64(columns), rowState + part.lowerBound, scalars)
        }
        Parallel.forRange(columns, grain: 256) { part in
            tutti_adafactor_columns(g, Int64(rows), Int64(columns), part.kernel, columnState, scalars)
        }
    }

    /// u [rows, columns] = u over the root of the factored second moment.
    package static func divideByFactoredRoot(
        _ u: UnsafeMutablePointer<Float>, rows: Int, columns: Int, rowState: UnsafePointer<Float>,
        columnState: UnsafePointer<Float>, _ scalars: UpdateScalars
    ) {
        let scalars = scalars.kernel
        var sum = 0.0
        for row in 0..<rows { sum += Double(rowState[row]) }
        let mean = Float(sum / Double(max(1, rows)))
        Parallel.forRange(rows, grain: max(1, chunk / max(1, columns))) { part in
            tutti_adafactor_matrix(
                u + part.lowerBound * columns, Int64(part.count), Int64(columns), rowState + part.lowerBound, mean,
                columnState, scalars)
        }
    }

    /// The second moment of a vector, updated in place, and u = u over its root.
    package static func divideByRoot(
        _ u: UnsafeMutableBufferPointer<Float>, state: UnsafeMutablePointer<Float>, _ scalars: UpdateScalars
    ) {
        guard let base = u.baseAddress else { return }
        let scalars = scalars.kernel
        Parallel.forRange(u.count, grain: chunk) { part in
            tutti_adafactor_vector(
                base + part.lowerBound, Int64(part.count), state + part.lowerBound, scalars)
        }
    }

    /// Adafactor's last part: momentum in `a`, decay and the step.
    package static func adafactorMove(_ arrays: UpdateArrays, _ scalars: UpdateScalars) {
        let scalars = scalars.kernel
        Parallel.forRange(arrays.parameters.count, grain: chunk) { range in
            if let part = arrays.kernel(range) { tutti_adafactor_move(part, scalars) }
        }
    }

    /// The root of the mean square, of chunks added in order.
    package static func rootMeanSquare(_ x: UnsafeBufferPointer<Float>) -> Double {
        var sum = 0.0
        for start in stride(from: 0, to: x.count, by: chunk) {
            sum += sumOfSquares { $0(UnsafeBufferPointer(rebasing: x[start..<min(start + chunk, x.count)])) }
        }
        return (sum / Double(max(1, x.count))).squareRoot()
    }

    /// out = x * factor, rounded to bf16; `out` may be `x`.
    package static func roundToBF16(
        _ x: UnsafePointer<Float>, factor: Float = 1, count: Int, into out: UnsafeMutablePointer<Float>
    ) {
        Parallel.forRange(count, grain: chunk) { part in
            tutti_round_bf16(out + part.lowerBound, x + part.lowerBound, factor, Int64(part.count))
        }
    }
}
