// Products of bf16 operands with fp32 sums, by every instruction of this processor.

import Testing
import TestSupport
import TuttiKernels

@Suite(.serialized) struct HalfGemmTests {
    /// Sizes below, at and above the edges of tiles, tasks and stretches of the sum.
    static let sizes = [
        (1, 1, 1), (7, 5, 9), (32, 32, 32), (33, 31, 63), (16, 48, 64), (193, 385, 20), (50, 100, 769), (129, 47, 1025),
        (40, 96, 2049), (3, 400, 4100),
    ]

    /// `x` as a bf16 number, ties to even.
    private func rounded(_ x: Float) -> Float {
        let bits = x.bitPattern
        return Float(bitPattern: (bits &+ 0x7FFF &+ (bits >> 16 & 1)) & 0xFFFF_0000)
    }

    private func transposed(_ kinds: (a: Bool, b: Bool), _ a: FloatBlock, _ b: FloatBlock, _ size: (Int, Int, Int))
        -> (left: Matrix, right: Matrix)
    {
        let (m, n, k) = size
        return (kinds.a ? a.matrix(k, m) : a.matrix(m, k), kinds.b ? b.matrix(n, k) : b.matrix(k, n))
    }

    @Test(arguments: HalfProducts.available, [(false, false), (false, true), (true, false), (true, true)])
    func sumsAreThoseOfRoundedNumbers(half: HalfProducts, kinds: (a: Bool, b: Bool)) {
        var random = TinyRandom(31)
        for (m, n, k) in Self.sizes {
            for beta in [Float(0), 1] {
                let (a, b) = (FloatBlock(random.floats(m * k)), FloatBlock(random.floats(k * n)))
                let start = random.floats(m * (n + 3))
                let c = FloatBlock(beta == 0 ? start.map { _ in Float.nan } : start)
                let view = c.matrix(m, n + 3).columns(1..<n + 1)
                let (left, right) = transposed(kinds, a, b, (m, n, k))
                Gemm.multiply(
                    left, transposeA: kinds.a, right, transposeB: kinds.b, into: view, beta: beta, products: .bf16(half)
                )
                var (worst, unrounded) = (0.0, 0.0)
                for i in 0..<m {
                    for j in 0..<n {
                        var (sum, size, plain) = (0.0, 0.0, 0.0)
                        for p in 0..<k {
                            let (x, y) = (kinds.a ? left[p, i] : left[i, p], kinds.b ? right[j, p] : right[p, j])
                            let term = Double(rounded(x)) * Double(rounded(y))
                            sum += term
                            plain += Double(x) * Double(y)
                            size += abs(term)
                        }
                        let old = beta == 0 ? 0 : Double(start[i * (n + 3) + j + 1])
                        let error = abs(Double(view[i, j]) - sum - old) / (size + abs(old))
                        worst = error <= worst ? worst : error  // NaN is the worst
                        unrounded = max(unrounded, abs(Double(view[i, j]) - plain - old) / (size + abs(old)))
                    }
                }
                #expect(worst < 1e-6, "\(half) \(kinds) \((m, n, k)) beta \(beta): \(worst)")
                #expect(k == 1 || unrounded > 1e-6, "the operands were not rounded")
                let outside = beta == 0 ? c.values[0].isNaN : c.values[0] == start[0]
                #expect(outside, "outside the view")
            }
        }
    }

    /// To the last bit, whatever is beside it and however many threads there are.
    @Test(arguments: HalfProducts.available, [(false, false), (false, true), (true, false), (true, true)])
    func anElementDependsOnItsRowAndColumnAlone(half: HalfProducts, kinds: (a: Bool, b: Bool)) {
        var random = TinyRandom(37)
        let (m, n, k) = (141, 75, 2100)
        let (a, b) = (FloatBlock(random.floats(m * k)), FloatBlock(random.floats(k * n)))
        let (left, right) = transposed(kinds, a, b, (m, n, k))
        func product(_ rows: Range<Int>, _ columns: Range<Int>, threads: Int) -> [Float] {
            Compute(threads: threads).run {
                let c = FloatBlock(count: rows.count * columns.count)
                Gemm.multiply(
                    kinds.a ? left.columns(rows) : left.rows(rows), transposeA: kinds.a,
                    kinds.b ? right.rows(columns) : right.columns(columns), transposeB: kinds.b,
                    into: c.matrix(rows.count, columns.count), products: .bf16(half))
                return c.values
            }
        }
        let whole = product(0..<m, 0..<n, threads: 1)
        #expect(product(0..<m, 0..<n, threads: 3) == whole)
        for (rows, columns) in [(5..<6, 0..<n), (0..<m, 70..<75), (17..<100, 3..<40)] {
            let part = product(rows, columns, threads: 2)
            for (i, row) in rows.enumerated() {
                let expected = Array(whole[row * n + columns.lowerBound..<row * n + columns.upperBound])
                #expect(Array(part[i * columns.count..<(i + 1) * columns.count]) == expected, "row \(row)")
            }
        }
    }

    @Test func weightGradientsSumBiasesToo() {
        for half in HalfProducts.available {
            var random = TinyRandom(41)
            let (dY, x) = (FloatBlock(random.floats(70 * 33)), FloatBlock(random.floats(70 * 20)))
            let (dWeight, dBias) = (FloatBlock(count: 33 * 20, of: 0), FloatBlock(count: 33, of: 0))
            let product = FloatBlock(count: 33 * 20)
            Gemm.accumulateWeightGradient(
                dY.matrix(70, 33), x.matrix(70, 20), into: dWeight.matrix(33, 20), bias: dBias.matrix(1, 33).pointer,
                products: .bf16(half))
            Gemm.multiply(
                dY.matrix(70, 33), transposeA: true, x.matrix(70, 20), into: product.matrix(33, 20),
                products: .bf16(half))
            #expect(dWeight.values == product.values)
            for column in 0..<33 {
                let sum = (0..<70).reduce(0.0) { $0 + Double(dY.values[$1 * 33 + column]) }
                #expect(abs(Double(dBias.values[column]) - sum) < 1e-4)
            }
        }
    }
}
