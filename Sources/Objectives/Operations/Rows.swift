// Operations of the tape on whole rows: parts, products, reductions, softmax, choices.

import Foundation
import TuttiKernels

extension Tape {
    // MARK: Parts

    /// Some rows of x.
    public func rows(_ x: TapeValue, _ range: Range<Int>) -> TapeValue { view(of: x) { $0.rows(range) } }

    /// Some columns of x.
    public func columns(_ x: TapeValue, _ range: Range<Int>) -> TapeValue { view(of: x) { $0.columns(range) } }

    /// The rows of all values below each other.
    public func concatenateRows(_ values: [TapeValue]) -> TapeValue {
        let width = values.first?.columns ?? 0
        let result = newMatrix(values.reduce(0) { $0 + $1.rows }, width)
        var first = 0
        var places: [Range<Int>] = []
        for value in values {
            places.append(first..<first + value.rows)
            result.rows(first..<first + value.rows).copy(from: value.matrix)
            first += value.rows
        }
        return record(result, from: values) { [unowned self] d in
            for (value, place) in Swift.zip(values, places) { add(gradient: d.rows(place), to: value) }
        }
    }

    /// The columns of all values beside each other.
    public func concatenateColumns(_ values: [TapeValue]) -> TapeValue {
        let height = values.first?.rows ?? 0
        let result = newMatrix(height, values.reduce(0) { $0 + $1.columns })
        var first = 0
        var places: [Range<Int>] = []
        for value in values {
            places.append(first..<first + value.columns)
            result.columns(first..<first + value.columns).copy(from: value.matrix)
            first += value.columns
        }
        return record(result, from: values) { [unowned self] d in
            for (value, place) in Swift.zip(values, places) { add(gradient: d.columns(place), to: value) }
        }
    }

    /// x with rows and columns exchanged.
    public func transposed(_ x: TapeValue) -> TapeValue {
        let result = newMatrix(x.columns, x.rows)
        for row in 0..<x.rows { for column in 0..<x.columns { result[column, row] = x.matrix[row, column] } }
        return record(result, from: [x]) { [unowned self] d in
            guard let dX = gradient(of: x) else { return }
            for row in 0..<x.rows { for column in 0..<x.columns { dX[row, column] += d[column, row] } }
        }
    }

    // MARK: Products

    /// x yᵀ: the inner products of all rows, `[n, D]` with `[m, D]` to `[n, m]`.
    public func products(_ x: TapeValue, _ y: TapeValue) -> TapeValue {
        precondition(x.columns == y.columns, "Tape: products of widths \(x.columns) and \(y.columns)")
        let result = newMatrix(x.rows, y.rows)
        if x.rows > 0, y.rows > 0 { Gemm.multiply(x.matrix, y.matrix, transposeB: true, into: result) }
        return record(result, from: [x, y]) { [unowned self] d in
            guard x.rows > 0, y.rows > 0 else { return }
            if let dX = gradient(of: x) { Gemm.multiply(d, y.matrix, into: dX, beta: 1) }
            if let dY = gradient(of: y) { Gemm.multiply(d, transposeA: true, x.matrix, into: dY, beta: 1) }
        }
    }

    /// The inner product of row i of x with row i of y: `[n, 1]`.
    public func rowProducts(_ x: TapeValue, _ y: TapeValue) -> TapeValue { rowSums(multiply(x, y)) }

    /// x Wᵀ + bias by the parameters `name`.weight `[m, D]` and `name`.bias `[m]`: `[n, D]` to `[n, m]`.
    public func linear(_ x: TapeValue, _ name: String) -> TapeValue {
        addRow(products(x, parameter("\(name).weight")), parameter("\(name).bias"))
    }

    /// The rows of x plus one row: `[n, D]` with `[1, D]`.
    public func addRow(_ x: TapeValue, _ row: TapeValue) -> TapeValue {
        precondition(row.rows == 1 && row.columns == x.columns, "Tape: a row of \(row.columns) to \(x.columns) columns")
        let result = newMatrix(x.rows, x.columns)
        for r in 0..<x.rows { for c in 0..<x.columns { result[r, c] = x.matrix[r, c] + row.matrix[0, c] } }
        return record(result, from: [x, row]) { [unowned self] d in
            add(gradient: d, to: x)
            guard let dRow = gradient(of: row) else { return }
            for r in 0..<d.rows { for c in 0..<d.columns { dRow[0, c] += d[r, c] } }
        }
    }

    // MARK: Rows

    /// Rows of unit length: x / max(|x|, epsilon).
    public func normalized(_ x: TapeValue, epsilon: Float = 1e-12) -> TapeValue {
        let result = newMatrix(x.rows, x.columns)
        let norms = arena.floats(x.rows)
        RowKernels.normalize(x.matrix, norms: norms, epsilon: epsilon, into: result)
        return record(result, from: [x]) { [unowned self] d in
            let dX = newMatrix(d.rows, d.columns)
            RowKernels.normalizeBackward(result, norms: norms, dY: d, epsilon: epsilon, into: dX)
            add(gradient: dX, to: x)
        }
    }

    /// The sum of each row: `[n, 1]`.
    public func rowSums(_ x: TapeValue) -> TapeValue {
        let result = newMatrix(x.rows, 1)
        for row in 0..<x.rows {
            var sum = 0.0
            for column in 0..<x.columns { sum += Double(x.matrix[row, column]) }
            result[row, 0] = Float(sum)
        }
        return record(result, from: [x]) { [unowned self] d in
            guard let dX = gradient(of: x) else { return }
            for row in 0..<dX.rows { for column in 0..<dX.columns { dX[row, column] += d[row, 0] } }
        }
    }

