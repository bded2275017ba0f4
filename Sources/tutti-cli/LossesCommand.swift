// `tutti losses [NAME]`: the losses of a configuration, their data and options.

import ArgumentParser
import TuttiFormats
import TuttiGround
import TuttiObjectives

struct LossesCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "losses", abstract: "List the losses with their data and options.")

    @Argument(help: ArgumentHelp("Show this loss in full.", valueName: "name"))
    var name: String?

    @Flag(help: "Print JSON: a list, or one object for NAME.")
    var json = false

    func run() throws {
        try CatalogueEntry.show(
            LossRegistry.all.map(CatalogueEntry.init), command: "losses", kind: "loss", name: name, json: json)
    }
}

extension CatalogueEntry {
    init(_ entry: LossEntry) {
        let data = entry.inputs.map { input in
            "\(input.words), \(input.label == .none ? "no label" : "label: \(input.label.words)")"
        }
        let own = Set(entry.options.map(\.name))
        var common = LossEntry.commonOptions.filter { !own.contains($0.name) }
        for place in common.indices where common[place].name == "mini_batch_size" {
            if let rows = entry.chunking?.rows { common[place].defaultValue = .integer(Int64(rows)) }
        }
        self.init(
            name: entry.name, summary: entry.summary, data: data.isEmpty ? ["that of the inner loss"] : data,
            options: entry.options.map { Option($0) } + common.map { Option($0, isCommon: true) },
            citation: entry.citation)
        members["inputs"] = .array(
            entry.inputs.map { input in
                .object([
                    "columns": .array(input.roles.map { .string($0) }), "repeats_last": .bool(input.repeatsLast),
                    "label": input.label == .none ? .null : .string(input.label.words),
                ])
            })
    }
}
