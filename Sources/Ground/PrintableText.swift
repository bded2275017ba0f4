// Text for a terminal: what comes from files may hold escape codes that colour, erase or rename what a user sees.
//
// Control characters become \uXXXX, which is also how JSON spells them inside strings, so that JSON stays JSON. Line
// ends and tabs stay. C0, DEL, C1, and the marks that turn the direction of writing (Unicode TR 36) are controls here.

extension String {
    /// The string with control characters spelled out; itself where it has none.
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
    /// True for what a terminal obeys instead of showing it.
    fileprivate var isTerminalControl: Bool {
        switch value {
        case 0x09, 0x0A: false
        case 0..<0x20, 0x7F...0x9F, 0x202A...0x202E, 0x2066...0x2069: true
        default: false
        }
    }
}
