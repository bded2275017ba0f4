// Dropout without stored masks: randomness is a function of the position of an element (ARCHITECTURE.md, decision 5).
//
// Philox derives a key for (seed, step, micro-step, slot, column) and from it one for (layer, site); a cheap vectorizable
// 32-bit hash of (element index, both halves of that key) then decides each element, in forward and again in backward.

import CTuttiKernels
import TuttiGround

/// Keys of the counter-based dropout.
package enum Dropout {
    /// The key of one sequence of a batch; `slot` is its row in the *global* batch, whatever the number of ranks.
    package static func sequenceKey(
        seed: UInt64, step: UInt64, microStep: UInt32, slot: UInt64, column: UInt32
    ) -> UInt64 {
        let stepKey = derive(
            seed, UInt32(truncatingIfNeeded: step), UInt32(truncatingIfNeeded: step >> 32), microStep, 0x5354_4550)
        return derive(
            stepKey, UInt32(truncatingIfNeeded: slot), UInt32(truncatingIfNeeded: slot >> 32), column, 0x534C_4F54)
    }

    /// The key of one dropout site of a sequence.
    package static func siteKey(_ sequenceKey: UInt64, layer: UInt32, site: UInt32) -> UInt64 {
        derive(sequenceKey, layer, site, 0, 0x5349_5445)
    }

    /// `siteKey` for `count` sequences at once.
    package static func siteKeys(
        of sequenceKeys: UnsafePointer<UInt64>, count: Int, layer: UInt32, site: UInt32,
        into keys: UnsafeMutablePointer<UInt64>
    ) {
        for s in 0..<count { keys[s] = siteKey(sequenceKeys[s], layer: layer, site: site) }
    }

    /// A key from a key and a counter; the counter's last word separates the three derivations.
    private static func derive(_ key: UInt64, _ c0: UInt32, _ c1: UInt32, _ c2: UInt32, _ c3: UInt32) -> UInt64 {
        let words = Philox.block(
            counter: (c0, c1, c2, c3), key: (UInt32(truncatingIfNeeded: key), UInt32(truncatingIfNeeded: key >> 32)))
        return UInt64(words.0) | UInt64(words.1) << 32
    }

    /// Whether the element with this index inside its sequence survives dropout at `rate`.
    package static func keeps(siteKey: UInt64, index: UInt32, rate: Float) -> Bool {
        tutti_element_hash(siteKey, index) >= threshold(rate)
    }

    /// `rate` * 2^32: hashes below it are dropped.
    static func threshold(_ rate: Float) -> UInt32 {
        precondition(rate >= 0 && rate < 1, "Dropout: rate \(rate) outside 0 ..< 1")
        return UInt32(Double(rate) * 4_294_967_296)
    }
}

/// Dropout of one site over packed rows: rate, one site key per sequence, and the row offsets of the sequences.
/// Element (p, d) of a sequence has index p * D + d, so the mask does not depend on anything outside its sequence.
package struct DropoutMask: @unchecked Sendable {
    /// Probability that an element is zeroed, 0 ..< 1.
    package var rate: Float
    /// [S] site keys.
    package var keys: UnsafePointer<UInt64>
    /// [S + 1] row offsets of the sequences.
    package var offsets: UnsafePointer<Int32>
    /// S.
    package var sequences: Int

    /// Dropout at `rate` with these site keys.
    package init(rate: Float, keys: UnsafePointer<UInt64>, offsets: UnsafePointer<Int32>, sequences: Int) {
        self.rate = rate
        self.keys = keys
        self.offsets = offsets
        self.sequences = sequences
    }

    /// The C form; nil or a rate of zero becomes "no dropout".
    static func kernel(_ mask: DropoutMask?) -> tutti_dropout {
        guard let mask, mask.rate > 0 else {
            return tutti_dropout(keys: nil, offsets: nil, sequences: 0, threshold: 0, scale: 1)
        }
        return tutti_dropout(
            keys: mask.keys, offsets: mask.offsets, sequences: Int64(mask.sequences),
            threshold: Dropout.threshold(mask.rate), scale: 1 / (1 - mask.rate))
    }
}
