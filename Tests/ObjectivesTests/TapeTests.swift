// Every operation of the tape against plain loops and finite differences; the collective ones against their adjoints.

import Foundation
import TestSupport
import Testing
import TuttiEnsemble
import TuttiKernels
import TuttiObjectives

/// An operation on the two columns of a batch, `[5, 4]` each, and what it should give.
struct TapeCase: Sendable, CustomTestStringConvertible {
    let name: String
    let apply: @Sendable (Tape, TapeValue, TapeValue) -> TapeValue
    /// The result row by row, in fp64.
    let expected: @Sendable (_ x: [[Double]], _ y: [[Double]]) -> [[Double]]

    init(
        _ name: String, _ apply: @escaping @Sendable (Tape, TapeValue, TapeValue) -> TapeValue,
        _ expected: @escaping @Sendable (_ x: [[Double]], _ y: [[Double]]) -> [[Double]]
    ) {
        (self.name, self.apply, self.expected) = (name, apply, expected)
    }

    var testDescription: String { name }

    /// Number by number.
    static func each(
        _ x: [[Double]], _ y: [[Double]], _ body: (Double, Double) -> Double
    ) -> [[Double]] {
        zip(x, y).map { zip($0, $1).map(body) }
    }

    /// Row by row: one number each.
    static func rows(_ x: [[Double]], _ y: [[Double]], _ body: ([Double], [Double]) -> Double) -> [[Double]] {
        zip(x, y).map { [body($0, $1)] }
    }

    /// Every row of x with every row of y.
    static func pairs(_ x: [[Double]], _ y: [[Double]], _ body: ([Double], [Double]) -> Double) -> [[Double]] {
        x.map { a in y.map { body(a, $0) } }
    }

    static func dot(_ a: [Double], _ b: [Double]) -> Double { zip(a, b).reduce(0) { $0 + $1.0 * $1.1 } }
    static func length(_ a: [Double]) -> Double { dot(a, a).squareRoot() }
    static func cosine(_ a: [Double], _ b: [Double]) -> Double { dot(a, b) / length(a) / length(b) }
    static func distance(_ a: [Double], _ b: [Double]) -> Double { length(zip(a, b).map { $0 - $1 }) }
    static func cityBlocks(_ a: [Double], _ b: [Double]) -> Double { zip(a, b).reduce(0) { $0 + abs($1.0 - $1.1) } }
    static func angle(_ a: [Double], _ b: [Double]) -> Double {
        let half = a.count / 2  // a conj(b) with a_k + i a_(k + half)
        let sines = (0..<half).map { a[$0 + half] * b[$0] - a[$0] * b[$0 + half] }
        return abs(dot(a, b) + sines.reduce(0, +)) / length(a) / length(b)
    }
    static func logSumExp(_ a: [Double]) -> Double { log(a.reduce(0) { $0 + exp($1) }) }

