// A tiny deterministic generator for test inputs (SplitMix64), so that a failure repeats on every machine.

/// SplitMix64 with helpers for test data.
package struct TinyRandom: RandomNumberGenerator {
    private var state: UInt64

    /// The stream of this seed.
    package init(_ seed: UInt64) { state = seed }

    /// The next 64 bits.
    package mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }

    /// Uniform in 0 ..< 1.
    package mutating func uniform() -> Double { Double(next() >> 11) * 0x1p-53 }

    /// About normal (sum of twelve uniforms): mean 0, deviation 1, no tails beyond 6.
    package mutating func normal() -> Double { (0..<12).reduce(-6.0) { sum, _ in sum + uniform() } }

    /// `count` normal floats times `scale`.
    package mutating func floats(_ count: Int, scale: Float = 1) -> [Float] {
        (0..<count).map { _ in Float(normal()) * scale }
    }

    /// `count` integers in 0 ..< `bound`.
    package mutating func integers(_ count: Int, below bound: Int) -> [Int32] {
        (0..<count).map { _ in Int32(next() % UInt64(bound)) }
    }
}
