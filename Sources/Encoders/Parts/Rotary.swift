// Rotary positions: pairs of numbers of every query and key are turned by an angle that grows with the position.
//
// Position p turns pair i by p * f_i, f_i = theta^(-2 i / R). Scalings change the frequencies f once, so that the angles
// of longer texts stay in the range that a model was trained on. Scalings that depend on the lengths of a batch are not
// among them: a text's vector would depend on its neighbours.
//
// Angles are rounded to fp32 as the reference rounds them (position times frequency, both fp32), so that long texts agree.
// Legend: R rotated numbers of a head, L longest sequence of the batch. Reference: Su et al. 2021, arXiv 2104.09864;
// transformers/modeling_rope_utils.py.

import Glibc
import TuttiKernels

/// The plan of a rotation.
package struct RotaryPlan: Sendable, Equatable {
    /// How frequencies differ from theta^(-2 i / R).
    package enum Scaling: Sendable, Equatable {
        case none
        /// All divided by a factor.
        case linear(factor: Double)
        /// A larger base, and all divided by factor^(2 / R), as GTE's models have it.
        case fixedNTK(factor: Double)
        /// Llama 3's: low frequencies divided by a factor, those between two wavelengths blended.
        case llama3(factor: Double, low: Double, high: Double, trainedPositions: Double)
    }

    /// The base of the frequencies.
    package var theta: Double
    /// R: the leading numbers of a head that are rotated, even.
    package var width: Int
    package var scaling: Scaling

    package init(theta: Double, width: Int, scaling: Scaling = .none) {
        self.theta = theta
        self.width = width
        self.scaling = scaling
    }

    /// [R / 2] the angle of each pair per position, in fp32 as the reference computes them.
    package var frequencies: [Float] {
        let base = if case .fixedNTK(let factor) = scaling { factor * theta } else { theta }
        return stride(from: 0, to: width, by: 2).map { place in
            let exponent = Float(place) / Float(width)
            let plain = 1 / Float(pow(base, Double(exponent)))
            return scaled(plain)
        }
    }

    private func scaled(_ frequency: Float) -> Float {
        switch scaling {
        case .none: return frequency
        case .linear(let factor): return frequency / Float(factor)
        case .fixedNTK(let factor): return frequency / Float(pow(factor, 2 / Double(width)))
        case .llama3(let factor, let low, let high, let trained):
            let wavelength = 2 * Float.pi / frequency
            if wavelength < Float(trained / high) { return frequency }
            if wavelength > Float(trained / low) { return frequency / Float(factor) }
            let part = (Float(trained) / wavelength - Float(low)) / Float(high - low)
            return (1 - part) * (frequency / Float(factor)) + part * frequency
        }
    }
}

/// The tables of angles that a model's layers use, each rotation once; they grow with the longest sequence seen.
///
/// Used by one thread at a time, as the encoder that owns them. A pass keeps the tables that it began with.
final class RotaryTables: @unchecked Sendable {
    /// Each rotation once.
    let plans: [RotaryPlan]
    /// Of each rotation: [positions, R], cosines then sines.
    private var tables: [[Float]]
    private var positions = 0

    /// The rotations that the layers of a plan use.
    init(_ layers: [SelfAttentionPlan]) {
        var plans: [RotaryPlan] = []
        for layer in layers {
            if let rotary = layer.rotary, !plans.contains(rotary) { plans.append(rotary) }
        }
        self.plans = plans
        tables = plans.map { _ in [] }
    }

    /// The tables for sequences of up to `longest` tokens.
    func angles(longest: Int) -> [[Float]] {
        if longest > positions && !plans.isEmpty {
            let more = max(longest, 2 * positions)
            for (place, plan) in plans.enumerated() {
                tables[place] += [Float](repeating: 0, count: (more - positions) * plan.width)
                HeadRows.fillAngles(
                    frequencies: plan.frequencies, factor: 1, positions: positions..<more, into: &tables[place])
            }
            positions = more
        }
        return tables
    }
}