    /// A function of each row, `[n, m]` to `[n, 1]`; it adds its derivative to `slopes`, which begin as zeros.
    public func mapRows(
        _ x: TapeValue,
        _ function: (
            _ row: Int, _ numbers: UnsafeBufferPointer<Float>, _ slopes: UnsafeMutableBufferPointer<Float>
        ) -> Double
    ) -> TapeValue {
        let result = newMatrix(x.rows, 1)
        let slopes = newMatrix(x.rows, x.columns)
        slopes.fill(0)
        for row in 0..<x.rows {
            result[row, 0] = Float(
                function(
                    row, UnsafeBufferPointer(start: x.matrix.row(row), count: x.columns),
                    UnsafeMutableBufferPointer(start: slopes.row(row), count: x.columns)))
        }
        return record(result, from: [x]) { [unowned self] d in
            guard let dX = gradient(of: x) else { return }
            for row in 0..<dX.rows {
                for column in 0..<dX.columns { dX[row, column] += d[row, 0] * slopes[row, column] }
            }
        }
    }

    /// factor times the sum of all numbers: `[1, 1]`.
    public func sum(_ x: TapeValue, times factor: Double = 1) -> TapeValue {
        let result = newMatrix(1, 1)
        var sum = 0.0
        for row in 0..<x.rows { for column in 0..<x.columns { sum += Double(x.matrix[row, column]) } }
        result[0, 0] = Float(sum * factor)
        return record(result, from: [x]) { [unowned self] d in
            guard let dX = gradient(of: x) else { return }
            let slope = d[0, 0] * Float(factor)
            for row in 0..<dX.rows { for column in 0..<dX.columns { dX[row, column] += slope } }
        }
    }

    /// log of the sum of e^x over each row: `[n, 1]`; -infinity where a row holds nothing else.
    public func logSumExp(_ x: TapeValue) -> TapeValue {
        let result = newMatrix(x.rows, 1)
        for row in 0..<x.rows { result[row, 0] = Float(logSumExp(x.matrix, row)) }
        return record(result, from: [x]) { [unowned self] d in
            guard let dX = gradient(of: x) else { return }
            for row in 0..<dX.rows where d[row, 0] != 0 {
                let total = logSumExp(x.matrix, row)
                guard total > -.infinity else { continue }
                for column in 0..<dX.columns {
                    dX[row, column] += d[row, 0] * Float(exp(Double(x.matrix[row, column]) - total))
                }
            }
        }
    }

    /// log of the softmax of each row: `[n, m]`.
    public func logSoftmax(_ x: TapeValue) -> TapeValue {
        let result = newMatrix(x.rows, x.columns)
        for row in 0..<x.rows {
            let total = logSumExp(x.matrix, row)  // subtracted in fp64: large scores would lose the digits that count
            for column in 0..<x.columns { result[row, column] = Float(Double(x.matrix[row, column]) - total) }
        }
        return record(result, from: [x]) { [unowned self] d in
            guard let dX = gradient(of: x) else { return }
            for row in 0..<dX.rows {
                var sum = 0.0
                for column in 0..<dX.columns { sum += Double(d[row, column]) }
                for column in 0..<dX.columns {
                    dX[row, column] += Float(Double(d[row, column]) - exp(Double(result[row, column])) * sum)
                }
            }
        }
    }

    /// The cross entropy of each row with the class that `target` names: `[n, 1]`.
    public func crossEntropy(_ x: TapeValue, target: @escaping (_ row: Int) -> Int) -> TapeValue {
        let result = newMatrix(x.rows, 1)
        for row in 0..<x.rows {
            result[row, 0] = Float(logSumExp(x.matrix, row) - Double(x.matrix[row, target(row)]))
        }
        return record(result, from: [x]) { [unowned self] d in
            guard let dX = gradient(of: x) else { return }
            for row in 0..<dX.rows where d[row, 0] != 0 {
                let total = logSumExp(x.matrix, row)
                for column in 0..<dX.columns {
                    dX[row, column] += d[row, 0] * Float(exp(Double(x.matrix[row, column]) - total))
                }
                dX[row, target(row)] -= d[row, 0]
            }
        }
    }

    /// One number of each row: `[n, 1]`.
    public func pick(_ x: TapeValue, column: @escaping (_ row: Int) -> Int) -> TapeValue {
        let result = newMatrix(x.rows, 1)
        for row in 0..<x.rows { result[row, 0] = x.matrix[row, column(row)] }
        return record(result, from: [x]) { [unowned self] d in
            guard let dX = gradient(of: x) else { return }
            for row in 0..<dX.rows { dX[row, column(row)] += d[row, 0] }
        }
    }

    /// Rows of x by their numbers, repeats allowed: `[places.count, D]`.
    public func takeRows(_ x: TapeValue, _ places: [Int]) -> TapeValue {
        let result = newMatrix(places.count, x.columns)
        for (row, place) in places.enumerated() {
            result.row(row).update(from: x.matrix.row(place), count: x.columns)
        }
        return record(result, from: [x]) { [unowned self] d in
            guard let dX = gradient(of: x) else { return }
            for (row, place) in places.enumerated() {
                for column in 0..<d.columns { dX[place, column] += d[row, column] }
            }
        }
    }

    private func logSumExp(_ x: Matrix, _ row: Int) -> Double {
        let numbers = x.row(row)
        var largest = -Float.infinity
        for column in 0..<x.columns { largest = max(largest, numbers[column]) }
        guard largest > -.infinity else { return -.infinity }
        var sum = 0.0
        for column in 0..<x.columns { sum += exp(Double(numbers[column] - largest)) }
        return Double(largest) + log(sum)
    }
}
