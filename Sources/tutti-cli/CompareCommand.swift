// `tutti compare RUN RUN ...`: in what runs differ, and how they came out.

import ArgumentParser
import TuttiFormats
import TuttiGround
import TuttiReports

struct CompareCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "compare", abstract: "Show runs side by side: differences of their configurations, metrics.",
        discussion: """
            Of each metric the best value is shown: the least of a loss, the greatest of anything else. Unfinished runs \
            are shown as far as they have come.
            """)

    @Argument(help: ArgumentHelp("Output directories of two or more runs.", valueName: "run"))
    var runs: [String]

    @Flag(help: "Print one JSON object.")
    var json = false

    func validate() throws {
        guard runs.count > 1 else { throw ValidationError("a comparison needs two runs or more") }
    }

    func run() throws {
        var records: [RunRecord] = []
        for path in runs { records.append(try RunRecord(path: path)) }
        let comparison = RunComparison(records)
        let sections = [
            ("configuration", comparison.differences), ("metrics", comparison.metrics), ("course", comparison.courses),
        ]
        if json { return try Output.line(object(sections).serialized(indent: 2)) }
        let names = records.map(\.name)
        let titles = Set(names).count == names.count ? names : runs
        var text = ""
        for (title, rows) in sections {
            let cells = rows.map { row in [row.name] + row.values.map(spelled) }
            text +=
                rows.isEmpty
                ? "\(title): no difference\n\n" : CatalogueEntry.aligned([[title] + titles] + cells) + "\n"
        }
        try Output.write(String(text.dropLast()))
    }

    private func spelled(_ value: JSONValue?) -> String {
        guard let value else { return "-" }
        guard let number = value.double, value.int == nil else { return value.string ?? value.serialized() }
        return number.magnitude >= 1000 ? "\(number.rounded())" : "\((number * 1e6).rounded() / 1e6)"
    }

    private func object(_ sections: [(String, [RunComparison.Row])]) -> JSONValue {
        var all: JSONObject = ["runs": .array(runs.map { .string($0) })]
        for (title, rows) in sections {
            var members = JSONObject()
            for row in rows { members[row.name] = .array(row.values.map { $0 ?? .null }) }
            all[title] = .object(members)
        }
        return .object(all)
    }
}
