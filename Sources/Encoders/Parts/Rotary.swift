// Rotary positions: pairs of numbers of every query and key are turned by an angle that grows with the position.
//
// Position p turns pair i by p * f_i, f_i = theta^(-2 i / R), which RotaryScaling.swift may change.
//
// Angles are rounded to fp32 as the reference rounds them (position times frequency, both fp32), so that long texts agree.
// Legend: R rotated numbers of a head, L longest sequence of the batch. Reference: Su et al. 2021, arXiv 2104.09864;
// transformers/modeling_rope_utils.py.

import TuttiKernels

/// The plan of a rotation.
package struct RotaryPlan: Sendable, Equatable {
    /// The base of the frequencies.
    package var theta: Double
    /// R: the leading numbers of a head that are rotated, even.
    package var width: Int
    package var scaling: RotaryScaling
    /// Factor of cosines and sines, and so of what they rotate.
    package var factor: Float = 1
    /// Longest text with these frequencies, in tokens.
    package var longest = Int.max

    package init(theta: Double, width: Int, scaling: RotaryScaling = .none) {
        self.theta = theta
        self.width = width
        self.scaling = scaling
    }

    /// [R / 2] the angle of each pair per position, in fp32 as the reference computes them.
    package var frequencies: [Float] { scaling.frequencies(theta: theta, width: width) }
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
                    frequencies: plan.frequencies, factor: plan.factor, positions: positions..<more,
                    into: &tables[place])
            }
            positions = more
        }
        return tables
    }
}
