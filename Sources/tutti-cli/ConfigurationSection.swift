// A part of the configuration: keys that are written in one place, or the values that a key takes. `tutti args` and
// docs/configuration.md are made of them.

import TuttiFormats
import TuttiGround

/// One key of the configuration.
struct ConfigurationKey {
    /// What becomes of a key that is given.
    enum Kind: String {
        case effective
        case withoutEffect = "no effect"
        case refused
        /// No key, but one of the values of a key.
        case value
    }

    var name: String
    var kind = Kind.effective
    /// The accepted values, in words.
    var words = ""
    /// The default as a configuration writes it; nil where there is none.
    var defaultValue: String?
    /// Whether a configuration must give it.
    var isRequired = false
    /// What it does, or why it does nothing.
    var meaning: String
    /// Whether each of the losses, or of the evaluators, has it: a section of its own lists it.
    var isCommon = false

    /// A key that a list of options describes.
    init(_ option: OptionDescription, isCommon: Bool = false) {
        name = option.name
        words = option.words
        defaultValue = option.defaultValue.map(ConfigurationReference.spelled)
        isRequired = option.isRequired
        meaning = option.meaning
        self.isCommon = isCommon
    }

    /// A key of an owner to whom nothing was given: `defaults`.
    init<Owner>(_ option: TuttiGround.Option<Owner>, _ defaults: Owner) {
        name = option.name
        words = option.words
        defaultValue = option.isRequired ? nil : ConfigurationReference.spelled(option.write(defaults))
        isRequired = option.isRequired
        meaning = option.meaning
    }

    /// A key without effect, a refused one, or a value.
    init(_ name: String, _ kind: Kind, _ meaning: String) {
        self.name = name
        self.kind = kind
        self.meaning = meaning
    }

    /// Accepted values, default and meaning, in words.
    var cells: [String] {
        kind == .effective ? [words, defaultValue ?? "required", meaning] : [kind.rawValue, "-", meaning]
    }
}

/// Keys of one place.
struct ConfigurationSection {
    /// Its heading; further names, by which it is found too.
    var title: String
    var names: [String] = []
    /// Where its keys are, dotted; none at the top level. The first is the usual one.
    var paths: [String] = []
    /// Its heading's level in the page.
    var level = 2
    /// What is said before the keys.
    var text = ""
    var keys: [ConfigurationKey] = []

    /// What stands before a key in lists: a name where several sections share a place.
    private var label: String { names.first ?? paths.first ?? "" }

    /// The key with where it is, as `args.seed` or `TripletLoss.triplet_margin`.
    func address(of key: ConfigurationKey) -> String { label.isEmpty ? key.name : "\(label).\(key.name)" }

    /// Whether `name` means the whole section.
    func isCalled(_ name: String) -> Bool { title == name || names.contains(name) || paths.contains(name) }

    /// Whether `name` means `key` of this section; one that all losses have only together with a loss.
    func isCalled(_ name: String, key: ConfigurationKey) -> Bool {
        if !key.isCommon, name == key.name || paths.contains(where: { "\($0).\(key.name)" == name }) { return true }
        return names.contains { "\($0).\(key.name)" == name }
    }

    /// Everything that finds the section or one of its keys.
    var allNames: [String] {
        [title] + names + paths + keys.map(\.name)
            + (names + paths).flatMap { prefix in keys.map { "\(prefix).\($0.name)" } }
    }

    /// The section as text for a terminal.
    var plain: String {
        let place = paths.isEmpty || paths.contains(title) ? "" : "  (\(paths.joined(separator: ", ")))"
        let rows = keys.map { ["  \($0.name)"] + $0.cells }
        return "\(title)\(place)\n" + (text.isEmpty ? "" : text.replacing("`", with: "") + "\n")
            + (rows.isEmpty ? "" : "\n" + CatalogueEntry.aligned(rows))
    }

    /// The section as Markdown.
    var markdown: String {
        let own = keys.filter { !$0.isCommon }
        func code(_ name: String) -> String { "`\(name)`" }
        let table =
            switch own.first?.kind {
            case nil: ""
            case .effective:
                Self.table(["key", "value", "default", "meaning"], own.map { [code($0.name)] + $0.cells })
            case .value: Self.table(["value", "meaning"], own.map { [code($0.name), $0.meaning] })
            case .withoutEffect, .refused: Self.table(["name", "why"], own.map { [code($0.name), $0.meaning] })
            }
        return "\n\(String(repeating: "#", count: level)) \(title)\n" + (text.isEmpty ? "" : "\n\(text)\n")
            + (table.isEmpty ? "" : "\n" + table)
    }

    /// The keys as JSON objects.
    var json: [JSONValue] { keys.map(json) }

    /// One key as a JSON object.
    func json(_ key: ConfigurationKey) -> JSONValue {
        .object([
            "section": .string(title), "path": .string(paths.first.map { "\($0).\(key.name)" } ?? key.name),
            "name": .string(key.name), "class": .string(key.kind.rawValue),
            "type": .string(key.words), "default": key.defaultValue.map { .string($0) } ?? .null,
            "required": .bool(key.isRequired), "meaning": .string(key.meaning),
        ])
    }

    private static func table(_ header: [String], _ rows: [[String]]) -> String {
        func line(_ cells: [String]) -> String {
            "| " + cells.map { $0.replacing("|", with: "\\|") }.joined(separator: " | ") + " |\n"
        }
        return line(header) + "|" + header.map { _ in " --- |" }.joined() + "\n" + rows.map(line).joined()
    }
}
