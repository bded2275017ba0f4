// Matrix products by every provider that this machine has.

import Testing
import TestSupport
import TuttiKernels

@Suite(.serialized, .atEveryLevel) struct GemmTests {
    /// Sizes below, at and above the edges of tiles, blocks and stretches of the sum.
    static let sizes = [
        (1, 1, 1), (7, 5, 9), (8, 48, 16), (9, 49, 17), (6, 16, 31), (193, 385, 20), (50, 100, 769), (33, 47, 1025),
        (200, 96, 2049), (3, 400, 64),
    ]

    @Test(arguments: gemmProviders, [(false, false), (false, true), (true, false), (true, true)])
    func everyProviderMultiplies(provider: GemmProvider, transposed: (a: Bool, b: Bool)) {
        withGemm(provider) {
            var random = TinyRandom(31)
            for (m, n, k) in Self.sizes {
                for (alpha, beta) in [(Float(1), Float(0)), (1, 1), (0.5, 2)] {
                    let a = FloatBlock(random.floats(m * k))
                    let b = FloatBlock(random.floats(k * n))
                    let start = random.floats(m * (n + 3))
                    let c = FloatBlock(beta == 0 ? start.map { _ in Float.nan } : start)
                    let view = c.matrix(m, n + 3).columns(1..<n + 1)
                    let left = transposed.a ? a.matrix(k, m) : a.matrix(m, k)
                    let right = transposed.b ? b.matrix(n, k) : b.matrix(k, n)
                    Gemm.multiply(
                        left, transposeA: transposed.a, right, transposeB: transposed.b, into: view, alpha: alpha,
                        beta: beta)
                    var worst = 0.0
                    for i in 0..<m {
                        for j in 0..<n {
                            var sum = 0.0
                            var size = 0.0
                            for p in 0..<k {
                                let term =
                                    Double(transposed.a ? left[p, i] : left[i, p])
                                    * Double(transposed.b ? right[j, p] : right[p, j])
                                sum += term
                                size += abs(term)
                            }
                            let old = beta == 0 ? 0 : Double(beta) * Double(start[i * (n + 3) + j + 1])
                            let expected = Double(alpha) * sum + old
                            let error = abs(Double(view[i, j]) - expected) / (size + abs(old))
                            worst = error <= worst ? worst : error  // NaN is the worst
                        }
                    }
                    #expect(worst < 1e-6, "\(provider) \(transposed) \((m, n, k)) alpha \(alpha) beta \(beta)")
                    let outside = beta == 0 ? c.values[0].isNaN : c.values[0] == start[0]
                    #expect(outside, "outside the view")
                }
            }
        }
    }

    @Test(arguments: [(false, false), (false, true), (true, false), (true, true)])
    func tilesOfBothShapesGiveTheSameBits(transposed: (a: Bool, b: Bool)) {
        let own = Compute.process.hasWideTiles
        defer { Compute.process.hasWideTiles = own }
        var random = TinyRandom(43)
        for (m, n, k) in Self.sizes + [(13, 65, 40), (130, 190, 300)] {
            let (a, b) = (FloatBlock(random.floats(m * k)), FloatBlock(random.floats(k * n)))
            let start = random.floats(m * n)
            let products = [false, true].map { isWide -> [Float] in
                Compute.process.hasWideTiles = isWide
                let c = FloatBlock(start)
                Gemm.multiply(
                    transposed.a ? a.matrix(k, m) : a.matrix(m, k), transposeA: transposed.a,
                    transposed.b ? b.matrix(n, k) : b.matrix(k, n), transposeB: transposed.b, into: c.matrix(m, n),
                    alpha: 0.3, beta: 0.7, by: .tutti)
                return c.values
            }
            #expect(products[0] == products[1] && products[0] != start, "\((m, n, k))")
        }
    }

