// The gated product against its definition: either half activated, with and without a bias, forward and in place backward.

import TestSupport
import Testing
import TuttiKernels

@Suite(.serialized, .atEveryLevel) struct GatedTests {
    private let rows = 7
    private let columns = 53

    /// f(u) * v, and the gradients of u and v, by the kernels of plain activations.
    private func expected(
        _ kind: Activation, _ half: GatedHalf, _ x: [Float], _ bias: [Float], _ dOutput: [Float]
    ) -> (output: [Double], gradient: [Double]) {
        let (u, slope) = (FloatBlock(x), FloatBlock(count: x.count, of: 1))
        RowKernels.activationWithGradient(
            kind, u.matrix(rows, 2 * columns), bias: bias.pinned, dOutput: slope.matrix(rows, 2 * columns),
            activated: u.matrix(rows, 2 * columns))
        var output = [Double](repeating: 0, count: rows * columns)
        var gradient = [Double](repeating: 0, count: x.count)
        for r in 0..<rows {
            for c in 0..<columns {
                let first = r * 2 * columns + c
                let (active, factor) = half == .first ? (first, first + columns) : (first + columns, first)
                let (f, g) = (Double(u.values[active]), Double(dOutput[r * columns + c]))
                let v = Double(x[factor] + bias[factor % (2 * columns)])
                output[r * columns + c] = f * v
                gradient[active] = g * v * Double(slope.values[active])
                gradient[factor] = g * f
            }
        }
        return (output, gradient)
    }

    @Test(arguments: [Activation.gelu, .geluTanh, .silu, .relu], [GatedHalf.first, .second])
    func productOfTheHalves(kind: Activation, half: GatedHalf) {
        var random = TinyRandom(17)
        let x = random.floats(rows * 2 * columns, scale: 2)
        let dOutput = random.floats(rows * columns)
        for bias in [random.floats(2 * columns), [Float](repeating: 0, count: 2 * columns)] {
            let given = bias[0] == 0 ? nil : GatedBias(bias.pinned, bias.pinned + columns)
            let (output, gradient) = expected(kind, half, x, bias, dOutput)
            let (block, result, d) = (FloatBlock(x), FloatBlock(count: rows * columns), FloatBlock(dOutput))
            let whole = block.matrix(rows, 2 * columns)
            RowKernels.gated(kind, of: half, whole, bias: given, into: result.matrix(rows, columns))
            #expect(largestDifference(result.values, output) < 4e-6)
            RowKernels.gatedWithGradient(kind, of: half, whole, bias: given, dOutput: d.matrix(rows, columns))
            #expect(largestDifference(block.values, gradient) < 4e-6)
            #expect(largestDifference(d.values, output) < 4e-6)
            // Without a backward the output takes the place of a half; and the halves are not exchangeable.
            let again = FloatBlock(x).matrix(rows, 2 * columns)
            RowKernels.gated(kind, of: half, again, bias: given, into: again.columns(0..<columns))
            #expect(
                (0..<rows).allSatisfy { r in
                    (0..<columns).allSatisfy { again[r, $0] == result.values[r * columns + $0] }
                })
            let other = expected(kind, half == .first ? .second : .first, x, bias, dOutput)
            #expect(largestDifference(result.values, other.output) > 0.1)
        }
    }
}
