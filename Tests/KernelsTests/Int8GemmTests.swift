// Products of 8-bit operands, by every instruction of this processor.

import Testing
import TestSupport
import TuttiKernels

@Suite(.serialized) struct Int8GemmTests {
    /// A row in 127ths of its largest number, and that 127th.
    private func quantized(_ row: [Float]) -> (numbers: [Int], scale: Float) {
        let most = row.map(abs).max() ?? 0
        let factor = most > 0 ? 127 / most : 0
        return (row.map { Int(($0 * factor).rounded(.toNearestOrEven)) }, most / 127)
    }

    @Test func sumsAreThoseOfRoundedNumbersOnEveryInstruction() {
        var random = TinyRandom(31)
        for (m, n, k) in HalfGemmTests.sizes {
            for beta in [Float(0), 1] {
                let (a, b) = (FloatBlock(random.floats(m * k)), FloatBlock(random.floats(n * k)))
                let start = random.floats(m * (n + 3))
                let left = (0..<m).map { quantized(Array(a.values[$0 * k..<($0 + 1) * k])) }
                let right = (0..<n).map { quantized(Array(b.values[$0 * k..<($0 + 1) * k])) }
                var all: [[Float]] = []
                for products in Int8Products.available {
                    let c = FloatBlock(beta == 0 ? start.map { _ in Float.nan } : start)
                    let view = c.matrix(m, n + 3).columns(1..<n + 1)
                    Gemm.multiply(
                        a.matrix(m, k), b.matrix(n, k), transposeB: true, into: view, beta: beta,
                        products: .int8(products))
                    var worst = 0.0
                    for i in 0..<m {
                        for j in 0..<n {
                            let sum = zip(left[i].numbers, right[j].numbers).reduce(0) { $0 + $1.0 * $1.1 }
                            let product = Double(sum) * Double(left[i].scale) * Double(right[j].scale)
                            let old = beta == 0 ? 0 : Double(start[i * (n + 3) + j + 1])
                            let error = abs(Double(view[i, j]) - product - old) / (abs(product) + abs(old) + 1e-30)
                            worst = error <= worst ? worst : error  // NaN is the worst
                        }
                    }
                    #expect(worst < 1e-5, "\(products) \((m, n, k)) beta \(beta): \(worst)")
                    let outside = beta == 0 ? c.values[0].isNaN : c.values[0] == start[0]
                    #expect(outside, "outside the view")
                    all.append((0..<m).flatMap { i in (0..<n).map { view[i, $0] } })
                }
                #expect(all.allSatisfy { $0 == all[0] }, "instructions differ")
            }
        }
    }

    @Test func anElementDependsOnItsRowAndColumnAlone() {
        var random = TinyRandom(37)
        let (m, n, k) = (141, 75, 700)
        let (a, b) = (FloatBlock(random.floats(m * k)), FloatBlock(random.floats(n * k)))
        func product(_ rows: Range<Int>, _ products: Int8Products, threads: Int) -> [Float] {
            Compute(threads: threads).run {
                let c = FloatBlock(count: rows.count * n)
                Gemm.multiply(
                    a.matrix(m, k).rows(rows), b.matrix(n, k), transposeB: true, into: c.matrix(rows.count, n),
                    products: .int8(products))
                return c.values
            }
        }
        for products in Int8Products.available {
            let whole = product(0..<m, products, threads: 1)
            #expect(product(0..<m, products, threads: 3) == whole)
            #expect(product(5..<60, products, threads: 2) == Array(whole[5 * n..<60 * n]))
        }
    }
}
