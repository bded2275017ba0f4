// The printable stand-ins of bytes in byte-level vocabularies: printable bytes are themselves, the others are the code
// points from U+0100 on, in rising order (a blank is "Ġ", a newline "Ċ").
// Reference: tokenizers/src/pre_tokenizers/byte_level.rs; GPT-2's bytes_to_unicode.

/// Bytes as printable characters.
enum ByteMap {
    /// The stand-in of each byte.
    static let standIns: [Character] = {
        var next: UInt32 = 0x100
        return (0..<256 as Range<UInt32>).map { byte in
            let isPrintable = (0x21...0x7E).contains(byte) || (0xA1...0xAC).contains(byte) || byte >= 0xAE
            if isPrintable { return Character(scalar(byte)) }
            next += 1
            return Character(scalar(next - 1))
        }
    }()

    /// The tokens of bytes with byte_fallback: "<0x00>" ... "<0xFF>".
    static let names: [String] = (0..<256).map { byte in
        let digits = String(byte, radix: 16, uppercase: true)
        return "<0x\(digits.count < 2 ? "0" : "")\(digits)>"
    }

    /// The UTF-8 of each stand-in.
    private static let encoded: [[UInt8]] = standIns.map { Array(String($0).utf8) }

    /// Appends the stand-ins of `bytes[range]` to `target`.
    static func append(_ bytes: [UInt8], _ range: Range<Int>, to target: inout [UInt8]) {
        let encoded = encoded
        for position in range { target.append(contentsOf: encoded[Int(bytes[position])]) }
    }

    private static func scalar(_ value: UInt32) -> Unicode.Scalar {
        Unicode.Scalar(value) ?? Unicode.Scalar(UInt8(truncatingIfNeeded: value))
    }
}
