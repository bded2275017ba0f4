// `tutti args [NAME]`: the training arguments, and the whole configuration reference as a page.

import ArgumentParser
import TuttiFormats
import TuttiGround
import TuttiTraining

struct ArgsCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "args", abstract: "List the training arguments with their types, defaults and meanings.",
        discussion: "Arguments without effect and refused arguments come last, with the reason.")

    @Argument(help: ArgumentHelp("Show this argument alone.", valueName: "name"))
    var name: String?

    @Flag(help: "Print JSON: a list, or one object for NAME.")
    var json = false

    @Flag(help: "Print the whole configuration reference as Markdown.")
    var markdown = false

    func validate() throws {
        guard !markdown || name == nil && !json else { throw ValidationError("--markdown takes no other argument") }
    }

    func run() throws {
        if markdown { return try Output.write(ConfigurationReference.page) }
        var entries = Self.entries
        if let name {
            guard let entry = entries.first(where: { $0.name == name }) else {
                throw TuttiError(
                    .usage, "look up an argument", name, "unknown argument",
                    hint: nearestName(to: name, among: entries.map(\.name)).map { "Did you mean '\($0)'?" }
                        ?? "`tutti args` lists them.")
            }
            entries = [entry]
        }
        if json {
            let list = entries.map { JSONValue.object($0.json) }
            return try Output.write((name == nil ? .array(list) : list[0]).serialized(indent: 2) + "\n")
        }
        try Output.write(
            CatalogueEntry.aligned(entries.map { [$0.name, $0.words, $0.defaultValue ?? "-", $0.meaning] }))
    }

    /// One listed argument.
    struct Entry {
        var name: String
        /// "effective", "no effect" or "refused".
        var kind: String
        var words: String
        /// The default as written in a configuration; nil for an argument without effect.
        var defaultValue: String?
        /// What it does, or why it does nothing.
        var meaning: String

        var json: JSONObject {
            [
                "name": .string(name), "class": .string(kind), "type": .string(words),
                "default": defaultValue.map { .string($0) } ?? .null, "meaning": .string(meaning),
            ]
        }
    }

    /// All arguments, those with an effect first.
    static let entries: [Entry] = {
        let defaults = TrainingArguments()
        let effective = TrainingArguments.options.options.map { option in
            Entry(
                name: option.name, kind: "effective", words: option.words,
                defaultValue: ConfigurationReference.spelled(option.write(defaults)), meaning: option.meaning)
        }
        func others(_ reasons: [String: String], _ kind: String) -> [Entry] {
            reasons.sorted { $0.key < $1.key }.map { Entry(name: $0.key, kind: kind, words: kind, meaning: $0.value) }
        }
        return effective + others(ArgumentKey.withoutMeaning, "no effect") + others(ArgumentKey.refused, "refused")
    }()
}
