// Activations against fp64 formulas over their whole range, and their derivatives.

import Foundation
import Testing
import TestSupport
import TuttiKernels

@Suite(.serialized, .atEveryLevel) struct ActivationTests {
    private func exact(_ kind: Activation, _ u: Double) -> Double {
        switch kind {
        case .identity: u
        case .gelu: u * 0.5 * erfc(-u / 2.0.squareRoot())
        case .geluTanh: 0.5 * u * (1 + tanh((2 / Double.pi).squareRoot() * (u + 0.044715 * u * u * u)))
        case .relu: max(u, 0)
        case .silu: u / (1 + exp(-u))
        case .tanh: tanh(u)
        case .sigmoid: 1 / (1 + exp(-u))
        case .quickGELU: u / (1 + exp(-1.702 * u))
        case .relu6: min(max(u, 0), 6)
        case .leakyReLU: u > 0 ? u : 0.01 * u
        case .mish: u * tanh(log1p(exp(u)))
        case .hardSwish: u * min(max(u + 3, 0), 6) / 6
        case .reluSquared: max(u, 0) * max(u, 0)
        }
    }

    private func exactDerivative(_ kind: Activation, _ u: Double) -> Double {
        switch kind {
        case .relu: return u > 0 ? 1 : 0
        case .gelu: return 0.5 * erfc(-u / 2.0.squareRoot()) + u * exp(-u * u / 2) / (2 * Double.pi).squareRoot()
        default:
            let h = 1e-5
            return (exact(kind, u + h) - exact(kind, u - h)) / (2 * h)
        }
    }

    /// Where the derivative jumps.
    private func kinks(_ kind: Activation) -> [Double] {
        switch kind {
        case .relu, .leakyReLU, .reluSquared: [0]  // the last in its slope: differences across it are off by h / 2
        case .relu6: [0, 6]
        case .hardSwish: [-3, 3]
        default: []
        }
    }

    @Test(arguments: Activation.allCases)
    func matchesTheFormula(kind: Activation) {
        let columns = 1003
        let rows = 40
        let u = (0..<rows * columns).map { Float(-15 + 30 * Double($0) / Double(rows * columns)) }
        let bias = [Float](repeating: 0.25, count: columns)
        let x = FloatBlock(u.map { $0 - 0.25 })
        let y = FloatBlock(count: u.count)
        let d = FloatBlock(count: u.count)
        let ones = FloatBlock(count: u.count, of: 1)
        RowKernels.activation(kind, x.matrix(rows, columns), bias: bias.pinned, into: y.matrix(rows, columns))
        RowKernels.activationBackward(
            kind, x.matrix(rows, columns), bias: bias.pinned, dOutput: ones.matrix(rows, columns),
            into: d.matrix(rows, columns))
        var worst = 0.0
        var worstDerivative = 0.0
        for i in 0..<u.count {
            let at = Double(x.values0[i] + 0.25)
            // A few units in the last place of the value, of the argument, or of the [0, 1] factor.
            let value = exact(kind, at)
            worst = max(worst, abs(Double(y.values0[i]) - value) / max(abs(at), abs(value), 1))
            if kinks(kind).contains(where: { abs(at - $0) < 1e-3 }) { continue }
            let derivative = exactDerivative(kind, at)
            worstDerivative = max(
                worstDerivative, abs(Double(d.values0[i]) - derivative) / max(abs(derivative) / 4, 1))
        }
        #expect(worst < 2.5e-7, "\(kind): \(worst)")
        #expect(worstDerivative < 2e-6, "\(kind): \(worstDerivative)")
    }

    @Test(arguments: Activation.allCases)
    func valueAndGradientInOnePass(kind: Activation) {
        let (rows, columns) = (13, 205)
        var random = TinyRandom(5)
        let u = random.floats(rows * columns).map { 4 * $0 }
        let bias = random.floats(columns).pinned
        let start = random.floats(rows * columns)
        let x = FloatBlock(u), d = FloatBlock(start), value = FloatBlock(count: u.count), gradient = FloatBlock(start)
        RowKernels.activation(kind, x.matrix(rows, columns), bias: bias, into: value.matrix(rows, columns))
        RowKernels.activationBackward(
            kind, x.matrix(rows, columns), bias: bias, dOutput: gradient.matrix(rows, columns),
            into: gradient.matrix(rows, columns))
        // In place: the value takes the place of the pre-activation.
        RowKernels.activationWithGradient(
            kind, x.matrix(rows, columns), bias: bias, dOutput: d.matrix(rows, columns),
            activated: x.matrix(rows, columns))
        let same =
            zip(x.values, value.values).allSatisfy { abs($0 - $1) <= 4e-7 * max(1, abs($1)) }
            && zip(d.values, gradient.values).allSatisfy { abs($0 - $1) <= 4e-7 * max(1, abs($1)) }
        #expect(same)
    }

    @Test func geluKeepsRelativeAccuracyInTheTail() {
        let u = stride(from: Float(-9), to: -1, by: 0.01).map { $0 }
        let x = FloatBlock(u)
        RowKernels.activation(.gelu, x.matrix(1, u.count), into: x.matrix(1, u.count))
        for (at, value) in zip(u, x.values) {
            let expected = exact(.gelu, Double(at))
            #expect(abs(Double(value) - expected) <= 8e-6 * abs(expected), "u = \(at)")
        }
    }

    @Test func extremesStayFinite() {
        for kind in Activation.allCases {
            let x = FloatBlock([-1e30, -1000, -100, 100, 1000, 1e4, 0, -0.0])
            let d = FloatBlock(count: 8, of: 1)
            RowKernels.activationBackward(
                kind, x.matrix(1, 8), dOutput: d.matrix(1, 8), into: d.matrix(1, 8))
            #expect(allFinite(d.values[1...]), "\(kind) \(d.values)")
            RowKernels.activation(kind, x.matrix(1, 8), into: x.matrix(1, 8))
            #expect(allFinite(x.values[1...]), "\(kind) \(x.values)")
        }
    }
}

extension FloatBlock {
    /// The numbers without a copy, for loops.
    var values0: UnsafeMutablePointer<Float> { pointer }
}
