// Digest: SHA-256 of everything that decides a result, the only digest that is stored anywhere. It identifies runs, data sets and
// checkpoint files, and detects damaged or forged ones.
//
// Reference: FIPS 180-4. The compression function is C, for the processor's SHA instructions (CTuttiDigest).

import CTuttiDigest

/// A fast 64-bit fingerprint, to compare copies that should be equal; it identifies nothing for longer than a run.
package func fingerprint(_ bytes: UnsafeRawBufferPointer) -> UInt64 {
    guard let start = bytes.baseAddress else { return 0 }
    return tutti_fingerprint(start.assumingMemoryBound(to: UInt8.self), bytes.count)
}

/// Collects bytes and computes their SHA-256.
package struct Digest: Sendable {
    private var state: (UInt32, UInt32, UInt32, UInt32, UInt32, UInt32, UInt32, UInt32) = (
        0x6A09_E667, 0xBB67_AE85, 0x3C6E_F372, 0xA54F_F53A, 0x510E_527F, 0x9B05_688C, 0x1F83_D9AB, 0x5BE0_CD19
    )
    /// The bytes after the last whole block, fewer than 64.
    private var pending: [UInt8] = []
    private var total: UInt64 = 0

    private static let block = 64

    /// An empty digest.
    package init() { pending.reserveCapacity(2 * Digest.block) }

    /// Adds bytes.
    package mutating func update(_ bytes: UnsafeRawBufferPointer) {
        total += UInt64(bytes.count)
        var rest = bytes[...]
        if !pending.isEmpty {
            let missing = rest.prefix(Digest.block - pending.count)
            pending.append(contentsOf: missing)
            rest = rest.dropFirst(missing.count)
            guard pending.count == Digest.block else { return }
            let whole = pending
            whole.withUnsafeBytes { compress($0) }
            pending.removeAll(keepingCapacity: true)
        }
        let blocks = rest.count / Digest.block * Digest.block
        compress(UnsafeRawBufferPointer(rebasing: rest.prefix(blocks)))
        pending.append(contentsOf: rest.dropFirst(blocks))
    }

    /// Adds the bytes of a string, without its length.
    package mutating func update(utf8 text: String) {
        var text = text
        text.withUTF8 { update(UnsafeRawBufferPointer($0)) }
    }

    /// Adds the bytes of a string, preceded by their count, so that adjacent strings cannot merge.
    package mutating func update(_ text: String) {
        update(text.utf8.count)
        update(utf8: text)
    }

    /// Adds an integer, as eight bytes.
    package mutating func update(_ number: Int) {
        withUnsafeBytes(of: Int64(number).littleEndian) { update($0) }
    }

    /// The 32 bytes of the SHA-256 of everything added so far.
    package var bytes: [UInt8] {
        var last = self
        let bits = total &* 8
        var padding: [UInt8] = [0x80]
        padding += Array(repeating: 0, count: (Digest.block * 2 - 9 - pending.count) % Digest.block)
        for shift in stride(from: 56, through: 0, by: -8) { padding.append(UInt8(truncatingIfNeeded: bits >> shift)) }
        padding.withUnsafeBytes { last.update($0) }
        return withUnsafeBytes(of: last.state) { words in
            (0..<8).flatMap { word -> [UInt8] in
                let value = words.load(fromByteOffset: 4 * word, as: UInt32.self)
                return [24, 16, 8, 0].map { UInt8(truncatingIfNeeded: value >> $0) }
            }
        }
    }

    /// The SHA-256 of everything added so far, in 64 lower-case hexadecimal digits.
    package var hexadecimal: String {
        let digits = Array("0123456789abcdef".utf8)
        return String(decoding: bytes.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }, as: UTF8.self)
    }

    /// The first eight bytes of the SHA-256 as a number, for keys that are only compared.
    package var key: UInt64 { bytes.prefix(8).reduce(0) { $0 << 8 | UInt64($1) } }

    /// The digest of `bytes`.
    package static func of(_ bytes: UnsafeRawBufferPointer) -> Digest {
        var digest = Digest()
        digest.update(bytes)
        return digest
    }

    private mutating func compress(_ blocks: UnsafeRawBufferPointer) {
        guard let start = blocks.baseAddress, !blocks.isEmpty else { return }
        withUnsafeMutableBytes(of: &state) { words in
            guard let words = words.bindMemory(to: UInt32.self).baseAddress else { return }
            tutti_sha256_blocks(words, start.assumingMemoryBound(to: UInt8.self), blocks.count / Digest.block)
        }
    }
}

/// Hexadecimal SHA-256 of the UTF-8 of a text.
package func hexadecimalDigest(ofText text: String) -> String {
    var digest = Digest()
    digest.update(utf8: text)
    return digest.hexadecimal
}
