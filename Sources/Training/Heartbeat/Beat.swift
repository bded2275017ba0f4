// Beat: the packet that a rank sends to rank zero about once a second, and its echo.
//
//     0  "TUTTIHB1"        8  key, two words       24  rank   28  kind   32  number   40  address   48  step
//    56  phase, 32 bytes  88  seconds of the phase            96  operation, 32 bytes
//   128  seconds of the wait, 0 = none           136  collectives begun                          144  end
//
// Numbers are little-endian. A packet of another size, another beginning or another key is a stranger's.

import TuttiEnsemble

/// What the ranks of one job know and no stranger does.
package struct BeatKey: Sendable, Equatable, Codable {
    package var first: UInt64
    package var second: UInt64

    package init(first: UInt64, second: UInt64) { (self.first, self.second) = (first, second) }

    /// A key that has not been used before.
    package static func random() -> BeatKey { BeatKey(first: .random(in: 0 ... .max), second: .random(in: 0 ... .max)) }
}

/// A packet.
package struct Beat: Sendable, Equatable {
    package enum Kind: UInt32, Sendable { case beat = 1, echo = 2 }

    package var kind = Kind.beat
    /// The rank that sends a beat, or is answered.
    package var rank = 0
    /// Counts the beats of a rank.
    package var number: UInt64 = 0
    /// Which of rank zero's addresses it was sent to.
    package var address = 0
    /// What the sender is doing.
    package var activity = RankActivity.Snapshot()

    /// Bytes of a packet.
    package static let size = 144
    private static let beginning: UInt64 = 0x3142_4849_5454_5554  // TUTTIHB1

    /// Writes the packet.
    package func write(to bytes: UnsafeMutableRawBufferPointer, key: BeatKey) {
        precondition(bytes.count == Beat.size, "Beat: \(bytes.count) bytes")
        func put(_ word: UInt64, at place: Int) {
            bytes.storeBytes(of: word.littleEndian, toByteOffset: place, as: UInt64.self)
        }
        put(Beat.beginning, at: 0)
        put(key.first, at: 8)
        put(key.second, at: 16)
        put(UInt64(UInt32(truncatingIfNeeded: rank)) | UInt64(kind.rawValue) << 32, at: 24)
        put(number, at: 32)
        put(UInt64(address), at: 40)
        put(UInt64(bitPattern: Int64(activity.step)), at: 48)
        bytes.storeBytes(of: activity.phase.bytes, toByteOffset: 56, as: SIMD32<UInt8>.self)
        put(activity.phaseSeconds.bitPattern, at: 88)
        bytes.storeBytes(of: activity.operation.bytes, toByteOffset: 96, as: SIMD32<UInt8>.self)
        put(activity.waitSeconds.bitPattern, at: 128)
        put(activity.calls, at: 136)
    }

    package init() {}

    /// Reads a packet; nil if it is not one of this job.
    package init?(_ bytes: UnsafeRawBufferPointer, key: BeatKey) {
        guard bytes.count == Beat.size else { return nil }
        func word(_ place: Int) -> UInt64 {
            UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: place, as: UInt64.self))
        }
        guard word(0) == Beat.beginning, word(8) == key.first, word(16) == key.second,
            let kind = Kind(rawValue: UInt32(word(24) >> 32)), word(40) < 1 << 16
        else { return nil }
        self.kind = kind
        rank = Int(word(24) & 0xFFFF_FFFF)
        number = word(32)
        address = Int(word(40))
        activity.step = Int(Int64(bitPattern: word(48)))
        activity.phase = ShortName(bytes: bytes.loadUnaligned(fromByteOffset: 56, as: SIMD32<UInt8>.self))
        activity.phaseSeconds = Double(bitPattern: word(88))
        activity.operation = ShortName(bytes: bytes.loadUnaligned(fromByteOffset: 96, as: SIMD32<UInt8>.self))
        activity.waitSeconds = Double(bitPattern: word(128))
        activity.calls = word(136)
        guard activity.phaseSeconds.isFinite, activity.waitSeconds.isFinite, activity.phaseSeconds >= 0,
            activity.waitSeconds >= 0
        else { return nil }
    }
}