    static let all: [TapeCase] = [
        TapeCase("add", { $0.add($1, $2) }) { each($0, $1, +) },
        TapeCase("subtract", { $0.subtract($1, $2) }) { each($0, $1, -) },
        TapeCase("multiply", { $0.multiply($1, $2) }) { each($0, $1, *) },
        TapeCase("divide", { t, x, y in t.divide(x, t.scaled(t.square(y), by: 1, plus: 1)) }) {
            each($0, $1) { $0 / ($1 * $1 + 1) }
        },
        TapeCase("scaled", { t, x, _ in t.scaled(x, by: 3, plus: -2) }) { each($0, $1) { x, _ in 3 * x - 2 } },
        TapeCase("scaled by a value", { t, x, y in t.scaled(x, by: t.sum(y)) }) { x, y in
            let factor = y.joined().reduce(0, +)
            return each(x, y) { x, _ in x * factor }
        },
        TapeCase("shifted by a value", { t, x, y in t.shifted(t.square(x), by: t.sum(t.square(y))) }) { x, y in
            let offset = y.joined().reduce(0) { $0 + $1 * $1 }
            return each(x, y) { x, _ in x * x + offset }
        },
        TapeCase(
            "tiles of rows",
            { t, x, y in
                t.tiled(5, by: 2, [t.square(x), t.rows(y, 0..<5)], width: 2) { tile, inputs, rows in
                    let (x, y) = (tile.rows(inputs[0], rows), tile.rows(inputs[1], rows))
                    return tile.concatenateColumns([
                        tile.sum(tile.square(x)), tile.sum(tile.exponential(tile.products(y, inputs[0]))),
                    ])
                }
            }
        ) { x, y in
            let squares = x.map { $0.map { $0 * $0 } }
            let all = y.flatMap { a in squares.map { exp(dot(a, $0)) } }
            return [[squares.joined().reduce(0) { $0 + $1 * $1 }, all.reduce(0, +)]]
        },
        TapeCase("relu", { t, x, _ in t.relu(x) }) { each($0, $1) { x, _ in max(x, 0) } },
        TapeCase("abs", { t, x, _ in t.abs(x) }) { each($0, $1) { x, _ in abs(x) } },
        TapeCase("square root", { t, x, _ in t.squareRoot(t.scaled(t.square(x), by: 1, plus: 0.5)) }) {
            each($0, $1) { x, _ in (x * x + 0.5).squareRoot() }
        },
        TapeCase("exponential", { t, x, _ in t.exponential(x) }) { each($0, $1) { x, _ in exp(x) } },
        TapeCase("sigmoid", { t, x, _ in t.sigmoid(x) }) { each($0, $1) { x, _ in 1 / (1 + exp(-x)) } },
        TapeCase("softplus", { t, x, _ in t.softplus(x) }) { each($0, $1) { x, _ in log1p(exp(x)) } },
        TapeCase("rows", { t, x, _ in t.rows(x, 1..<4) }) { x, _ in Array(x[1..<4]) },
        TapeCase("columns", { t, x, _ in t.columns(x, 1..<3) }) { x, _ in x.map { Array($0[1..<3]) } },
        TapeCase("concatenate rows", { $0.concatenateRows([$1, $2, $1]) }) { $0 + $1 + $0 },
        TapeCase("concatenate columns", { $0.concatenateColumns([$1, $2, $1]) }) { x, y in
            zip(x, y).map { $0 + $1 + $0 }
        },
        TapeCase("transposed", { t, x, _ in t.transposed(x) }) { x, _ in (0..<4).map { c in x.map { $0[c] } } },
        TapeCase("products", { $0.products($1, $2) }) { pairs($0, $1, dot) },
        TapeCase("row products", { $0.rowProducts($1, $2) }) { rows($0, $1, dot) },
        TapeCase("add row", { t, x, y in t.addRow(x, t.rows(y, 2..<3)) }) { x, y in
            x.map { zip($0, y[2]).map(+) }
        },
        TapeCase("normalized", { t, x, _ in t.normalized(x) }) { x, _ in x.map { row in row.map { $0 / length(row) } }
        },
        TapeCase("row sums", { t, x, _ in t.rowSums(x) }) { x, _ in x.map { [$0.reduce(0, +)] } },
        TapeCase(
            "map rows",
            { t, x, _ in
                t.mapRows(x) { row, numbers, slopes in  // (row + 1) * sum of squares
                    for column in numbers.indices { slopes[column] += Float(2 * (row + 1)) * numbers[column] }
                    return Double(row + 1) * numbers.reduce(0) { $0 + Double($1 * $1) }
                }
            }
        ) { x, _ in x.enumerated().map { [Double($0.offset + 1) * dot($0.element, $0.element)] } },
        TapeCase("sum", { t, x, _ in t.sum(x, times: 0.3) }) { x, _ in [[0.3 * x.joined().reduce(0, +)]] },
        TapeCase("log sum exp", { t, x, _ in t.logSumExp(x) }) { x, _ in x.map { [logSumExp($0)] } },
        TapeCase("masked", { t, x, _ in t.logSumExp(t.masked(x) { $0 != $1 }) }) { x, _ in
            x.enumerated().map { row, numbers in
                [logSumExp(numbers.enumerated().filter { $0.offset != row }.map(\.element))]
            }
        },
        TapeCase("log softmax", { t, x, _ in t.logSoftmax(x) }) { x, _ in x.map { r in r.map { $0 - logSumExp(r) } } },
        TapeCase("cross entropy", { t, x, _ in t.crossEntropy(x) { $0 % 4 } }) { x, _ in
            x.enumerated().map { [logSumExp($0.element) - $0.element[$0.offset % 4]] }
        },
        TapeCase("pick", { t, x, _ in t.pick(x) { ($0 + 1) % 4 } }) { x, _ in
            x.enumerated().map { [$0.element[($0.offset + 1) % 4]] }
        },
        TapeCase("take rows", { t, x, _ in t.takeRows(x, [3, 0, 3]) }) { x, _ in [x[3], x[0], x[3]] },
        TapeCase("lengths", { t, x, _ in t.lengths(x) }) { x, _ in x.map { [length($0)] } },
        TapeCase("cosines of pairs", { $0.pairCosines($1, $2) }) { rows($0, $1, cosine) },
        TapeCase("cos_sim", { $0.similarities(.cosine, $1, $2) }) { pairs($0, $1, cosine) },
        TapeCase("euclidean_sim", { $0.similarities(.euclidean, $1, $2) }) { pairs($0, $1) { -distance($0, $1) } },
        TapeCase("manhattan_sim", { $0.similarities(.manhattan, $1, $2) }) { pairs($0, $1) { -cityBlocks($0, $1) } },
        TapeCase("pairwise_dot_score", { $0.pairSimilarities(.dot, $1, $2) }) { rows($0, $1, dot) },
        TapeCase("pairwise_euclidean_sim", { $0.pairSimilarities(.euclidean, $1, $2) }) {
            rows($0, $1) { -distance($0, $1) }
        },
        TapeCase("pairwise_angle_sim", { $0.pairSimilarities(.angle, $1, $2) }) { rows($0, $1, angle) },
        TapeCase(
            "pairwise_angle_sim of an odd width",
            { t, x, y in
                t.pairSimilarities(.angle, t.columns(x, 0..<3), t.columns(y, 0..<3))
            }
        ) { rows($0, $1) { angle($0[..<3] + [0], $1[..<3] + [0]) } },
        TapeCase("pairwise_manhattan_sim", { $0.pairSimilarities(.manhattan, $1, $2) }) {
            rows($0, $1) { -cityBlocks($0, $1) }
        },
    ]
}

