// SHA-256 against FIPS 180-4's and NIST's vectors, with and without the processor's instructions.

import CTuttiDigest
import Testing
import TuttiGround

@Suite struct DigestTests {
    private func digest(_ text: String, pieces: Int = .max) -> Digest {
        var digest = Digest()
        var rest = Array(text.utf8)[...]
        while !rest.isEmpty {
            Array(rest.prefix(pieces)).withUnsafeBytes { digest.update($0) }
            rest = rest.dropFirst(pieces)
        }
        return digest
    }

    @Test func knownAnswers() {
        let answers = [
            ("", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
            ("abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
            (
                "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
                "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"
            ),
            (
                "abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmnhijklmnoijklmnopjklmnopqklmnopqrlmnopqrsmnopqrstnopqrstu",
                "cf5b16a778af8380036ce59e7b0492370b249b11e8f07a51afac45037afee9d1"
            ),
            (
                String(repeating: "a", count: 1_000_000),
                "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"
            ),
        ]
        for (text, answer) in answers { #expect(digest(text).hexadecimal == answer) }
        #expect(digest("abc").key == 0xBA78_16BF_8F01_CFEA)
    }

    /// Every length around a block's end, in pieces of every awkward size.
    @Test func piecesDoNotMatter() {
        for count in 0...200 {
            let text = String(repeating: "x", count: count)
            let whole = digest(text).hexadecimal
            for pieces in [1, 3, 55, 56, 63, 64, 65, 100] {
                #expect(digest(text, pieces: pieces).hexadecimal == whole, "\(count) bytes in pieces of \(pieces)")
            }
            #expect(digest(text + "y").hexadecimal != digest(text + "z").hexadecimal)
        }
    }

    @Test func theInstructionsGiveWhatPlainCGives() {
        let bytes = (0..<64 * 9).map { UInt8(truncatingIfNeeded: $0 &* $0 &+ $0 >> 3) }
        for blocks in 0...9 {
            var fast: [UInt32] = Array(1...8), plain: [UInt32] = Array(1...8)
            tutti_sha256_blocks(&fast, bytes, blocks)
            tutti_sha256_blocks_portable(&plain, bytes, blocks)
            #expect(fast == plain)
        }
    }

    @Test func countedStringsDoNotRunTogether() {
        func digest(_ parts: [String]) -> String {
            var digest = Digest()
            for part in parts { digest.update(part) }
            return digest.hexadecimal
        }
        #expect(digest(["ab", "c"]) != digest(["a", "bc"]))
        #expect(digest([]) != digest([""]))
    }
}
