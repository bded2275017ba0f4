// Values as Python's str prints them, for model cards: None, True, 5e-05, {'a': 1}.

import TuttiGround

/// A value as Python's str prints it; inside lists and mappings, texts are in quotes.
package func pythonSpelling(of value: JSONValue) -> String {
    switch value {
    case .null: return "None"
    case .bool(let truth): return truth ? "True" : "False"
    case .integer(let number): return "\(number)"
    case .number(let number): return pythonSpelling(of: number)
    case .string(let text): return text
    case .array(let items): return "[\(items.map(pythonQuoted).joined(separator: ", "))]"
    case .object(let object):
        return
            "{\(object.map { "\(pythonQuoted(.string($0.key))): \(pythonQuoted($0.value))" }.joined(separator: ", "))}"
    }
}

private func pythonQuoted(_ value: JSONValue) -> String {
    value.string.map(pythonRepresentation) ?? pythonSpelling(of: value)
}

/// A text as Python's repr prints it: in quotes, what cannot be printed escaped.
package func pythonRepresentation(of text: String) -> String {
    let quote: Unicode.Scalar = text.unicodeScalars.contains("'") && !text.unicodeScalars.contains("\"") ? "\"" : "'"
    var result = String.UnicodeScalarView()
    result.append(quote)
    for scalar in text.unicodeScalars {
        switch scalar {
        case "\\": result.append(contentsOf: "\\\\".unicodeScalars)
        case quote:
            result.append("\\")
            result.append(scalar)
        case "\n": result.append(contentsOf: "\\n".unicodeScalars)
        case "\r": result.append(contentsOf: "\\r".unicodeScalars)
        case "\t": result.append(contentsOf: "\\t".unicodeScalars)
        case _ where isPrintable(scalar): result.append(scalar)
        default: result.append(contentsOf: escape(scalar).unicodeScalars)
        }
    }
    result.append(quote)
    return String(result)
}

/// Whether Python prints a character as it is: letters, marks, numbers, punctuation, symbols, and the blank.
private func isPrintable(_ scalar: Unicode.Scalar) -> Bool {
    switch scalar.properties.generalCategory {
    case .control, .format, .surrogate, .privateUse, .unassigned, .lineSeparator, .paragraphSeparator: return false
    case .spaceSeparator: return scalar == " "
    default: return true
    }
}

private func escape(_ scalar: Unicode.Scalar) -> String {
    let digits = String(scalar.value, radix: 16)
    let (letter, width) = scalar.value < 0x100 ? ("x", 2) : scalar.value < 0x10000 ? ("u", 4) : ("U", 8)
    return "\\\(letter)" + String(repeating: "0", count: width - digits.count) + digits
}