@Suite struct TapeTests {
    private static let point: [Float] = {
        var random = TinyRandom(8)
        return random.floats(40).map { abs($0) < 0.05 ? $0 + 0.1 : $0 }  // ten steps from the kinks
    }()

    /// The sum of the result's numbers, each with a weight of its own, so that every one counts.
    private func evaluate(
        _ example: TapeCase, at point: [Float], result: (Matrix) -> Void = { _ in }
    ) throws -> (value: Double, gradient: [Float]) {
        let (block, gradient) = (FloatBlock(point), FloatBlock(count: point.count))
        let batch = LossBatch(embeddings: block.matrix(10, 4), rows: 5, columns: 2)
        let value = try Tape().evaluate(
            batch, LossGradients(embeddings: gradient.matrix(10, 4)), LossContext(ensemble: LocalEnsemble.single())
        ) { tape in
            let made = example.apply(tape, tape.column(0), tape.column(1))
            result(made.matrix)
            let weights = tape.newMatrix(made.rows, made.columns)
            for r in 0..<made.rows { for c in 0..<made.columns { weights[r, c] = 1 + 0.1 * Float(r * 7 + c * 3) } }
            return tape.sum(tape.multiply(made, tape.constant(weights)))
        }
        return (value, gradient.values)
    }

    @Test(arguments: TapeCase.all)
    func valuesAreThoseOfPlainLoops(_ example: TapeCase) throws {
        let numbers = Self.point.map(Double.init)
        func rows(_ first: Int) -> [[Double]] {
            (0..<5).map { Array(numbers[(first + $0) * 4..<(first + $0 + 1) * 4]) }
        }
        let expected = example.expected(rows(0), rows(5))
        _ = try evaluate(example, at: Self.point) { made in
            #expect(made.rows == expected.count && made.columns == expected[0].count)
            for (r, row) in expected.enumerated() {
                for (c, number) in row.enumerated() {
                    #expect(abs(Double(made[r, c]) - number) <= 2e-6 * max(1, abs(number)), "row \(r), column \(c)")
                }
            }
        }
    }

