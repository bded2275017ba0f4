// The parts of a model card that tell of evaluation and training.

import Foundation
import TuttiFormats
import TuttiGround

/// The sections on evaluation and training of a card.
struct TrainingSections {
    let facts: ModelCardFacts

    /// One subsection an evaluation; evaluations that differ in their data only share a table.
    var evaluation: String {
        guard !facts.evaluations.isEmpty else { return "" }
        var groups: [[ModelCardFacts.Evaluation]] = []
        for evaluation in facts.evaluations {
            if let place = groups.firstIndex(where: { $0[0].isAlike(evaluation) }) {
                groups[place].append(evaluation)
            } else {
                groups.append([evaluation])
            }
        }
        return "## Evaluation\n\n### Metrics\n\n" + groups.map(evaluationSection).joined(separator: "\n\n")
    }

    private func evaluationSection(_ group: [ModelCardFacts.Evaluation]) -> String {
        let first = group[0]
        var lines = ["#### \(first.title)", ""]
        let names = group.map(\.dataset).filter { !$0.isEmpty }
        if !names.isEmpty {
            lines.append(
                "* Dataset\(names.count > 1 ? "s" : ""): \(names.map { "`\($0)`" }.joined(separator: " and "))")
        }
        lines.append(
            "* Evaluated with <code>\(first.className)</code>"
                + (first.configuration.isEmpty ? "" : " with these parameters:"))
        if !first.configuration.isEmpty { lines.append(jsonBlock(first.configuration)) }
        let header = ["Metric"] + (group.count == 1 ? ["Value"] : group.map(\.dataset))
        let rows = first.metrics.enumerated().map { place, metric in
            func bold(_ text: String) -> String { metric.key == first.primaryMetric ? "**\(text)**" : text }
            return [bold(metric.key)] + group.map { bold(rounded($0.metrics[place].value)) }
        }
        return (lines + ["", table(header, rows)]).joined(separator: "\n")
    }

    /// Data, arguments, log and versions.
    var training: String {
        var sections = ["## Training Details"]
        sections += datasetSections("Training", facts.trainDatasets)
        sections += datasetSections("Evaluation", facts.evalDatasets)
        if !facts.allArguments.isEmpty {
            sections.append("### Training Hyperparameters")
            if !facts.changedArguments.isEmpty {
                sections.append("#### Non-Default Hyperparameters\n\n" + list(facts.changedArguments))
            }
            sections.append(
                "#### All Hyperparameters\n<details><summary>Click to expand</summary>\n\n"
                    + "\(list(facts.allArguments))\n\n</details>"
            )
        }
        if !facts.log.isEmpty { sections.append(logSection) }
        sections.append(
            "### Framework Versions\n" + facts.versions.map { "- \($0.name): \($0.version)" }.joined(separator: "\n"))
        return sections.joined(separator: "\n\n")
    }

    private func datasetSections(_ kind: String, _ datasets: [ModelCardFacts.Dataset]) -> [String] {
        guard !datasets.isEmpty else { return [] }
        return ["### \(kind) Dataset\(datasets.count > 1 ? "s" : "")"]
            + datasets.map { dataset in
                var lines = ["#### \(dataset.name.isEmpty ? "Unnamed Dataset" : dataset.name)", ""]
                lines.append("* Size: \(grouped(dataset.rowCount)) \(kind.lowercased()) samples")
                lines.append("* Columns: \(dataset.columns.map { "<code>\($0)</code>" }.joined(separator: ", "))")
                lines.append(
                    "* Loss: <code>\(dataset.lossName)</code>"
                        + (dataset.lossOptions.isEmpty ? "" : " with these parameters:"))
                if !dataset.lossOptions.isEmpty { lines.append(jsonBlock(dataset.lossOptions)) }
                return lines.joined(separator: "\n")
            }
    }

    /// The table of training logs; the row of the kept weights is bold, long tables are folded.
    private var logSection: String {
        var columns: [String] = []
        for column in facts.log.flatMap({ $0.values.map(\.column) }) where !columns.contains(column) {
            columns.append(column)
        }
        func place(_ column: String) -> Int {
            ["Training Loss": 0, "Validation Loss": 1][column] ?? (column.hasSuffix("loss") ? 2 : 3)
        }
        columns = columns.enumerated().sorted { (place($0.element), $0.offset) < (place($1.element), $1.offset) }.map(
            \.element)
        let rows = facts.log.map { line in
            let cells =
                [rounded(line.epoch), "\(line.step)"]
                + columns.map { column in
                    line.values.last { $0.column == column }.map { rounded($0.value) } ?? "-"
                }
            return line.step == facts.bestStep ? cells.map { "**\($0)**" } : cells
        }
        let isLong = rows.count > 100
        var parts = ["### Training Logs"]
        if isLong { parts.append("<details><summary>Click to expand</summary>\n") }
        parts.append(table(["Epoch", "Step"] + columns, rows))
        if facts.log.contains(where: { $0.step == facts.bestStep }) {
            parts.append("\n* The bold row denotes the saved checkpoint.")
        }
        if isLong { parts.append("</details>") }
        return parts.joined(separator: "\n")
    }

    private func list(_ arguments: [(name: String, value: String)]) -> String {
        arguments.map { "- `\($0.name)`: \($0.value)" }.joined(separator: "\n")
    }

    private func jsonBlock(_ object: JSONObject) -> String {
        let text = "```json\n" + JSONValue.object(object).serialized(indent: 4) + "\n```"
        return text.split(separator: "\n").map { "  " + $0 }.joined(separator: "\n")
    }

    private func table(_ header: [String], _ rows: [[String]]) -> String {
        func line(_ cells: [String]) -> String { "| " + cells.joined(separator: " | ") + " |" }
        let rule = "|" + header.map { _ in ":---|" }.joined()
        return ([line(header), rule] + rows.map(line)).joined(separator: "\n")
    }

    /// Four digits after the point.
    private func rounded(_ value: Double) -> String {
        guard value.isFinite else { return value.isNaN ? "nan" : (value < 0 ? "-inf" : "inf") }
        return String(format: "%.4f", value)
    }

    /// An integer with commas between its thousands.
    private func grouped(_ number: Int) -> String {
        let digits = Array(String(number))
        return String(
            digits.enumerated().flatMap { place, digit -> [Character] in
                place > 0 && (digits.count - place) % 3 == 0 ? [",", digit] : [digit]
            })
    }
}

extension ModelCardFacts.Evaluation {
    /// True when the two can share a table.
    fileprivate func isAlike(_ other: ModelCardFacts.Evaluation) -> Bool {
        className == other.className && title == other.title && configuration == other.configuration
            && dataset != other.dataset && metrics.map(\.key) == other.metrics.map(\.key)
            && primaryMetric == other.primaryMetric
    }
}
