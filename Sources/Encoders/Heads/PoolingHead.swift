// Pooling in all modes of sentence-transformers, several at once side by side: [T, D] -> [S, modes * D].
//
// Where words have weights (WordWeights), their sum takes the place of the number of tokens in means, as in the reference:
// of weights w and positions p, sum(w x) / sum(w), sum(w x) / sqrt(sum(w)) and sum(p w x) / sum(w), the vectors being
// multiplied by their weights already. The kernels' means are scaled to that.

import TuttiKernels

/// The pooling module.
struct PoolingHead: Sendable {
    let modes: [PoolingMode]
    let includePrompt: Bool

    /// pooled [S, modes * D] of hidden [T, D].
    func forward(_ hidden: Matrix, _ pass: PassContext, into pooled: Matrix) {
        for (place, mode) in modes.enumerated() {
            let own = pooled.columns(place * hidden.columns..<(place + 1) * hidden.columns)
            Pooling.forward(mode, hidden, offsets: pass.tokens.offsets, skip: skip(pass), into: own)
            guard let sums = pass.weightSums else { continue }
            for s in 0..<pass.sequences {
                guard let weighting = Weighting(mode, pass, s, sum: sums.values[s]) else { continue }
                scale(own.row(s), by: weighting.factor, count: own.columns)
            }
        }
    }

    /// stream [T, D] += the adjoint of `forward`, whose result is `pooled`; `dPooled` is overwritten. The gradients of sums
    /// of weights accumulate.
    func backward(_ hidden: Matrix, pooled: Matrix, _ pass: PassContext, dPooled: Matrix, stream: Matrix) {
        for (place, mode) in modes.enumerated() {
            let columns = place * hidden.columns..<(place + 1) * hidden.columns
            let gradient = dPooled.columns(columns)
            if let sums = pass.weightSums {
                let own = pooled.columns(columns)
                for s in 0..<pass.sequences {
                    guard let weighting = Weighting(mode, pass, s, sum: sums.values[s]) else { continue }
                    var product = 0.0
                    for column in 0..<own.columns { product += Double(own[s, column]) * Double(gradient[s, column]) }
                    sums.gradients[s] += Float(product * weighting.slope)
                    scale(gradient.row(s), by: weighting.factor, count: gradient.columns)
                }
            }
            Pooling.backward(
                mode, hidden, offsets: pass.tokens.offsets, skip: skip(pass), dOutput: gradient, into: stream)
        }
    }

    private func scale(_ row: UnsafeMutablePointer<Float>, by factor: Float, count: Int) {
        for column in 0..<count { row[column] *= factor }
    }

    private func skip(_ pass: PassContext) -> UnsafePointer<Int32>? { includePrompt ? nil : pass.promptTokens }
}

/// How a mean over a sequence changes where a sum of weights stands for its number of tokens.
private struct Weighting {
    /// The factor of the kernel's mean.
    let factor: Float
    /// The derivative of the result by the sum, relative to the result.
    let slope: Double

    /// Smallest sum that is divided by, as in the reference.
    private static let floor: Float = 1e-9

    /// Nil for modes that take no mean, and for sequences without tokens.
    init?(_ mode: PoolingMode, _ pass: PassContext, _ s: Int, sum: Float) {
        let count = Double(pass.tokens.offsets[s + 1] - pass.tokens.offsets[s])
        guard count > 0 else { return nil }
        let divisor = Double(max(sum, Weighting.floor))
        let isFree = sum >= Weighting.floor
        switch mode {
        case .mean: (factor, slope) = (Float(count / divisor), isFree ? -1 / divisor : 0)
        case .meanSqrtLength: (factor, slope) = (Float((count / divisor).squareRoot()), isFree ? -0.5 / divisor : 0)
        case .weightedMean: (factor, slope) = (Float(count * (count + 1) / 2 / divisor), isFree ? -1 / divisor : 0)
        case .cls, .max, .lastToken: return nil
        }
    }
}
