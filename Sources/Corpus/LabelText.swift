// Labels in files: numbers, booleans, lists of numbers, or lists of such lists.

import TuttiFormats
import TuttiGround

enum LabelText {
    /// The label in a cell of text, or nil.
    static func parse(_ text: String) -> Label? {
        let trimmed = text.drop { $0 == " " }
        var end = trimmed.endIndex
        while end > trimmed.startIndex, trimmed[trimmed.index(before: end)] == " " { end = trimmed.index(before: end) }
        let core = String(trimmed[..<end])
        if let integer = Int(core) { return .integer(integer) }
        if let first = core.first, first.isNumber || "+-.".contains(first), let number = Double(core), number.isFinite,
            !core.lowercased().contains("x")
        {
            return .float(number)
        }
        switch core {
        case "True", "true": return .integer(1)
        case "False", "false": return .integer(0)
        default: break
        }
        guard core.first == "[" else { return nil }
        do throws(TuttiError) { return value(try JSONValue.parse(core)) } catch { return nil }
    }

    /// The label in a JSON value, or nil.
    static func value(_ value: JSONValue) -> Label? {
        switch value {
        case .integer(let number): return .integer(Int(number))
        case .number(let number): return number.isFinite ? .float(number) : nil
        case .bool(let flag): return .integer(flag ? 1 : 0)
        case .array(let elements):
            // A list of lists, such as one embedding per text column, is flattened.
            let rows = elements.compactMap(\.array)
            if !rows.isEmpty {
                guard rows.count == elements.count, rows.allSatisfy({ $0.count == rows[0].count }) else { return nil }
            }
            let flat = rows.isEmpty ? elements : Array(rows.joined())
            let numbers = flat.compactMap(\.double)
            return numbers.count == flat.count && numbers.allSatisfy(\.isFinite) ? .floats(numbers) : nil
        case .string(let text): return parse(text)  // as in a cell of CSV
        case .null, .object: return nil
        }
    }

    /// The error for an invalid label.
    static func error(_ text: String, name: String, place: String) -> TuttiError {
        let shown = text.count > 40 ? text.prefix(40) + "..." : text[...]
        return TuttiError(
            .data, "read labels", place,
            "the label '\(shown)' in column '\(name)' is not a number or a list of numbers",
            hint: "Map class names to whole numbers from 0, or exclude the column with columns:.")
    }
}