    @Test(arguments: TapeCase.all)
    func adjointsAreDerivatives(_ example: TapeCase) throws {
        let gradient = try evaluate(example, at: Self.point).gradient
        let gap = try gradientGap(at: Self.point, gradient: gradient, step: 4e-3) {
            try evaluate(example, at: $0).value
        }
        #expect(gap <= 1e-3, "\(gap)")
        let wrong = try gradientGap(at: Self.point, gradient: gradient.map { $0 * 1.01 }, step: 4e-3) {
            try evaluate(example, at: $0).value
        }
        #expect(wrong > 1e-3, "one per cent too much must be noticed")
    }

    /// With the sum over ranks as the loss, the gradient of a gathered row is what all ranks make of it.
    @Test func exchangesHaveTheirAdjoints() throws {
        let rows = 7
        var random = TinyRandom(4)
        let numbers = random.floats(rows * 3)
        @Sendable func value(_ tape: Tape, _ x: TapeValue) throws -> TapeValue {
            let all = try tape.gatherRows(x)  // [N, 3]
            let mine = tape.sum(tape.square(tape.products(x, all)))
            let total = try tape.sumRanks(tape.sum(tape.exponential(x)))
            return tape.add(mine, tape.once(tape.square(total)))
        }
        @Sendable func run(_ own: Range<Int>, _ ensemble: any Ensemble, at numbers: [Float]) throws -> (Double, [Float])
        {
            let block = FloatBlock(Array(numbers[own.lowerBound * 3..<own.upperBound * 3]))
            let gradient = FloatBlock(count: block.count)
            let batch = LossBatch(embeddings: block.matrix(own.count, 3), rows: own.count, columns: 1)
            let value = try Tape().evaluate(
                batch, LossGradients(embeddings: gradient.matrix(own.count, 3)), LossContext(ensemble: ensemble)
            ) { try value($0, $0.column(0)) }
            return (value, gradient.values)
        }
        let whole = try run(0..<rows, LocalEnsemble.single(), at: numbers)
        let gap = try gradientGap(at: numbers, gradient: whole.1, step: 4e-3) {
            try run(0..<rows, LocalEnsemble.single(), at: $0).0
        }
        #expect(gap <= 1e-3)
        let largest = Double(whole.1.map(abs).max() ?? 0)
        try withEvery(world: 1...4) { ensemble in
            for own in deals(of: rows, rank: ensemble.rank, size: ensemble.size) {
                let part = try run(own, ensemble, at: numbers)
                var sum = part.0
                try withUnsafeMutablePointer(to: &sum) {
                    try ensemble.allReduceSum(UnsafeMutableBufferPointer(start: $0, count: 1))
                }
                #expect(abs(sum - whole.0) <= 2e-6 * whole.0)
                let wanted = whole.1[own.lowerBound * 3..<own.upperBound * 3].map(Double.init)
                #expect(largestDifference(part.1, wanted) <= 1e-5 * largest, "W = \(ensemble.size)")
            }
        }
    }

    /// An evaluation without gradients gives the same value, and detached values send nothing back.
    @Test func nothingFlowsThroughConstants() throws {
        let (block, gradient) = (FloatBlock(Self.point), FloatBlock(count: 40))
        let batch = LossBatch(embeddings: block.matrix(10, 4), rows: 5, columns: 2)
        let context = LossContext(ensemble: LocalEnsemble.single())
        let tape = Tape()
        func loss(_ tape: Tape) -> TapeValue {
            tape.sum(tape.multiply(tape.column(0), tape.detached(tape.column(1))))
        }
        let with = try tape.evaluate(batch, LossGradients(embeddings: gradient.matrix(10, 4)), context, loss)
        let without = try tape.evaluate(batch, nil, context, loss)
        #expect(with == without)
        #expect(
            gradient.values[20...].allSatisfy { $0 == 0 } && Array(gradient.values[..<20]) == Array(Self.point[20...]))
    }
}
