// SentencePiece's treatment of blanks: each becomes "▁", one is put before the text, and words start at each of them.
//
// Only U+0020 is a blank here; other white space stays. A text that starts with "▁" gets no second one. The scheme says
// which pieces get one: `always` each, `first` only what starts the input, `never` none.
// Reference: tokenizers/src/pre_tokenizers/metaspace.rs.

import TuttiGround

/// The Metaspace pre-tokenizer of tokenizer.json.
struct Metaspace: Sendable {
    /// Which pieces get a mark at their start.
    enum Scheme: String, Sendable, CaseIterable {
        case always, first, never
    }

    /// The UTF-8 of the mark, one code point.
    let mark: [UInt8]
    let scheme: Scheme
    /// Whether words end before each mark.
    let splits: Bool

    /// The pre-tokenizer described by `value`.
    ///
    /// Throws: `.data` for an unknown scheme, a mark that is not one character, or fields that contradict each other.
    init(_ value: JSONValue, _ place: TokenizerPlace) throws(TuttiError) {
        let text = try place.string(value, "replacement")
        guard text.unicodeScalars.count == 1 else {
            throw place.error(key: "pre_tokenizer.replacement", "'\(text)' is not one character")
        }
        mark = Array(text.utf8)
        let older = try place.optionalBool(value, "add_prefix_space")
        if let name = value["prepend_scheme"]?.string {
            guard let scheme = Scheme(rawValue: name) else {
                throw place.unknown("prepend_scheme", name, known: Scheme.allCases.map(\.rawValue))
            }
            guard older != false || scheme == .never else {
                throw place.error(
                    key: "pre_tokenizer.prepend_scheme", "is '\(name)', but add_prefix_space is false",
                    hint: "Remove add_prefix_space, which is the older name.")
            }
            self.scheme = scheme
        } else {
            scheme = older == false ? .never : .always
        }
        splits = try place.bool(value, "split", default: true)
    }

    /// Splits the words of `buffer`.
    func apply(to buffer: inout WordBuffer) {
        let mark = self.mark
        buffer.rewrite { bytes, word, text, startsInput in
            let startsMarked = bytes[word.lowerBound] == 0x20 || isMark(bytes, word.lowerBound, word.upperBound)
            if !startsMarked, scheme == .always || scheme == .first && startsInput {
                text.append(contentsOf: mark)
            }
            for position in word {
                if bytes[position] == 0x20 {
                    text.append(contentsOf: mark)
                } else {
                    text.append(bytes[position])
                }
            }
        }
        guard splits else { return }
        buffer.split { bytes, word, words, _ in
            var start = word.lowerBound
            var position = word.lowerBound
            while position < word.upperBound {
                if position > start, isMark(bytes, position, word.upperBound) {
                    words.append(start..<position)
                    start = position
                }
                position += 1
            }
            words.append(start..<word.upperBound)
        }
    }

    /// True if the mark is at `position` of `bytes[..<limit]`.
    @inline(__always)
    private func isMark(_ bytes: [UInt8], _ position: Int, _ limit: Int) -> Bool {
        bytes[position] == mark[0] && position + mark.count <= limit
            && bytes[position..<position + mark.count].elementsEqual(mark)
    }
}
