// The part of a model card that tells of training: data, hyperparameters, log, time, versions.
//
// Reference: format_training_logs and compute_dataset_metrics in sentence_transformers/base/model_card.py.

import TuttiFormats
import TuttiGround

/// The sections on training.
struct TrainingSections {
    let facts: ModelCardFacts

    /// All of them.
    var text: String {
        let sections = [
            "## Training Details", datasets("Training", facts.trainDatasets),
            datasets("Evaluation", facts.evalDatasets),
            hyperparameters, log, time,
            "### Framework Versions\n" + facts.versions.map { "- \($0.name): \($0.version)" }.joined(separator: "\n"),
        ]
        return sections.filter { !$0.isEmpty }.joined(separator: "\n\n")
    }

    // MARK: Data

    private func datasets(_ kind: String, _ datasets: [ModelCardFacts.Dataset]) -> String {
        guard !datasets.isEmpty else { return "" }
        let heading = "### \(kind) Dataset\(datasets.count > 1 ? "s" : "")\n"
        let blocks = datasets.map { block($0, kind: kind) }
        guard datasets.count > 3 else { return heading + "\n" + blocks.joined(separator: "\n\n") }
        return heading
            + zip(datasets, blocks).map { "<details><summary>\($0.heading)</summary>\n\n\($1)\n</details>" }
            .joined(separator: "\n")
    }

    private func block(_ dataset: ModelCardFacts.Dataset, kind: String) -> String {
        var lines = ["#### \(dataset.heading)", ""]
        if !dataset.name.isEmpty { lines.append("* Dataset: \(dataset.link)") }
        if let rows = dataset.rowCount {
            lines.append("* Size: \(CardNumber.grouped(rows)) \(kind.lowercased()) samples")
        }
        let columns = dataset.columns.map { "<code>\($0.name)</code>" }
        lines.append("* Columns: \(enumeration(columns, last: ", and "))")
        if let rows = dataset.rowCount, let first = dataset.columns.first, !first.examples.isEmpty {
            lines.append("* Approximate statistics based on the first \(min(rows, 100)) samples:")
            lines += statistics(of: dataset.columns).lines.map { "  " + $0 } + ["* Samples:"]
            let samples = MarkdownTable(
                header: dataset.columns.map(\.name),
                rows: first.examples.indices.map { row in dataset.columns.map { "<code>\($0.examples[row])</code>" } })
            lines += samples.lines.map { "  " + $0 }
        }
        lines += CardClass(dataset.lossName, in: .losses).lines("* Loss:", dataset.lossConfiguration)
        return lines.joined(separator: "\n")
    }

    private func statistics(of columns: [ModelCardFacts.Column]) -> MarkdownTable {
        func list(_ items: [(String, String)]) -> String {
            items.isEmpty
                ? "" : "<ul><li>" + items.map { "\($0.0): \($0.1)" }.joined(separator: "</li><li>") + "</li></ul>"
        }
        return MarkdownTable(
            header: [""] + columns.map(\.name),
            rows: [
                ["type"] + columns.map(\.type), ["modality"] + columns.map { $0.type == "string" ? "text" : "" },
                ["details"] + columns.map { list($0.details) },
            ])
    }

    // MARK: Hyperparameters

    private var hyperparameters: String {
        guard !facts.allArguments.isEmpty else { return "" }
        func list(_ arguments: [(name: String, value: String)]) -> String {
            arguments.map { "- `\($0.name)`: \($0.value)\n" }.joined()
        }
        let changed = list(facts.changedArguments)
        return "### Training Hyperparameters\n"
            + (changed.isEmpty ? "" : "#### Non-Default Hyperparameters\n\n\(changed)\n")
            + "#### All Hyperparameters\n<details><summary>Click to expand</summary>\n\n\(list(facts.allArguments))\n"
            + "</details>"
    }

    // MARK: Log and time

    /// The table of training logs; the row of the kept weights is bold, long tables are folded.
    private var log: String {
        guard !facts.log.isEmpty else { return "" }
        var columns: [String] = []
        for column in facts.log.flatMap({ $0.values.map(\.column) }) where !columns.contains(column) {
            columns.append(column)
        }
        func place(_ column: String) -> Int {
            ["Training Loss": 0, "Validation Loss": 1][column] ?? (column.hasSuffix("loss") ? 2 : 3)
        }
        columns = columns.enumerated().sorted { (place($0.element), $0.offset) < (place($1.element), $1.offset) }
            .map(\.element)
        let rows = facts.log.map { line in
            let isBest = line.step == facts.bestStep
            let cells = [line.epoch] + columns.map { column in line.values.last { $0.column == column }?.value }
            var texts = cells.map { $0.map { isBest ? CardNumber.rounded($0, digits: 4) : CardNumber.cell($0) } ?? "-" }
            texts.insert("\(line.step)", at: 1)
            if line.step < 0 { texts[0] = texts[1] }  // after training
            return isBest ? texts.map { "**\($0)**" } : texts
        }
        let table = MarkdownTable(header: ["Epoch", "Step"] + columns, rows: rows, isCentered: true)
        let hasBest = facts.log.contains { $0.step == facts.bestStep }
        let isLong = rows.count > 100
        return "### Training Logs\n" + (isLong ? "<details><summary>Click to expand</summary>\n\n" : "")
            + table.lines.map { $0 + "\n" }.joined()
            + (hasBest ? "\n* The bold row denotes the saved checkpoint." : "") + (isLong ? "\n</details>" : "")
    }

    private var time: String {
        guard let time = facts.time else { return "" }
        var lines = ["- **Training**: \(CardNumber.duration(time.total - time.evaluation))"]
        if time.evaluation > 0 {
            lines.append("- **Evaluation**: \(CardNumber.duration(time.evaluation))")
            lines.append("- **Total**: \(CardNumber.duration(time.total))")
        }
        return "### Training Time\n" + lines.joined(separator: "\n")
    }
}

extension ModelCardFacts.Dataset {
    /// Its name, or that it has none.
    fileprivate var heading: String { name.isEmpty ? "Unnamed Dataset" : name }

    /// Its name, with a link to where the hub has it.
    var link: String { id.isEmpty ? name : "[\(name)](https://huggingface.co/datasets/\(id))" }
}
