// Fused bias + dropout + residual + norm, and norms alone, of every kind, against fp64 and finite differences.

import Testing
import TestSupport
import TuttiKernels

@Suite(.serialized, .atEveryLevel) struct NormTests {
    private let lengths = [3, 1, 0, 5]
    private let epsilon = 1e-5

    /// One problem: inputs, parameters, keys.
    private struct Problem {
        let rows: Int
        let columns: Int
        let branch, residual, bias, gamma, weights: [Float]
        /// nil = a norm without a shift.
        let beta: [Float]?
        let mask: DropoutMask?
        let kind: NormKind

        init(columns: Int, lengths: [Int], rate: Float, kind: NormKind = .layer, hasBeta: Bool = true) {
            var random = TinyRandom(UInt64(columns) * 7 + UInt64(rate * 100))
            rows = lengths.reduce(0, +)
            self.columns = columns
            self.kind = kind
            branch = random.floats(rows * columns)
            residual = random.floats(rows * columns, scale: 2)
            bias = random.floats(columns)
            gamma = random.floats(columns).map { (kind == .shiftedRMS ? 0 : 1) + 0.3 * $0 }
            let shift = random.floats(columns)
            beta = hasBeta && kind == .layer ? shift : nil
            weights = random.floats(rows * columns)
            let keys = (0..<lengths.count).map { Dropout.siteKey(5, layer: 1, site: UInt32($0)) }
            mask =
                rate == 0
                ? nil
                : DropoutMask(
                    rate: rate, keys: keys.pinned, offsets: offsets(of: lengths).pinned, sequences: lengths.count)
        }

        /// The dropout factor of element (t, d), from the public definition.
        func factor(_ t: Int, _ d: Int) -> Double {
            guard let mask else { return 1 }
            var s = 0
            while Int(mask.offsets[s + 1]) <= t { s += 1 }
            let index = UInt32((t - Int(mask.offsets[s])) * columns + d)
            return Dropout.keeps(siteKey: mask.keys[s], index: index, rate: mask.rate) ? 1 / (1 - Double(mask.rate)) : 0
        }

        /// The scale of a column, and its shift.
        func scale(_ column: Int) -> Double { (kind == .shiftedRMS ? 1 : 0) + Double(gamma[column]) }
        func shift(_ column: Int) -> Double { beta.map { Double($0[column]) } ?? 0 }

        /// fp64 norm of a row.
        func norm(_ z: [Double], epsilon: Double) -> [Double] {
            let mean = kind == .layer ? z.reduce(0, +) / Double(columns) : 0
            let variance = z.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(columns)
            return (0..<columns).map { (z[$0] - mean) / (variance + epsilon).squareRoot() * scale($0) + shift($0) }
        }

        /// fp64 sum before the norm for these branch, residual, bias.
        func sum(_ branch: [Float], _ residual: [Float], _ bias: [Float]) -> [Double] {
            (0..<rows).flatMap { t in
                (0..<columns).map { d in
                    Double(residual[t * columns + d])
                        + (Double(branch[t * columns + d]) + Double(bias[d])) * factor(t, d)
                }
            }
        }

        /// fp64 output of the fused kernel for these branch, residual, bias.
        func fused(_ branch: [Float], _ residual: [Float], _ bias: [Float], epsilon: Double) -> [Double] {
            let sum = sum(branch, residual, bias)
            return (0..<rows).flatMap { norm(Array(sum[$0 * columns..<($0 + 1) * columns]), epsilon: epsilon) }
        }
    }

    private struct Gradients {
        let output, residual, branch, gamma, beta, bias: [Float]
    }