    /// Scores of a search must not depend on the tile that they are computed in.
    @Test(arguments: [7, 384, 1025]) func ownProductDependsOnItsRowAndColumnAlone(k: Int) {
        var random = TinyRandom(37)
        let (m, n) = (61, 131)
        let a = FloatBlock(random.floats(m * k)).matrix(m, k)
        let b = FloatBlock(random.floats(n * k)).matrix(n, k)
        b.rows(130..<131).copy(from: b.rows(3..<4))  // an equal row elsewhere
        let whole = FloatBlock(count: m * n).matrix(m, n)
        Gemm.multiply(a, b, transposeB: true, into: whole, by: .tutti)
        for threads in [1, 3] {
            for (rows, columns) in [(0..<1, 0..<1), (0..<61, 3..<4), (5..<22, 1..<131), (60..<61, 50..<99)] {
                let part = FloatBlock(count: rows.count * columns.count).matrix(rows.count, columns.count)
                withCompute(threads: threads) {
                    Gemm.multiply(a.rows(rows), b.rows(columns), transposeB: true, into: part, by: .tutti)
                }
                for (i, row) in rows.enumerated() {
                    for (j, column) in columns.enumerated() { #expect(part[i, j] == whole[row, column]) }
                }
            }
            for i in 0..<m { #expect(whole[i, 3] == whole[i, 130]) }
        }
        let symmetric = FloatBlock(count: m * m).matrix(m, m)
        Gemm.multiply(a, a, transposeB: true, into: symmetric, by: .tutti)
        for i in 0..<m { for j in 0..<i { #expect(symmetric[i, j] == symmetric[j, i]) } }
    }

    @Test(arguments: gemmProviders) func weightGradientWithItsBias(provider: GemmProvider) {
        let (t, d, f) = (905, 40, 392)
        var random = TinyRandom(7)
        let x = FloatBlock(random.floats(t * d)), dY = FloatBlock(random.floats(t * f))
        let dWeight = FloatBlock(count: f * d, of: 1), dBias = FloatBlock(count: f, of: 2)
        withGemm(provider) {
            Gemm.accumulateWeightGradient(
                dY.matrix(t, f), x.matrix(t, d), into: dWeight.matrix(f, d), bias: dBias.matrix(1, f).pointer)
        }
        let (inputs, dOutputs, got, gotBias) = (x.values, dY.values, dWeight.values, dBias.values)
        var worst = 0.0
        for o in 0..<f {
            let column = (0..<t).map { Double(dOutputs[$0 * f + o]) }
            worst = max(worst, abs(Double(gotBias[o]) - 2 - column.reduce(0, +)))
            for i in [0, 1, d - 1] {
                let sum = (0..<t).reduce(1.0) { $0 + column[$1] * Double(inputs[$1 * d + i]) }
                worst = max(worst, abs(Double(got[o * d + i]) - sum))
            }
        }
        #expect(worst < 2e-4, "\(provider): \(worst)")
    }

    @Test func threadsDoNotChangeABit() {
        var random = TinyRandom(9)
        let (m, n, k) = (500, 700, 1500)
        let a = FloatBlock(random.floats(m * k)), b = FloatBlock(random.floats(k * n))
        for transposeA in [false, true] {
            var first: [Float] = []
            for threads in [1, 2, 3] {
                let c = FloatBlock(count: m * n, of: 0)
                withCompute(threads: threads) {
                    Gemm.multiply(
                        transposeA ? a.matrix(k, m) : a.matrix(m, k), transposeA: transposeA, b.matrix(k, n),
                        into: c.matrix(m, n), by: .tutti)
                }
                if first.isEmpty { first = c.values }
                let same = c.values == first
                #expect(same, "\(threads) threads")
            }
        }
    }

    @Test func noRowsAndNoTerms() {
        for provider in gemmProviders {
            withGemm(provider) {
                let c = FloatBlock(count: 4, of: 3)
                let nothing = FloatBlock([])
                Gemm.multiply(nothing.matrix(2, 0), nothing.matrix(0, 2), into: c.matrix(2, 2), beta: 2)
                #expect(c.values == [6, 6, 6, 6])
                let dBias = FloatBlock([1, 2])
                Gemm.accumulateWeightGradient(
                    nothing.matrix(0, 2), nothing.matrix(0, 2), into: c.matrix(2, 2), bias: dBias.matrix(1, 2).pointer)
                #expect(c.values == [6, 6, 6, 6] && dBias.values == [1, 2])
                Gemm.multiply(nothing.matrix(0, 2), c.matrix(2, 2), into: nothing.matrix(0, 2))
            }
        }
    }

    @Test func choicesReadTheirTextBack() {
        var choice = GemmChoice(.tutti)
        #expect(choice.description == "tutti" && GemmChoice(text: "tutti") == choice)
        choice[.weightGradient] = .openblas
        #expect(choice.description == "forward=tutti,input_gradient=tutti,weight_gradient=openblas")
        #expect(GemmChoice(text: choice.description) == choice)
        for bad in ["", "mkl", "forward=tutti", "forward=tutti,input_gradient=tutti,weight_gradient=x"] {
            #expect(GemmChoice(text: bad) == nil)
        }
    }

    @Test func selectionMeasuresEveryProviderAndRestoresTheChoice() {
        withGemm(.openblas) {
            let selection = GemmSelection(hidden: 32, inner: 64, providers: [.openblas, .tutti], rounds: 1)
            for layout in GemmLayout.allCases {
                let times = selection.seconds[layout] ?? [:]
                #expect(times.count == 2 && times.values.allSatisfy { $0 > 0 && $0.isFinite })
                if let own = times[.tutti], let library = times[.openblas] {
                    #expect(selection.choice[layout] == (own < library ? .tutti : .openblas))
                }
            }
            #expect(Gemm.choice == GemmChoice(.openblas))
        }
    }
}
