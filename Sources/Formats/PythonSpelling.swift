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
    guard let text = value.string else { return pythonSpelling(of: value) }
    let escaped = text.replacing("\\", with: "\\\\").replacing("\n", with: "\\n")
    guard text.contains("'") else { return "'\(escaped)'" }
    return text.contains("\"") ? "'\(escaped.replacing("'", with: "\\'"))'" : "\"\(escaped)\""
}