    private func run(_ p: Problem, carried: [Float]? = nil) -> Gradients {
        let shape = (p.rows, p.columns)
        let z = FloatBlock(p.branch)
        let residual = FloatBlock(p.residual)
        let out = FloatBlock(count: p.rows * p.columns)
        let mean = FloatBlock(count: p.rows)
        let rstd = FloatBlock(count: p.rows)
        NormKernels.biasDropoutResidualNorm(
            p.kind, branch: z.matrix(shape.0, shape.1), bias: p.bias.pinned,
            residual: residual.matrix(shape.0, shape.1),
            gamma: p.gamma.pinned, beta: p.beta?.pinned, epsilon: Float(epsilon), dropout: p.mask,
            sum: z.matrix(shape.0, shape.1), mean: mean.pointer, rstd: rstd.pointer, into: out.matrix(shape.0, shape.1))
        let dOutput = FloatBlock(p.weights)
        let dResidual = carried.map { FloatBlock($0) } ?? dOutput
        let dBranch = FloatBlock(count: p.rows * p.columns)
        let sums = (0..<3).map { _ in FloatBlock(count: p.columns, of: 1) }
        let scratch = FloatBlock(count: NormKernels.backwardScratch(columns: p.columns))
        NormKernels.biasDropoutResidualNormBackward(
            p.kind, dOutput: dOutput.matrix(shape.0, shape.1),
            dCarried: carried.map { _ in dResidual.matrix(shape.0, shape.1) }, sum: z.matrix(shape.0, shape.1),
            mean: mean.pointer, rstd: rstd.pointer, gamma: p.gamma.pinned, dropout: p.mask,
            dResidual: dResidual.matrix(shape.0, shape.1), dBranch: dBranch.matrix(shape.0, shape.1),
            dGamma: sums[0].pointer, dBeta: p.beta == nil ? nil : sums[1].pointer, dBias: sums[2].pointer,
            scratch: scratch.pointer)
        return Gradients(
            output: out.values, residual: dResidual.values, branch: dBranch.values,
            gamma: sums[0].values.map { $0 - 1 }, beta: sums[1].values.map { $0 - 1 },
            bias: sums[2].values.map { $0 - 1 })
    }

    /// Every kind of norm; LayerNorm with its shift and without.
    static let kinds: [(NormKind, Bool)] = NormKind.allCases.map { ($0, $0 == .layer) } + [(.layer, false)]

    @Test(arguments: [8, 37, 384, 1000], Self.kinds)
    func fusedMatchesReferenceAndFiniteDifferences(columns: Int, norm: (kind: NormKind, hasBeta: Bool)) {
        for rate in [Float(0), 0.2] { requireFused(columns, rate, norm.kind, norm.hasBeta) }
    }

    private func requireFused(_ columns: Int, _ rate: Float, _ kind: NormKind, _ hasBeta: Bool) {
        let p = Problem(columns: columns, lengths: lengths, rate: rate, kind: kind, hasBeta: hasBeta)
        let got = run(p)
        #expect(largestDifference(got.output, p.fused(p.branch, p.residual, p.bias, epsilon: epsilon)) < 6e-6)
        let loss = { (values: [Double]) in zip(values, p.weights).reduce(0.0) { $0 + $1.0 * Double($1.1) } }
        let ofBranch = gradientGap(at: p.branch, gradient: got.branch) {
            loss(p.fused($0, p.residual, p.bias, epsilon: epsilon))
        }
        let ofResidual = gradientGap(at: p.residual, gradient: got.residual) {
            loss(p.fused(p.branch, $0, p.bias, epsilon: epsilon))
        }
        let ofBias = gradientGap(at: p.bias, gradient: got.bias) {
            loss(p.fused(p.branch, p.residual, $0, epsilon: epsilon))
        }
        #expect(ofBranch < 1e-3 && ofResidual < 1e-3 && ofBias < 1e-3, "\(ofBranch) \(ofResidual) \(ofBias)")
        // dbeta = column sums of the output gradient; dgamma = sums with the normalised input.
        for d in 0..<columns {
            let beta = hasBeta ? (0..<p.rows).reduce(0.0) { $0 + Double(p.weights[$1 * columns + d]) } : 0
            #expect(abs(Double(got.beta[d]) - beta) < 2e-5)
            let gamma = (0..<p.rows).reduce(0.0) {
                let normal = (Double(got.output[$1 * columns + d]) - p.shift(d)) / p.scale(d)
                return $0 + Double(p.weights[$1 * columns + d]) * normal
            }
            #expect(abs(Double(got.gamma[d]) - gamma) < 2e-4)
        }
    }

    /// Pre-LN: the sum is carried on beside its norm, and its gradient comes back in the same pass.
    @Test(arguments: [37, 384], Self.kinds)
    func aCarriedSumAddsItsGradient(columns: Int, norm: (kind: NormKind, hasBeta: Bool)) {
        for rate in [Float(0), 0.2] { requireCarried(columns, rate, norm.kind, norm.hasBeta) }
    }

