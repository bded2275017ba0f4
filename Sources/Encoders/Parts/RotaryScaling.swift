// How the frequencies of a rotation differ from theta^(-2 i / R), so that longer texts keep to the angles of training.
//
// All are fixed by config.json. Two of the reference's types also look at the longest text of a batch: "dynamic" changes
// nothing up to max_position_embeddings, and "longrope" has other factors beyond the positions of training; texts are cut
// there, as a vector would depend on the other texts of its batch.
// Numbers are fp32 where the reference's tensors are, and doubles where its numbers are Python's.
// Legend: R rotated numbers of a head. Reference: transformers/modeling_rope_utils.py; Peng et al. 2023, arXiv 2309.00071
// (yarn); Ding et al. 2024, arXiv 2402.13753 (longrope).

import Glibc

/// The scaling of a rotation's frequencies.
package enum RotaryScaling: Sendable, Equatable {
    case none
    /// All divided by a factor.
    case linear(factor: Double)
    /// A larger base, and all divided by factor^(2 / R), as GTE's models have it.
    case fixedNTK(factor: Double)
    /// Llama 3's: low frequencies divided by a factor, those between two wavelengths blended.
    case llama3(factor: Double, low: Double, high: Double, trainedPositions: Double)
    /// As llama3, where the blend is a ramp over the pairs `low` to `high`.
    case yarn(factor: Double, low: Double, high: Double)
    /// A divisor of every pair.
    case longRope(divisors: [Float])
    /// Only the pairs below `pairs` turn; all divided by a factor.
    case proportional(factor: Double, pairs: Int)

    /// The pairs between which yarn blends, where `fast` and `slow` turns fit into the positions of training.
    ///
    /// - Parameter truncates: whether the bounds are whole pairs.
    static func yarn(
        factor: Double, theta: Double, width: Int, fast: Double, slow: Double, trainedPositions: Double,
        truncates: Bool
    ) -> RotaryScaling {
        func pair(_ turns: Double) -> Double {
            Double(width) * log(trainedPositions / (turns * 2 * Double.pi)) / (2 * log(theta))
        }
        var (low, high) = (pair(fast), pair(slow))
        if truncates { (low, high) = (low.rounded(.down), high.rounded(.up)) }
        (low, high) = (max(low, 0), min(high, Double(width - 1)))
        return .yarn(factor: factor, low: low, high: low == high ? high + 0.001 : high)
    }

    /// [R / 2] the frequencies of a rotation of `width` numbers with the base `theta`.
    func frequencies(theta: Double, width: Int) -> [Float] {
        let base = if case .fixedNTK(let factor) = self { factor * theta } else { theta }
        return (0..<width / 2).map { pair in
            let power = Float(pow(base, Double(Float(2 * pair) / Float(width))))
            return frequency(pair, power: power, width: width)
        }
    }

    /// The frequency of a pair whose unscaled one is 1 / `power`.
    private func frequency(_ pair: Int, power: Float, width: Int) -> Float {
        let plain = 1 / power
        switch self {
        case .none: return plain
        case .linear(let factor): return plain / Float(factor)
        case .fixedNTK(let factor): return plain / Float(pow(factor, 2 / Double(width)))
        case .llama3(let factor, let low, let high, let trained):
            let wavelength = 2 * Float.pi / plain
            if wavelength < Float(trained / high) { return plain }
            if wavelength > Float(trained / low) { return plain / Float(factor) }
            let part = (Float(trained) / wavelength - Float(low)) / Float(high - low)
            return (1 - part) * (plain / Float(factor)) + part * plain
        case .yarn(let factor, let low, let high):
            let ramp = min(max((Float(pair) - Float(low)) / Float(high - low), 0), 1)
            let kept = 1 - ramp
            return 1 / (Float(factor) * power) * (1 - kept) + plain * kept
        case .longRope(let divisors): return 1 / (divisors[pair] * power)
        case .proportional(let factor, let pairs): return pair < pairs ? plain / Float(factor) : 0
        }
    }
}
