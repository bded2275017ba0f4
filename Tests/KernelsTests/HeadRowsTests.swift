// Norm and rotation of the heads of queries and keys, against their definition in fp64.

import Foundation
import TestSupport
import Testing
import TuttiKernels

@Suite(.serialized, .atEveryLevel) struct HeadRowsTests {
    private struct Problem {
        let heads: Int
        let width: Int
        let rotated: Int
        let lengths = [3, 0, 1, 9]
        let isNormed: Bool
        let isBiased: Bool
        let shift: Float
        let epsilon: Float = 1e-5
        var x, bias, weight: [Float]
        let gradient: [Float]
        let frequencies: [Float]
        var tokens: Int { 13 }
        var columns: Int { heads * width }
        var name: String { "\(heads) heads of \(width), \(rotated) rotated, norm \(isNormed), bias \(isBiased)" }

        init(heads: Int, width: Int, rotated: Int, isNormed: Bool, isBiased: Bool, shift: Float = 0) {
            var random = TinyRandom(UInt64(width * 10 + rotated))
            (self.heads, self.width, self.rotated) = (heads, width, rotated)
            (self.isNormed, self.isBiased, self.shift) = (isNormed, isBiased, shift)
            x = random.floats(13 * heads * width)
            bias = random.floats(heads * width)
            weight = random.floats(width).map { $0 * 0.3 + 1 - shift }
            gradient = random.floats(13 * heads * width)
            frequencies = (0..<rotated / 2).map { Float(pow(100, -2 * Double($0) / Double(rotated))) }
        }

        func kernel() -> HeadRows {
            var angles = [Float](repeating: 0, count: 9 * rotated)
            if rotated > 0 {
                HeadRows.fillAngles(frequencies: frequencies, factor: 1, positions: 0..<4, into: &angles)
                HeadRows.fillAngles(frequencies: frequencies, factor: 1, positions: 4..<9, into: &angles)
            }
            return HeadRows(
                heads: heads, width: width, bias: isBiased ? bias.pinned : nil,
                norm: isNormed ? .init(weight: weight.pinned, shift: shift, epsilon: epsilon) : nil,
                rotation: rotated > 0 ? .init(angles: angles.pinned, width: rotated) : nil,
                offsets: offsets(of: lengths).pinned, sequences: lengths.count)
        }

        /// The kernel's output and gradients.
        func run() -> (output: [Float], dX: [Float], dWeight: [Float]) {
            let kernel = kernel()
            let (x, output, gradient) = (FloatBlock(x), FloatBlock(count: x.count), FloatBlock(gradient))
            let (dWeight, scratch) = (FloatBlock(count: width, of: 0.5), FloatBlock(count: kernel.scratchCount))
            kernel.forward(x.matrix(tokens, columns), into: output.matrix(tokens, columns))
            kernel.backward(
                x.matrix(tokens, columns), inPlace: gradient.matrix(tokens, columns),
                dWeight: isNormed ? dWeight.pointer : nil, scratch: scratch.pointer)
            return (output.values, gradient.values, dWeight.values)
        }

        /// The output in fp64.
        func solve() -> [Double] {
            var output: [Double] = []
            let positions = lengths.flatMap { 0..<$0 }
            for t in 0..<tokens {
                for head in 0..<heads {
                    var y = (0..<width).map { e in
                        Double(x[t * columns + head * width + e]) + (isBiased ? Double(bias[head * width + e]) : 0)
                    }
                    if isNormed {
                        let root = (y.reduce(0) { $0 + $1 * $1 } / Double(width) + Double(epsilon)).squareRoot()
                        y = y.indices.map { y[$0] / root * (Double(weight[$0]) + Double(shift)) }
                    }
                    let half = rotated / 2
                    for i in 0..<half {
                        let angle = Double(Float(positions[t]) * frequencies[i])
                        let (a, b) = (y[i], y[half + i])
                        y[i] = a * cos(angle) - b * sin(angle)
                        y[half + i] = b * cos(angle) + a * sin(angle)
                    }
                    output += y
                }
            }
            return output
        }
    }

    @Test(arguments: [8, 20, 64, 256])
    func againstTheDefinition(width: Int) {
        for (rotated, isNormed, isBiased, shift) in [
            (width, false, false, Float(0)), (width, false, true, 0), (width / 2, false, false, 0),
            (0, true, false, 0), (width, true, true, 1), (width / 2, true, false, 0), (0, false, true, 0),
        ] {
            let p = Problem(
                heads: 3, width: width, rotated: rotated / 2 * 2, isNormed: isNormed, isBiased: isBiased, shift: shift)
            let got = p.run()
            #expect(largestDifference(got.output, p.solve()) < 3e-6, "\(p.name)")
            func loss(_ q: Problem) -> Double {
                zip(q.solve(), q.gradient).reduce(0.0) { $0 + $1.0 * Double($1.1) }
            }
            let dX = gradientGap(at: p.x, gradient: got.dX, step: 1e-3) {
                var q = p
                q.x = $0
                return loss(q)
            }
            #expect(dX < 1e-3, "\(p.name) dx")
            guard isNormed else { continue }
            let dWeight = gradientGap(at: p.weight, gradient: got.dWeight.map { $0 - 0.5 }, step: 1e-3) {
                var q = p
                q.weight = $0
                return loss(q)
            }
            #expect(dWeight < 1e-3, "\(p.name) dweight")
        }
    }

    /// The adjoint of a rotation is its inverse, and it may replace its input.
    @Test func rotatingBackGivesTheInput() {
        let p = Problem(heads: 2, width: 32, rotated: 32, isNormed: false, isBiased: false)
        let (kernel, x) = (p.kernel(), FloatBlock(p.x))
        let matrix = x.matrix(p.tokens, p.columns)
        kernel.forward(matrix, into: matrix)
        #expect(largestDifference(x.values, p.x) > 0.5)
        #expect(x.values == p.run().output)
        kernel.backward(matrix, inPlace: matrix, dWeight: nil, scratch: x.pointer)
        #expect(largestDifference(x.values, p.x) < 2e-6)
    }

    @Test func threadsChangeNothing() {
        let p = Problem(heads: 5, width: 24, rotated: 24, isNormed: true, isBiased: true)
        let one = p.run()
        for threads in [2, 3] {
            withCompute(threads: threads) { #expect(p.run() == one) }
        }
    }

    /// Negative control: other positions, and another shift of the weights, are noticed.
    @Test func otherAnglesAreNoticed() {
        let p = Problem(heads: 2, width: 16, rotated: 16, isNormed: true, isBiased: false)
        var shifted = Problem(heads: 2, width: 16, rotated: 16, isNormed: true, isBiased: false, shift: 1)
        shifted.weight = p.weight
        let plain = Problem(heads: 2, width: 16, rotated: 0, isNormed: true, isBiased: false)
        #expect(largestDifference(p.run().output, shifted.solve()) > 1e-2)
        #expect(largestDifference(p.run().output, plain.solve()) > 1e-2)
        #expect(largestDifference(p.run().dWeight, [Float](repeating: 0.5, count: 16)) > 1e-2)
    }
}
