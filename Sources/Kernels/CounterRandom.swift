// A Philox-based RandomNumberGenerator: the same stream on every machine, any stream reachable without the others.

import CTuttiKernels

/// Philox4x32-10 as a Swift generator, keyed by a seed and two stream numbers.
public struct CounterRandom: RandomNumberGenerator {
    private let key: (UInt32, UInt32)
    private let stream: (UInt32, UInt32)
    private var block: UInt64 = 0
    private var spare: UInt64?

    /// The stream (`stream`) of `seed`, from its beginning.
    public init(seed: UInt64, stream: UInt64 = 0) {
        key = (UInt32(truncatingIfNeeded: seed), UInt32(truncatingIfNeeded: seed >> 32))
        self.stream = (UInt32(truncatingIfNeeded: stream), UInt32(truncatingIfNeeded: stream >> 32))
    }

    /// The next 64 random bits.
    public mutating func next() -> UInt64 {
        if let value = spare {
            spare = nil
            return value
        }
        let words = Philox.block(
            counter: (
                UInt32(truncatingIfNeeded: block), UInt32(truncatingIfNeeded: block >> 32), stream.0, stream.1
            ), key: key)
        block += 1
        spare = UInt64(words.2) | UInt64(words.3) << 32
        return UInt64(words.0) | UInt64(words.1) << 32
    }
}

/// Philox4x32 with ten rounds (Salmon et al. 2011).
public enum Philox {
    /// The four random words of one counter under one key.
    public static func block(
        counter: (UInt32, UInt32, UInt32, UInt32), key: (UInt32, UInt32)
    ) -> (UInt32, UInt32, UInt32, UInt32) {
        var words: (UInt32, UInt32, UInt32, UInt32) = (0, 0, 0, 0)
        withUnsafeBytes(of: counter) { counter in
            withUnsafeBytes(of: key) { key in
                withUnsafeMutableBytes(of: &words) { words in
                    let counter = counter.assumingMemoryBound(to: UInt32.self)
                    let key = key.assumingMemoryBound(to: UInt32.self)
                    let words = words.assumingMemoryBound(to: UInt32.self)
                    guard let c = counter.baseAddress, let k = key.baseAddress, let w = words.baseAddress else { return }
                    tutti_philox4x32_10(c, k, w)
                }
            }
        }
        return words
    }
}
