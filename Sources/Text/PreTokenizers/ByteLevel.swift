// The pre-tokenizer ByteLevel: perhaps a blank in front, GPT-2's words, and each byte as its printable stand-in.
// Reference: tokenizers/src/pre_tokenizers/byte_level.rs.

import TuttiGround

/// The pre-tokenizer ByteLevel; the normalizer of that name only maps bytes.
struct ByteLevel: Sendable {
    let addsPrefixSpace: Bool
    let usesRegex: Bool
    /// False if the model reads raw bytes.
    var mapsBytes = true

    /// The pre-tokenizer described by `value`.
    ///
    /// Throws: `.data` for a key of the wrong type.
    init(_ value: JSONValue, _ place: TokenizerPlace) throws(TuttiError) {
        addsPrefixSpace = try place.bool(value, "add_prefix_space", default: true)
        usesRegex = try place.bool(value, "use_regex", default: true)
    }

    /// True if the words can be other text than what they were split from.
    var rewrites: Bool { addsPrefixSpace || mapsBytes }

    /// Splits the words of `buffer`.
    func apply(to buffer: inout WordBuffer) {
        if addsPrefixSpace {
            buffer.rewrite { bytes, word, text, _ in
                if bytes[word.lowerBound] != UInt8(ascii: " ") { text.append(UInt8(ascii: " ")) }
                text.append(contentsOf: bytes[word])
            }
        }
        if usesRegex {
            buffer.split { bytes, word, words, _ in WordScanner.gpt2.split(bytes, word, into: &words) }
        }
        if mapsBytes { buffer.rewrite { bytes, word, text, _ in ByteMap.append(bytes, word, to: &text) } }
    }
}
