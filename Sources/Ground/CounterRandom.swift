// Random bits as a function of a key and a counter, without state that depends on history: the same stream on every
// machine, each stream independent of the others. The order of an epoch is thus a function of (seed, epoch) alone, and
// a dropout mask a function of the position of an element.
//
// Reference: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011; known answers in
// Random123's kat_vectors.

import Foundation

/// Philox4x32 with ten rounds (Salmon et al. 2011).
package enum Philox {
    /// The four random words for a counter and a key.
    @inlinable
    package static func block(
        counter: (UInt32, UInt32, UInt32, UInt32), key: (UInt32, UInt32)
    ) -> (UInt32, UInt32, UInt32, UInt32) {
        var (c0, c1, c2, c3) = counter
        var (k0, k1) = key
        for _ in 0..<10 {
            let first = UInt64(c0) &* 0xD251_1F53
            let second = UInt64(c2) &* 0xCD9E_8D57
            (c0, c1, c2, c3) = (
                UInt32(second >> 32) ^ c1 ^ k0, UInt32(truncatingIfNeeded: second),
                UInt32(first >> 32) ^ c3 ^ k1, UInt32(truncatingIfNeeded: first)
            )
            k0 = k0 &+ 0x9E37_79B9
            k1 = k1 &+ 0xBB67_AE85
        }
        return (c0, c1, c2, c3)
    }
}

/// The random numbers of one stream, identified by a seed and a number, in order.
public struct CounterRandom: RandomNumberGenerator, Sendable {
    private let key: (UInt32, UInt32)
    private let stream: (UInt32, UInt32)
    private var block: UInt64
    private var spare: UInt64?

    /// The stream `stream` of `seed`, from the start of its part `part`; a part has 2^33 numbers.
    package init(seed: UInt64, stream: UInt64 = 0, part: UInt32 = 0) {
        key = (UInt32(truncatingIfNeeded: seed), UInt32(truncatingIfNeeded: seed >> 32))
        self.stream = (UInt32(truncatingIfNeeded: stream), UInt32(truncatingIfNeeded: stream >> 32))
        block = UInt64(part) << 32
    }

    /// The stream of `seed` for `epoch` and `purpose`.
    package init(seed: UInt64, epoch: UInt32, purpose: UInt32, part: UInt32 = 0) {
        self.init(seed: seed, stream: UInt64(purpose) << 32 | UInt64(epoch), part: part)
    }

    /// The next 64 random bits.
    public mutating func next() -> UInt64 {
        if let spare {
            self.spare = nil
            return spare
        }
        let words = Philox.block(
            counter: (UInt32(truncatingIfNeeded: block), UInt32(truncatingIfNeeded: block >> 32), stream.0, stream.1),
            key: key)
        block += 1
        spare = UInt64(words.3) << 32 | UInt64(words.2)
        return UInt64(words.1) << 32 | UInt64(words.0)
    }

    /// A uniform integer below `limit` (Lemire 2019: multiply, reject the short remainder).
    public mutating func number(below limit: UInt64) -> UInt64 {
        precondition(limit > 0, "CounterRandom: limit must be positive")
        let threshold = (0 &- limit) % limit
        while true {
            let (high, low) = limit.multipliedFullWidth(by: next())
            if low >= threshold { return high }
        }
    }

    /// A number of the standard normal distribution (Box and Muller 1958).
    public mutating func normal() -> Double {
        let radius = (-2 * log(1 - Double.random(in: 0..<1, using: &self))).squareRoot()
        let angle = 2 * Double.pi * Double.random(in: 0..<1, using: &self)
        return radius * cos(angle)
    }

    /// A uniform random permutation of 0 ..< count (Fisher and Yates).
    public mutating func permutation(of count: Int) -> [Int32] {
        var numbers = (0..<Int32(count)).map { $0 }
        numbers.withUnsafeMutableBufferPointer { numbers in
            for place in stride(from: count - 1, to: 0, by: -1) {
                numbers.swapAt(place, Int(number(below: UInt64(place) + 1)))
            }
        }
        return numbers
    }
}
