// `tutti args [NAME]`: every key of the configuration, or the keys and sections that NAME means.

import ArgumentParser
import TuttiFormats
import TuttiGround

struct ArgsCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "args", abstract: "List the keys of the configuration with their types, defaults and meanings.",
        discussion: """
            Training arguments, data sets, losses, evaluators, optimizers, schedules and all else that a configuration \
            may hold. NAME is a key, wherever it occurs (learning_rate), a dotted path (train_dataset.filter, \
            TripletLoss.triplet_margin), or a section: a class (TripletLoss, TripletEvaluator), an optimizer (sgd), a \
            schedule (cosine), a model_type (bert), or a key with keys of its own (args, loss, evaluators).
            """)

    @Argument(help: ArgumentHelp("Show this key, wherever it occurs, or this section.", valueName: "name"))
    var name: String?

    @Flag(help: "Print a JSON list, an object a key.")
    var json = false

    @Flag(help: "Print the whole configuration reference as Markdown.")
    var markdown = false

    func validate() throws {
        guard !markdown || name == nil && !json else { throw ValidationError("--markdown takes no other argument") }
    }

    func run() throws {
        if markdown { return try Output.write(ConfigurationReference.page) }
        let sections = ConfigurationReference.sections
        guard let name else {
            return try json
                ? show(sections.flatMap(\.json)) : Output.write(sections.map(\.plain).joined(separator: "\n"))
        }
        let wanted = Self.withoutPlaces(name)
        let called = sections.filter { $0.isCalled(wanted) }
        let keys = sections.flatMap { section in
            section.keys.filter { section.isCalled(wanted, key: $0) }.map { (section: section, key: $0) }
        }
        guard !called.isEmpty || !keys.isEmpty else {
            throw TuttiError(
                .usage, "look up a key", name, "there is no such key or section",
                hint: nearestName(to: wanted, among: sections.flatMap(\.allNames)).map { "Did you mean '\($0)'?" }
                    ?? "`tutti args` lists them all.")
        }
        if json { return try show(keys.map { $0.section.json($0.key) } + called.flatMap(\.json)) }
        let table = CatalogueEntry.aligned(keys.map { [$0.section.address(of: $0.key)] + $0.key.cells })
        try Output.write(([table].filter { !$0.isEmpty } + called.map(\.plain)).joined(separator: "\n"))
    }

    private func show(_ list: [JSONValue]) throws(TuttiError) {
        try Output.write(JSONValue.array(list).serialized(indent: 2) + "\n")
    }

    /// A path without the places in lists, as messages name them: evaluators[0].path is evaluators.path.
    private static func withoutPlaces(_ path: String) -> String {
        var (text, isInside) = ("", false)
        for character in path {
            if character == "[" {
                isInside = true
            } else if character == "]" {
                isInside = false
            } else if !isInside {
                text.append(character)
            }
        }
        return text
    }
}
