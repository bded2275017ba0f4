// GitDigest: the names that the hub gives to contents, computed while they come.
//
// Large files are named by their SHA-256, small ones as git does: by the SHA-1 of "blob <size>", a zero byte, and the
// contents. Reference: FIPS 180-4; https://git-scm.com/book/en/v2/Git-Internals-Git-Objects.

import TuttiGround

/// Computes the name of contents, of the kind that `etag` is.
struct ContentDigest {
    private var large: Digest?
    private var small: SHA1?
    private let etag: String

    /// The digest that `etag` is of, for contents of `size` bytes; other etags are not checked.
    init(etag: String, size: Int) {
        self.etag = etag
        let isHexadecimal = etag.utf8.allSatisfy { (48...57).contains($0) || (97...102).contains($0) }
        if isHexadecimal, etag.utf8.count == 64 { large = Digest() }
        if isHexadecimal, etag.utf8.count == 40 { small = SHA1(blobOf: size) }
    }

    mutating func update(_ bytes: UnsafeRawBufferPointer) {
        large?.update(bytes)
        small?.update(bytes)
    }

    /// The digest, if it is not what the etag says.
    var mismatch: String? {
        guard let found = large?.hexadecimal ?? small?.hexadecimal, found != etag else { return nil }
        return found
    }
}

/// SHA-1, which only names contents here.
struct SHA1 {
    private var state: [UInt32] = [0x6745_2301, 0xEFCD_AB89, 0x98BA_DCFE, 0x1032_5476, 0xC3D2_E1F0]
    private var pending: [UInt8] = []
    private var total: UInt64 = 0

    init() {}

    /// That of git for a file of `size` bytes.
    init(blobOf size: Int) {
        let header = Array("blob \(size)\0".utf8)
        header.withUnsafeBytes { update($0) }
    }

    mutating func update(_ bytes: UnsafeRawBufferPointer) {
        total += UInt64(bytes.count)
        pending.append(contentsOf: bytes)
        let whole = pending.count / 64 * 64
        guard whole > 0 else { return }
        pending.withUnsafeBytes { all in
            for start in stride(from: 0, to: whole, by: 64) { SHA1.compress(&state, all, start) }
        }
        pending.removeFirst(whole)
    }

    /// The digest of everything added so far, in 40 lower-case hexadecimal digits.
    var hexadecimal: String {
        var last = self
        let bits = total &* 8
        var padding: [UInt8] = [0x80]
        padding += Array(repeating: 0, count: (119 - pending.count) % 64)
        for shift in stride(from: 56, through: 0, by: -8) { padding.append(UInt8(truncatingIfNeeded: bits >> shift)) }
        padding.withUnsafeBytes { last.update($0) }
        return last.state.map { word in
            let digits = String(word, radix: 16)
            return String(repeating: "0", count: 8 - digits.count) + digits
        }.joined()
    }

    private static func compress(_ state: inout [UInt32], _ bytes: UnsafeRawBufferPointer, _ start: Int) {
        func turned(_ x: UInt32, _ count: UInt32) -> UInt32 { x << count | x >> (32 - count) }
        var words = [UInt32](repeating: 0, count: 80)
        for place in 0..<16 {
            words[place] = UInt32(
                bigEndian: bytes.loadUnaligned(fromByteOffset: start + 4 * place, as: UInt32.self))
        }
        for place in 16..<80 {
            words[place] = turned(words[place - 3] ^ words[place - 8] ^ words[place - 14] ^ words[place - 16], 1)
        }
        var (a, b, c, d, e) = (state[0], state[1], state[2], state[3], state[4])
        for (place, word) in words.enumerated() {
            let (mixed, constant): (UInt32, UInt32) =
                switch place / 20 {
                case 0: (b & c | ~b & d, 0x5A82_7999)
                case 1: (b ^ c ^ d, 0x6ED9_EBA1)
                case 2: (b & c | b & d | c & d, 0x8F1B_BCDC)
                default: (b ^ c ^ d, 0xCA62_C1D6)
                }
            let next = turned(a, 5) &+ mixed &+ e &+ constant &+ word
            (a, b, c, d, e) = (next, a, turned(b, 30), c, d)
        }
        for (place, value) in [a, b, c, d, e].enumerated() { state[place] &+= value }
    }
}
