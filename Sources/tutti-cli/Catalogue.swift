// How `tutti losses` and `tutti evaluators` print their registries: a table of all entries, or one in full.

import TuttiFormats
import TuttiGround

/// One loss or evaluator with its data and options.
struct CatalogueEntry {
    /// One option, in words.
    struct Option {
        let description: OptionDescription
        /// Whether every entry of the registry takes it.
        let isCommon: Bool

        init(_ description: OptionDescription, isCommon: Bool = false) {
            self.description = description
            self.isCommon = isCommon
        }
    }

    var name: String
    var summary: String
    /// The data that it takes, one shape per line.
    var data: [String]
    var options: [Option]
    /// The same as JSON: members besides name, summary and options.
    var members = JSONObject()
    var citation = ""

    /// Prints all entries, or the one called `name`, as text or JSON.
    ///
    /// - Throws: exit 64 with the nearest name for an unknown one.
    static func show(
        _ entries: [CatalogueEntry], command: String, kind: String, name: String?, json: Bool
    ) throws(TuttiError) {
        guard let name else {
            let list = JSONValue.array(entries.map { .object($0.json) })
            return try Output.write(json ? list.serialized(indent: 2) + "\n" : table(entries, command: command))
        }
        guard let entry = entries.first(where: { $0.name == name }) else {
            throw TuttiError(
                .usage, "look up \(kind)", name, "unknown \(kind)",
                hint: TuttiError.hint(unknown: name, known: entries.map(\.name)))
        }
        try Output.write(json ? JSONValue.object(entry.json).serialized(indent: 2) + "\n" : entry.text)
    }

    private static func table(_ entries: [CatalogueEntry], command: String) -> String {
        let rows = entries.flatMap { entry in
            entry.data.enumerated().map { place, data in [place == 0 ? entry.name : "", data] }
        }
        return aligned(rows) + "\n`tutti \(command) NAME` shows its options and what they mean.\n"
    }

    /// Everything about the entry.
    private var text: String {
        var text = "\(name): \(summary).\n\nData\n" + data.map { "  \($0)\n" }.joined()
        for (title, common) in [("Options", false), ("Options common to all", true)] {
            let rows = options.filter { $0.isCommon == common }.map { option in
                ["  \(option.description.name)"] + option.cells
            }
            if !rows.isEmpty { text += "\n\(title)\n" + Self.aligned(rows) }
        }
        if !citation.isEmpty { text += "\nCitation\n" + citation + (citation.hasSuffix("\n") ? "" : "\n") }
        return text
    }

    private var json: JSONObject {
        var object: JSONObject = ["name": .string(name), "summary": .string(summary)]
        for (key, value) in members { object[key] = value }
        object["options"] = .array(
            options.map { option in
                let described = option.description
                return .object([
                    "name": .string(described.name), "type": .string(described.words),
                    "default": described.defaultValue ?? .null, "required": .bool(described.isRequired),
                    "meaning": .string(described.meaning), "common": .bool(option.isCommon),
                ])
            })
        if !citation.isEmpty { object["citation"] = .string(citation) }
        return object
    }

    /// Rows of cells; all columns but the last are padded.
    static func aligned(_ rows: [[String]]) -> String {
        let count = rows.map(\.count).max() ?? 0
        let widths = (0..<count).map { column in rows.map { $0[column].count }.max() ?? 0 }
        return rows.map { row in
            row.enumerated().map { column, cell in
                column == count - 1 ? cell : cell + String(repeating: " ", count: widths[column] - cell.count)
            }.joined(separator: "  ") + "\n"
        }.joined()
    }
}

extension CatalogueEntry.Option {
    /// What it takes, its default and its meaning, in words.
    var cells: [String] {
        let value = description.defaultValue.map(ConfigurationReference.spelled) ?? "required"
        return [description.words, value, description.meaning]
    }
}
