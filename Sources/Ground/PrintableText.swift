// Text for a terminal: text from files may contain escape codes that colour, erase or replace what a user sees.
//
// Control characters become \uXXXX, as in JSON strings, so that JSON stays valid. Line
// ends and tabs stay. C0, DEL, C1, and marks that change the writing direction (Unicode TR 36) count as control characters.

extension String {
    /// The string with control characters escaped; unchanged if it has none.
    package var printable: String {
        guard unicodeScalars.contains(where: \.isTerminalControl) else { return self }
        var text = ""
        for scalar in unicodeScalars {
            guard scalar.isTerminalControl else {
                text.unicodeScalars.append(scalar)
                continue
            }
            let digits = String(scalar.value, radix: 16)
            text += "\\u" + String(repeating: "0", count: max(0, 4 - digits.count)) + digits
        }
        return text
    }
}

extension Unicode.Scalar {
    /// True for scalars that a terminal interprets instead of showing.
    fileprivate var isTerminalControl: Bool {
        switch value {
        case 0x09, 0x0A: false
        case 0..<0x20, 0x7F...0x9F, 0x202A...0x202E, 0x2066...0x2069: true
        default: false
        }
    }
}
