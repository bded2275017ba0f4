// Text inside of HTML and SVG.

extension String {
    /// The text with what XML gives a meaning written as entities; control characters are left out.
    package var escapedForXML: String {
        unicodeScalars.reduce(into: "") { text, scalar in
            switch scalar {
            case "&": text += "&amp;"
            case "<": text += "&lt;"
            case ">": text += "&gt;"
            case "\"": text += "&quot;"
            case "\n", "\t": text += " "
            default: if scalar.value >= 32, scalar.value != 127 { text.unicodeScalars.append(scalar) }
            }
        }
    }
}
