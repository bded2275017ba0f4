// `tutti evaluators [NAME]`: the evaluators of a configuration, their data and options.

import ArgumentParser
import TuttiEvaluation
import TuttiFormats
import TuttiGround

struct EvaluatorsCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "evaluators", abstract: "List the evaluators with their data and options.")

    @Argument(help: ArgumentHelp("Show this evaluator in full.", valueName: "name"))
    var name: String?

    @Flag(help: "Print JSON: a list, or one object for NAME.")
    var json = false

    func run() throws {
        try CatalogueEntry.show(
            EvaluatorRegistry.all.map(CatalogueEntry.init), command: "evaluators", kind: "evaluator", name: name,
            json: json)
    }
}

extension CatalogueEntry {
    init(_ entry: EvaluatorEntry) {
        self.init(
            name: entry.name, summary: entry.summary, data: [entry.data],
            options: entry.options.map { Option($0) }
                + EvaluatorRegistry.commonOptions.map { Option($0, isCommon: true) })
        members["data"] = .string(entry.data)
    }
}