    private func requireCarried(_ columns: Int, _ rate: Float, _ kind: NormKind, _ hasBeta: Bool) {
        let p = Problem(columns: columns, lengths: lengths, rate: rate, kind: kind, hasBeta: hasBeta)
        var random = TinyRandom(91)
        let carried = random.floats(p.rows * columns)
        let got = run(p, carried: carried)
        let loss = { (branch: [Float], residual: [Float], bias: [Float]) in
            let normed = p.fused(branch, residual, bias, epsilon: self.epsilon)
            return zip(normed, p.weights).reduce(0.0) { $0 + $1.0 * Double($1.1) }
                + zip(p.sum(branch, residual, bias), carried).reduce(0.0) { $0 + $1.0 * Double($1.1) }
        }
        let ofBranch = gradientGap(at: p.branch, gradient: got.branch) { loss($0, p.residual, p.bias) }
        let ofResidual = gradientGap(at: p.residual, gradient: got.residual) { loss(p.branch, $0, p.bias) }
        let ofBias = gradientGap(at: p.bias, gradient: got.bias) { loss(p.branch, p.residual, $0) }
        #expect(ofBranch < 1e-3 && ofResidual < 1e-3 && ofBias < 1e-3, "\(ofBranch) \(ofResidual) \(ofBias)")
        // The parameters do not see what passes beside the norm, and without it the gradient is another.
        let alone = run(p)
        #expect(got.gamma == alone.gamma && got.beta == alone.beta && got.output == alone.output)
        #expect(largestDifference(got.residual, alone.residual.map(Double.init)) > 0.1)
    }

    @Test(arguments: [16, 100], Self.kinds)
    func dropoutAfterTheNorm(columns: Int, norm: (kind: NormKind, hasBeta: Bool)) {
        for rate in [Float(0), 0.3] { requireAlone(columns, rate, norm.kind, norm.hasBeta) }
    }

    private func requireAlone(_ columns: Int, _ rate: Float, _ kind: NormKind, _ hasBeta: Bool) {
        let p = Problem(columns: columns, lengths: lengths, rate: rate, kind: kind, hasBeta: hasBeta)
        let x = FloatBlock(p.branch)
        let out = FloatBlock(count: p.rows * columns)
        let mean = FloatBlock(count: p.rows)
        let rstd = FloatBlock(count: p.rows)
        NormKernels.norm(
            x.matrix(p.rows, columns), kind, gamma: p.gamma.pinned, beta: p.beta?.pinned, epsilon: Float(epsilon),
            dropout: p.mask, mean: mean.pointer, rstd: rstd.pointer, into: out.matrix(p.rows, columns))
        func reference(_ x: [Float], _ q: Problem) -> [Double] {
            (0..<q.rows).flatMap { t in
                q.norm(x[t * columns..<(t + 1) * columns].map(Double.init), epsilon: epsilon).enumerated().map {
                    $0.element * q.factor(t, $0.offset)
                }
            }
        }
        #expect(largestDifference(out.values, reference(p.branch, p)) < 6e-6)
        let d = FloatBlock(p.weights)
        let dGamma = FloatBlock(count: columns, of: 0)
        let dBeta = FloatBlock(count: columns, of: 0)
        let scratch = FloatBlock(count: NormKernels.backwardScratch(columns: columns))
        NormKernels.normBackward(
            kind, dOutput: d.matrix(p.rows, columns), x: x.matrix(p.rows, columns), mean: mean.pointer,
            rstd: rstd.pointer,
            gamma: p.gamma.pinned, dropout: p.mask, dX: d.matrix(p.rows, columns), dGamma: dGamma.pointer,
            dBeta: hasBeta ? dBeta.pointer : nil, scratch: scratch.pointer)
        let loss = { (values: [Double]) in zip(values, p.weights).reduce(0.0) { $0 + $1.0 * Double($1.1) } }
        let gap = gradientGap(at: p.branch, gradient: d.values) { loss(reference($0, p)) }
        #expect(gap < 1e-3)
        for c in 0..<columns {
            let sum = (0..<p.rows).reduce(0.0) { $0 + Double(p.weights[$1 * columns + c]) * p.factor($1, c) }
            let beta = hasBeta ? sum : 0
            #expect(abs(Double(dBeta.values[c]) - beta) < 2e-5)
        }
    }

    @Test func threadsChangeNothing() {
        let p = Problem(columns: 200, lengths: [40, 3, 60, 17], rate: 0.1)
        let one = run(p)
        let three = withCompute(threads: 3) { run(p) }
        #expect(one.output == three.output && one.residual == three.residual && one.branch == three.branch)
        #expect(one.gamma == three.gamma && one.beta == three.beta && one.bias == three.bias)
    }
}
