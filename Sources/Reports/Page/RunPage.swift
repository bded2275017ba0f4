// `report.html`: one page about a run, or about several side by side, that fetches nothing.
//
// What it says comes from a run's folder alone: metrics.jsonl, tutti_run.json, tutti_data.json and diagnosis/. So it can be made of a run
// that has been killed, that still trains, or that another machine has trained.

import TuttiFormats
import TuttiGround

/// A page about runs.
package struct RunPage {
    private let runs: [RunRecord]
    private let names: [String]
    private let comparison: RunComparison

    /// A page about `runs`; of one, or of several.
    package init(_ runs: [RunRecord]) {
        precondition(!runs.isEmpty, "RunPage: no runs")
        self.runs = runs
        let names = runs.map(\.name)
        self.names = Set(names).count == names.count ? names : runs.map(\.path)
        comparison = RunComparison(runs)
    }

    /// The page.
    package var html: String {
        let title = names.joined(separator: ", ")
        let sections = [
            ("glance", "At a glance", glance), ("training", "Training", Self.grid(trainingCharts)),
            ("evaluation", "Evaluation", evaluation), ("embeddings", "Embeddings", embeddings),
            ("speed", "Speed", Self.grid(speedCharts)),
            ("data", "Data", DataSection(runs: Array(zip(names, runs.map(\.datasets)))).html),
            ("configuration", "Configuration", configuration),
        ].filter { !$0.2.isEmpty }
        let links = sections.map { "<a href=\"#\($0.0)\">\($0.1)</a>" }.joined(separator: " ")
        let body = sections.map { "<section id=\"\($0.0)\"><h2>\($0.1)</h2>\n\($0.2)\n</section>" }
        return """
            <!DOCTYPE html>
            <html lang="en">
            <head>
            <meta charset="utf-8"/>
            <meta name="viewport" content="width=device-width, initial-scale=1"/>
            <title>\(title.escapedForXML) - Tutti</title>
            <style>
            \(PageStyle.css)
            </style>
            </head>
            <body>
            <header><h1>\(title.escapedForXML)</h1><nav aria-label="Sections">\(links)</nav></header>
            <main>
            \(body.joined(separator: "\n"))
            </main>
            <footer>Made by Tutti \(tuttiVersion) from metrics.jsonl, tutti_run.json, tutti_data.json and diagnosis/.</footer>
            </body>
            </html>

            """
    }

    // MARK: Sections

    private var glance: String {
        let rows = comparison.courses.map { row in
            [Self.words[row.name] ?? row.name] + row.values.map(Self.spelled)
        }
        let changes = comparison.differences.map { [$0.name] + $0.values.map(Self.spelled) }
        var text = Self.table([""] + names, rows, caption: runs.count > 1 ? "How far the runs came" : "How far it came")
        if runs.count > 1 {
            text +=
                changes.isEmpty
                ? "<p>Their configurations are equal.</p>"
                : Self.table(["key"] + names, changes, caption: "In what the configurations differ")
        }
        return text
    }

    private var evaluation: String {
        guard !comparison.metrics.isEmpty else { return "" }
        var text: String
        if runs.count > 1 {
            let rows = comparison.metrics.map { [$0.name] + $0.values.map(Self.spelled) }
            text = Self.table(["metric"] + names, rows, caption: "The best value of every metric")
        } else {
            let rows = comparison.metrics.map { row -> [String] in
                let points = points(runs[0].evaluations, row.name)
                let best = points.first { .number($0.value) == row.values[0].flatMap(\.double).map(JSONValue.number) }
                return [
                    row.name, points.first.map { LineChart.short($0.value) } ?? "-",
                    points.last.map { LineChart.short($0.value) } ?? "-", Self.spelled(row.values[0]),
                    best.map { "\($0.step)" } ?? "end",
                ]
            }
            text = Self.table(["metric", "first", "last", "best", "at step"], rows, caption: "Metrics")
        }
        let charts = comparison.metrics.compactMap { row in
            LineChart(
                row.name, unit: "",
                series(of: row.name) { $0.evaluations }.map { line in
                    var line = line
                    let isMore = largerIsBetter(row.name)
                    line.best = line.points.max { isMore ? $0.value < $1.value : $0.value > $1.value }?.step
                    return line
                })
        }
        text += Self.grid(Array(charts.prefix(Self.chartsOpen)))
        if charts.count > Self.chartsOpen {
            text += "<details><summary>\(charts.count - Self.chartsOpen) more metrics</summary>"
            text += Self.grid(Array(charts.dropFirst(Self.chartsOpen))) + "</details>"
        }
        return text
    }

    private var embeddings: String {
        EmbeddingSection(
            zip(names, runs).compactMap { name, run in run.diagnosis.map { (name, $0.sample, $0.diagnoses) } }
        )
        .html
    }

    private var configuration: String {
        zip(names, runs).map { name, run in
            let rows = RunComparison.flattened(run.configuration).map { [$0, Self.spelled($1)] }
            let table = Self.table(["key", "value"], rows, caption: runs.count > 1 ? name : "As it was given")
            return runs.count > 1
                ? "<details><summary>\(name.escapedForXML)</summary>\(table)</details>" : table
        }.joined(separator: "\n")
    }

    // MARK: Charts

    private static let chartsOpen = 12
    private static let words = [
        "status": "status", "steps": "steps", "epochs": "epochs", "last_loss": "last loss", "train_loss": "mean loss",
        "train_runtime": "seconds", "tokens_per_second": "tokens a second (median)",
    ]
    /// Members of training lines that are no parts of a loss.
    private static let notLosses: Set<String> = [
        "step", "epoch", "learning_rate", "grad_norm", "tokens", "tokens_per_second", "step_seconds", "seconds",
        "balance", "share_of_peak", "peak_memory",
    ]

    private var trainingCharts: [LineChart] {
        let parts = runs.flatMap { $0.training.last?.keys ?? [] }.filter { !Self.notLosses.contains($0) }
        var seen: Set<String> = []
        let losses = parts.filter { seen.insert($0).inserted }
        var charts: [LineChart?]
        if runs.count == 1 {
            charts = [
                LineChart(
                    "Loss", unit: "mean of the steps between two lines", losses.flatMap { training($0, named: $0) })
            ]
        } else {
            charts = losses.map { LineChart($0, unit: "mean of the steps between two lines", training($0)) }
        }
        charts += [
            LineChart("Gradient norm", unit: "before clipping", fromZero: true, training("grad_norm")),
            LineChart("Learning rate", unit: "", fromZero: true, training("learning_rate")),
        ]
        return charts.compactMap { $0 }
    }

    private var speedCharts: [LineChart] {
        var charts = [
            LineChart("Tokens a second", unit: "of all ranks", fromZero: true, training("tokens_per_second")),
            LineChart("Share of the FMA peak", unit: "of all ranks", fromZero: true, training("share_of_peak")),
            LineChart("Balance", unit: "mean over greatest work of the ranks", training("balance")),
        ]
        charts.append(
            LineChart("Memory", unit: "GB, the peak of the rank that has had most", fromZero: true, gigabytes))
        if runs.count == 1 {
            let phases = runs[0].training.last?["seconds"]?.object?.keys ?? []
            let lines = phases.map { phase in
                LineChart.Series(
                    name: phase,
                    points: runs[0].training.compactMap { line in
                        guard let step = line["step"]?.int, let value = line["seconds"]?[phase]?.double else {
                            return nil
                        }
                        return (step, value)
                    })
            }
            charts.append(LineChart("Phases of a step", unit: "seconds of rank zero", fromZero: true, lines))
        } else {
            charts.append(LineChart("Seconds a step", unit: "", fromZero: true, training("step_seconds")))
        }
        return charts.compactMap { $0 }
    }

    private var gigabytes: [LineChart.Series] {
        training("peak_memory").map { series in
            var series = series
            for place in series.points.indices { series.points[place].value /= 1e9 }
            return series
        }
    }

    /// The values of `key` in training lines, a series a run.
    private func training(_ key: String, named name: String? = nil) -> [LineChart.Series] {
        series(of: key, named: name) { $0.training }
    }

    private func series(
        of key: String, named name: String? = nil, _ lines: (RunRecord) -> [JSONObject]
    ) -> [LineChart.Series] {
        zip(names, runs).map { LineChart.Series(name: name ?? $0, points: points(lines($1), key)) }
    }

    private func points(_ lines: [JSONObject], _ key: String) -> [(step: Int, value: Double)] {
        lines.compactMap { line in
            guard let step = line["step"]?.int, let value = line[key]?.double else { return nil }
            return (step, value)
        }
    }

    // MARK: Pieces

    static func grid(_ charts: [LineChart]) -> String {
        charts.isEmpty ? "" : "<div class=\"grid-of-charts\">\n\(charts.map(\.html).joined(separator: "\n"))\n</div>"
    }

    static func table(_ head: [String], _ rows: [[String]], caption: String) -> String {
        let heads = head.map { $0.isEmpty ? "<td></td>" : "<th scope=\"col\">\($0.escapedForXML)</th>" }.joined()
        let body = rows.map { row in
            "<tr><th scope=\"row\">\((row.first ?? "").escapedForXML)</th>"
                + row.dropFirst().map { "<td>\($0.escapedForXML)</td>" }.joined() + "</tr>"
        }
        return
            "<div class=\"scroll\"><table><caption>\(caption.escapedForXML)</caption><thead><tr>\(heads)</tr></thead>"
            + "<tbody>\(body.joined(separator: "\n"))</tbody></table></div>"
    }

    private static func spelled(_ value: JSONValue?) -> String {
        guard let value else { return "-" }
        if case .number(let number) = value { return LineChart.short(number) }
        return value.string ?? value.serialized()
    }
}
