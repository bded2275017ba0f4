// Operations of the tape that treat every number alike.

import Foundation
import TuttiKernels

extension Tape {
    /// Applies a function to every number; `function` gives its value and its derivative.
    @inline(__always)
    public func map(_ x: TapeValue, _ function: (Float) -> (value: Float, slope: Float)) -> TapeValue {
        let result = newMatrix(x.rows, x.columns)
        let slopes = newMatrix(x.rows, x.columns)
        for row in 0..<x.rows {
            let (from, to, slope) = (x.matrix.row(row), result.row(row), slopes.row(row))
            for column in 0..<x.columns { (to[column], slope[column]) = function(from[column]) }
        }
        return record(result, from: [x]) { [unowned self] d in
            guard let dX = gradient(of: x) else { return }
            for row in 0..<d.rows {
                let (from, to, slope) = (d.row(row), dX.row(row), slopes.row(row))
                for column in 0..<d.columns { to[column] += from[column] * slope[column] }
            }
        }
    }

    /// Combines two matrices of one shape; `function` gives the value and the derivatives by both.
    @inline(__always)
    public func zip(
        _ x: TapeValue, _ y: TapeValue, _ function: (Float, Float) -> (value: Float, slopes: (Float, Float))
    ) -> TapeValue {
        precondition(
            x.rows == y.rows && x.columns == y.columns,
            "Tape: [\(x.rows), \(x.columns)] with [\(y.rows), \(y.columns)]")
        let result = newMatrix(x.rows, x.columns)
        let slopesX = newMatrix(x.rows, x.columns)
        let slopesY = newMatrix(x.rows, x.columns)
        for row in 0..<x.rows {
            for column in 0..<x.columns {
                let (value, slopes) = function(x.matrix[row, column], y.matrix[row, column])
                (result[row, column], slopesX[row, column], slopesY[row, column]) = (value, slopes.0, slopes.1)
            }
        }
        return record(result, from: [x, y]) { [unowned self] d in
            for (dInput, slopes) in [(gradient(of: x), slopesX), (gradient(of: y), slopesY)] {
                guard let dInput else { continue }
                for row in 0..<d.rows {
                    for column in 0..<d.columns { dInput[row, column] += d[row, column] * slopes[row, column] }
                }
            }
        }
    }

    /// x + y.
    public func add(_ x: TapeValue, _ y: TapeValue) -> TapeValue { zip(x, y) { ($0 + $1, (1, 1)) } }

    /// x - y.
    public func subtract(_ x: TapeValue, _ y: TapeValue) -> TapeValue { zip(x, y) { ($0 - $1, (1, -1)) } }

    /// x * y, number by number.
    public func multiply(_ x: TapeValue, _ y: TapeValue) -> TapeValue { zip(x, y) { ($0 * $1, ($1, $0)) } }

    /// x / y, number by number.
    public func divide(_ x: TapeValue, _ y: TapeValue) -> TapeValue {
        zip(x, y) { ($0 / $1, (1 / $1, -$0 / ($1 * $1))) }
    }

    /// factor * x + offset.
    public func scaled(_ x: TapeValue, by factor: Double, plus offset: Double = 0) -> TapeValue {
        let (factor, offset) = (Float(factor), Float(offset))
        return map(x) { (factor * $0 + offset, factor) }
    }

    /// x times the only number of `factor`, a `[1, 1]` value.
    public func scaled(_ x: TapeValue, by factor: TapeValue) -> TapeValue {
        let result = newMatrix(x.rows, x.columns)
        let scale = factor.matrix[0, 0]
        for row in 0..<x.rows { for column in 0..<x.columns { result[row, column] = scale * x.matrix[row, column] } }
        return record(result, from: [x, factor]) { [unowned self] d in
            let (dX, dFactor) = (gradient(of: x), gradient(of: factor))
            var sum = 0.0
            for row in 0..<d.rows {
                for column in 0..<d.columns {
                    dX?[row, column] += scale * d[row, column]
                    sum += Double(d[row, column]) * Double(x.matrix[row, column])
                }
            }
            dFactor?[0, 0] += Float(sum)
        }
    }

    /// x plus the only number of `offset`, a `[1, 1]` value.
    public func shifted(_ x: TapeValue, by offset: TapeValue) -> TapeValue {
        let result = newMatrix(x.rows, x.columns)
        let shift = offset.matrix[0, 0]
        for row in 0..<x.rows { for column in 0..<x.columns { result[row, column] = x.matrix[row, column] + shift } }
        return record(result, from: [x, offset]) { [unowned self] d in
            add(gradient: d, to: x)
            guard let dOffset = gradient(of: offset) else { return }
            var sum = 0.0
            for row in 0..<d.rows { for column in 0..<d.columns { sum += Double(d[row, column]) } }
            dOffset[0, 0] += Float(sum)
        }
    }

    /// max(x, 0).
    public func relu(_ x: TapeValue) -> TapeValue { map(x) { $0 > 0 ? ($0, 1) : (0, 0) } }

    /// |x|, with derivative 0 at 0.
    public func abs(_ x: TapeValue) -> TapeValue { map(x) { (Swift.abs($0), $0 > 0 ? 1 : $0 < 0 ? -1 : 0) } }

    /// x squared.
    public func square(_ x: TapeValue) -> TapeValue { map(x) { ($0 * $0, 2 * $0) } }

    /// The square root, with derivative 0 at 0.
    public func squareRoot(_ x: TapeValue) -> TapeValue {
        map(x) { $0 > 0 ? ($0.squareRoot(), 0.5 / $0.squareRoot()) : (0, 0) }
    }

    /// e to the x.
    public func exponential(_ x: TapeValue) -> TapeValue {
        map(x) {
            let value = Float(exp(Double($0)))
            return (value, value)
        }
    }

    /// 1 / (1 + e^-x).
    public func sigmoid(_ x: TapeValue) -> TapeValue {
        map(x) {
            let value = logistic(Double($0))
            return (Float(value), Float(value * (1 - value)))
        }
    }

    /// log(1 + e^x), without overflow.
    public func softplus(_ x: TapeValue) -> TapeValue {
        map(x) {
            let x = Double($0)
            return (Float(max(x, 0) + log1p(exp(-Swift.abs(x)))), Float(logistic(x)))
        }
    }

    /// The numbers where `mask` is true, -infinity (and no gradient) elsewhere.
    public func masked(_ x: TapeValue, keeping mask: (_ row: Int, _ column: Int) -> Bool) -> TapeValue {
        let result = newMatrix(x.rows, x.columns)
        for row in 0..<x.rows {
            for column in 0..<x.columns {
                result[row, column] = mask(row, column) ? x.matrix[row, column] : -.infinity
            }
        }
        return record(result, from: [x]) { [unowned self] d in
            guard let dX = gradient(of: x) else { return }
            for row in 0..<d.rows {
                for column in 0..<d.columns where result[row, column] != -.infinity {
                    dX[row, column] += d[row, column]
                }
            }
        }
    }
}

/// 1 / (1 + e^-x).
private func logistic(_ x: Double) -> Double { x >= 0 ? 1 / (1 + exp(-x)) : exp(x) / (1 + exp(x)) }
