// A 64-bit fingerprint of content: XXH64, which tells data sets and configurations apart but is no defence against
// forgery. Reference: https://github.com/Cyan4973/xxHash/blob/dev/doc/xxhash_spec.md (XXH64, seed 0).

/// Collects bytes and gives their XXH64.
public struct ContentDigest: Sendable {
    private static let prime1: UInt64 = 0x9E37_79B1_85EB_CA87
    private static let prime2: UInt64 = 0xC2B2_AE3D_27D4_EB4F
    private static let prime3: UInt64 = 0x1656_67B1_9E37_79F9
    private static let prime4: UInt64 = 0x85EB_CA77_C2B2_AE63
    private static let prime5: UInt64 = 0x27D4_EB2F_1656_67C5

    private var lanes: (UInt64, UInt64, UInt64, UInt64) = (
        prime1 &+ prime2, prime2, 0, 0 &- prime1
    )
    private var pending: [UInt8] = []
    private var total = 0

    /// A digest of nothing yet.
    public init() { pending.reserveCapacity(64) }

    /// The digest of `bytes`.
    public static func of(_ bytes: UnsafeRawBufferPointer) -> UInt64 {
        var digest = ContentDigest()
        digest.update(bytes)
        return digest.value
    }

    /// Adds bytes.
    public mutating func update(_ bytes: UnsafeRawBufferPointer) {
        total += bytes.count
        var index = 0
        if !pending.isEmpty {
            let missing = min(32 - pending.count, bytes.count)
            pending.append(contentsOf: bytes[0..<missing])
            index = missing
            guard pending.count == 32 else { return }
            let stripe = pending
            stripe.withUnsafeBytes { consume($0, at: 0) }
            pending.removeAll(keepingCapacity: true)
        }
        while index + 32 <= bytes.count {
            consume(bytes, at: index)
            index += 32
        }
        pending.append(contentsOf: bytes[index...])
    }

    /// Adds the bytes of a string, preceded by their number so that neighbours cannot run together.
    public mutating func update(_ text: String) {
        let bytes = Array(text.utf8)
        update(bytes.count)
        bytes.withUnsafeBytes { update($0) }
    }

    /// Adds an integer.
    public mutating func update(_ number: Int) {
        withUnsafeBytes(of: Int64(number).littleEndian) { update($0) }
    }

    /// The digest of everything added so far.
    public var value: UInt64 {
        var hash: UInt64
        if total >= 32 {
            hash = rotate(lanes.0, 1) &+ rotate(lanes.1, 7) &+ rotate(lanes.2, 12) &+ rotate(lanes.3, 18)
            for lane in [lanes.0, lanes.1, lanes.2, lanes.3] {
                hash = (hash ^ ContentDigest.round(0, lane)) &* ContentDigest.prime1 &+ ContentDigest.prime4
            }
        } else {
            hash = ContentDigest.prime5
        }
        hash &+= UInt64(total)
        return pending.withUnsafeBytes { finish(hash, $0) }
    }

    private func finish(_ start: UInt64, _ rest: UnsafeRawBufferPointer) -> UInt64 {
        var hash = start
        var index = 0
        while index + 8 <= rest.count {
            hash ^= ContentDigest.round(
                0, UInt64(littleEndian: rest.loadUnaligned(fromByteOffset: index, as: UInt64.self)))
            hash = rotate(hash, 27) &* ContentDigest.prime1 &+ ContentDigest.prime4
            index += 8
        }
        if index + 4 <= rest.count {
            let word = UInt32(littleEndian: rest.loadUnaligned(fromByteOffset: index, as: UInt32.self))
            hash ^= UInt64(word) &* ContentDigest.prime1
            hash = rotate(hash, 23) &* ContentDigest.prime2 &+ ContentDigest.prime3
            index += 4
        }
        while index < rest.count {
            hash ^= UInt64(rest[index]) &* ContentDigest.prime5
            hash = rotate(hash, 11) &* ContentDigest.prime1
            index += 1
        }
        hash = (hash ^ hash >> 33) &* ContentDigest.prime2
        hash = (hash ^ hash >> 29) &* ContentDigest.prime3
        return hash ^ hash >> 32
    }

    private mutating func consume(_ bytes: UnsafeRawBufferPointer, at index: Int) {
        func word(_ place: Int) -> UInt64 {
            UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: index + place * 8, as: UInt64.self))
        }
        lanes.0 = ContentDigest.round(lanes.0, word(0))
        lanes.1 = ContentDigest.round(lanes.1, word(1))
        lanes.2 = ContentDigest.round(lanes.2, word(2))
        lanes.3 = ContentDigest.round(lanes.3, word(3))
    }

    private static func round(_ lane: UInt64, _ word: UInt64) -> UInt64 {
        rotate(lane &+ word &* prime2, 31) &* prime1
    }
}

private func rotate(_ value: UInt64, _ count: UInt64) -> UInt64 { value << count | value >> (64 - count) }
