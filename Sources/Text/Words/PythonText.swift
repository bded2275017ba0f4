// What Python's str does to a text, where a tokenizer of words is written with it: split(), lower(), strip(punctuation).
//
// Reference: Objects/unicodeobject.c (_PyUnicode_IsWhitespace, do_lower with handle_capital_sigma), string.punctuation.

/// Texts as Python's str handles them.
package enum PythonText {
    /// str.split(): the words between white space.
    package static func words(of text: String) -> [Substring] {
        text.unicodeScalars.split { isSpace($0) }.map { Substring($0) }
    }

    /// str.lower(), with the sigma that ends a word.
    package static func lowered(_ text: String) -> String {
        text.utf8.allSatisfy { $0 < 0x80 } ? text.lowercased() : lowered(Array(text.unicodeScalars))
    }

    /// str.strip(string.punctuation), of UTF-8.
    static func stripped(_ word: ArraySlice<UInt8>) -> ArraySlice<UInt8> {
        var word = word
        while let first = word.first, isPunctuation(first) { word.removeFirst() }
        while let last = word.last, isPunctuation(last) { word.removeLast() }
        return word
    }

    /// str.isspace() of a character.
    package static func isSpace(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.value {
        case 0x1C...0x1F: true
        default: scalar.properties.isWhitespace
        }
    }

    private static func isPunctuation(_ byte: UInt8) -> Bool {
        switch byte {
        case 0x21...0x2F, 0x3A...0x40, 0x5B...0x60, 0x7B...0x7E: true
        default: false
        }
    }

    private static func lowered(_ scalars: [Unicode.Scalar]) -> String {
        var result = String.UnicodeScalarView()
        for (place, scalar) in scalars.enumerated() {
            if scalar == "\u{3A3}" {
                result.append(endsWord(scalars, at: place) ? "\u{3C2}" : "\u{3C3}")
            } else {
                result.append(contentsOf: scalar.properties.lowercaseMapping.unicodeScalars)
            }
        }
        return String(result)
    }

    /// Whether the letter at `place` has a letter with case before it and none behind it, accents and the like left out.
    private static func endsWord(_ scalars: [Unicode.Scalar], at place: Int) -> Bool {
        func hasCase(_ rest: some Sequence<Unicode.Scalar>) -> Bool {
            for scalar in rest where !scalar.properties.isCaseIgnorable { return scalar.properties.isCased }
            return false
        }
        return hasCase(scalars[..<place].reversed()) && !hasCase(scalars[(place + 1)...])
    }
}
