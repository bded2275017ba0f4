// ScalingReport: the files of a scaling benchmark: results.json, results.md, charts, and one page, index.html, that has
// everything in it and fetches nothing.

import Foundation
import TuttiFormats
import TuttiGround
import TuttiReports

/// Writes the report of a folder of measured worlds.
struct ScalingReport {
    private struct Table {
        let title: String
        let columns: [BenchColumn]
        let rows: [JSONObject]
    }

    private let folder: String
    private let analysis: ScalingAnalysis
    private let extrapolation: Extrapolation

    /// - Parameter folder: holds files of JSON lines that `tutti bench scale --json` printed.
    /// - Throws: exit 66 without such files, 65 if they hold no world.
    init(folder: String) throws {
        self.folder = folder
        let names: [String]
        do {
            names = try FileManager.default.contentsOfDirectory(atPath: folder)
        } catch {
            throw TuttiError(.missingFile, "read measured worlds", folder, "cannot be listed")
        }
        let files = names.filter { $0.hasSuffix(".jsonl") }.sorted()
        guard !files.isEmpty else {
            throw TuttiError(
                .missingFile, "read measured worlds", folder, "has no .jsonl file", hint: "launch/scaling makes them.")
        }
        let records = try files.flatMap { try WorldRecord.read(folder + "/" + $0) }
        analysis = try ScalingAnalysis(records, source: folder)
        extrapolation = Extrapolation(analysis.model, base: analysis.base)
    }

    /// Writes the files and returns their names.
    func write() throws -> [String] {
        let charts = self.charts
        var files = charts.map { (name: $0.name + ".svg", text: $0.chart.svg(standsAlone: true)) }
        files.append(("results.json", JSONValue.object(json).serialized(indent: 2) + "\n"))
        files.append(("results.md", markdown))
        files.append(("index.html", html(charts.map(\.chart))))
        for file in files { try AtomicWrite.file(path: folder + "/" + file.name, text: file.text) }
        return files.map(\.name)
    }

    private var json: JSONObject {
        var object = JSONObject()
        object["worlds"] = .array(analysis.worlds.map { .object($0.json) })
        object["parameters"] = .array(analysis.parameters.map { .object($0) })
        object["predictions"] = .array(analysis.predictions.map { .object($0) })
        object["assumptions"] = .array(extrapolation.assumptions.map { .string($0) })
        object["extrapolation"] = .array(extrapolation.steps.map { .object(ScalingAnalysis.object($0)) })
        return object
    }

    // MARK: Tables

    private var tables: [Table] {
        [
            Table(
                title: "Measured worlds (ranks x threads)", columns: ScalingAnalysis.worldColumns,
                rows: analysis.worlds.map(ScalingAnalysis.line)),
            Table(title: "Speed-up over the smallest world of a series", columns: Self.speedColumns, rows: speedups),
            Table(
                title: "Each world predicted by a model of the others", columns: ScalingAnalysis.predictionColumns,
                rows: analysis.predictions.map(ScalingAnalysis.shown)),
            Table(
                title: "Costs", columns: ScalingAnalysis.parameterColumns,
                rows: analysis.parameters.map(ScalingAnalysis.shown)),
            Table(
                title: "Extrapolation", columns: ScalingAnalysis.extrapolationColumns,
                rows: extrapolation.steps.map { ScalingAnalysis.shown(ScalingAnalysis.object($0)) }),
        ]
    }

    private static let speedColumns = [
        BenchColumn("series", "series", 30, .text), BenchColumn("ranks", "ranks", 6, .number(0)),
        BenchColumn("tokens/s", "tokens_per_second", 9, .number(0)),
        BenchColumn("speed-up", "speedup", 9, .number(2)), BenchColumn("efficiency", "efficiency", 10, .percent),
    ]

    /// Worlds that are compared: equal rows a rank, or equal rows of all ranks; only those with several ranks.
    private var seriesOfWorlds: [(name: String, worlds: [WorldRecord])] {
        var order: [String] = []
        var groups: [String: [WorldRecord]] = [:]
        func add(_ name: String, _ record: WorldRecord) {
            if groups[name] == nil { order.append(name) }
            groups[name, default: []].append(record)
        }
        for record in analysis.worlds {
            let threads = record.threads == 1 ? "" : " x \(record.threads) threads"
            add("weak, \(record.batchSize) rows a rank\(threads)", record)
            add("strong, \(record.batchSize * record.ranks) rows\(threads)", record)
        }
        return order.compactMap { name in groups[name].map { (name, $0) } }
            .filter { Set($0.worlds.map(\.ranks)).count > 1 }
    }

    private var speedups: [JSONObject] {
        seriesOfWorlds.flatMap { series -> [JSONObject] in
            guard let first = series.worlds.first else { return [] }
            return series.worlds.map { record in
                let speedup = record.world.tokensPerSecond / first.world.tokensPerSecond
                var line: JSONObject = ["series": .string(series.name)]
                line.set("ranks", record.ranks)
                line["tokens_per_second"] = .number(record.world.tokensPerSecond)
                line["speedup"] = .number(speedup)
                line["efficiency"] = .number(speedup * Double(first.ranks) / Double(record.ranks))
                return line
            }
        }
    }

    private var charts: [(name: String, chart: ScalingChart)] {
        let speed = seriesOfWorlds.flatMap { series -> [ScalingChart.Series] in
            guard let first = series.worlds.first else { return [] }
            let one = first.world.tokensPerSecond / Double(first.ranks)
            return [
                .init(name: series.name, points: series.worlds.map { (Double($0.ranks), $0.world.tokensPerSecond) }),
                .init(
                    name: "ideal", points: series.worlds.map { (Double($0.ranks), one * Double($0.ranks)) },
                    isDashed: true),
            ]
        }
        let names = ["efficiency", "contention", "communication", "balance", "rest"]
        let most = analysis.worlds.filter {
            $0.batchSize == analysis.base.batchSize && $0.threads == analysis.base.threads
        }
        let factors = names.enumerated().map { place, name in
            ScalingChart.Series(name: name, points: most.map { (Double($0.ranks), $0.factors[place].value) })
        }
        let steps = extrapolation.steps
        let networks = Extrapolation.rates.map { rate in
            ScalingChart.Series(
                name: "\(Int(rate)) Gbit/s",
                points: steps.filter { $0.network.gigabits == rate }.map { (Double($0.ranks), $0.efficiencyOverNode) })
        }
        return [
            ("throughput", ScalingChart("Tokens a second", x: "ranks", y: "tokens/s", isLogarithmic: false, speed)),
            (
                "efficiency",
                ScalingChart(
                    "Efficiency and its factors, \(analysis.base.batchSize) rows a rank", x: "ranks",
                    y: "of rank zero alone",
                    isLogarithmic: false, isPercent: true, factors)
            ),
            (
                "extrapolation",
                ScalingChart(
                    "Extrapolated efficiency, over one node", x: "ranks", y: "weak scaling, no overlap",
                    isPercent: true,
                    networks)
            ),
        ]
    }

    // MARK: Pages

    private var heading: String { "Scaling of Tutti" }

    private var setting: [String] {
        let facts = analysis.base.facts
        return [
            ("machine", "machine"), ("processor", "processor"), ("MPI", "mpi"), ("matrix products", "gemm"),
            ("model", "model"), ("data", "data"), ("loss", "loss"), ("exchange", "exchange"),
        ].compactMap { name, key in facts[key]?.string.map { "\(name): \($0)" } }
    }

    private var notes: [String] {
        [
            "Efficiency is tokens a second over those of as many ranks as rank zero alone reaches while the others sleep. "
                + "It is the product of contention (all ranks at once, exchanging nothing), communication (the rank "
                + "that waits least for the sum of gradients), balance (mean over greatest work of the ranks), and the rest "
                + "(a larger loss, a shared optimizer, noise).",
            "Oversubscribed worlds have less than a core a thread: what they lose says nothing about a machine with enough.",
        ]
    }

    private var markdown: String {
        var lines = ["# \(heading)", ""] + setting.map { "- \($0)" } + [""] + notes.flatMap { [$0, ""] }
        for table in tables where !table.rows.isEmpty {
            if table.title == "Extrapolation" {
                lines += ["Assumptions of the extrapolation:", ""] + extrapolation.assumptions.map { "- \($0)" } + [""]
            }
            lines += ["## \(table.title)", "", "| " + table.columns.map(\.title).joined(separator: " | ") + " |"]
            lines.append("|" + String(repeating: "---|", count: table.columns.count))
            lines += table.rows.map { row in
                "| " + table.columns.map { $0.cell(row).replacing("|", with: "\\|") }.joined(separator: " | ") + " |"
            }
            lines.append("")
        }
        return lines.joined(separator: "\n")
    }

    private func html(_ charts: [ScalingChart]) -> String {
        func list(_ items: [String]) -> String {
            "<ul>" + items.map { "<li>\($0.escapedForXML)</li>" }.joined() + "</ul>"
        }
        var lines = [
            "<!DOCTYPE html>", "<html lang=\"en\">", "<head><meta charset=\"utf-8\"/><title>\(heading)</title>",
            "<style>body{font-family:sans-serif;max-width:80em;margin:2em auto;padding:0 1em}table{border-collapse:collapse;margin:1em 0}"
                + "td,th{border:1px solid #ccc;padding:.25em .6em;text-align:right}td:first-child,th:first-child{text-align:left}</style></head>",
            "<body>", "<h1>\(heading)</h1>", list(setting),
        ]
        lines += notes.map { "<p>\($0.escapedForXML)</p>" } + charts.map { $0.svg(standsAlone: false) }
        for table in tables where !table.rows.isEmpty {
            lines.append("<h2>\(table.title.escapedForXML)</h2>")
            if table.title == "Extrapolation" { lines.append(list(extrapolation.assumptions)) }
            lines.append(
                "<table><thead><tr>" + table.columns.map { "<th>\($0.title.escapedForXML)</th>" }.joined()
                    + "</tr></thead><tbody>")
            lines += table.rows.map { row in
                "<tr>" + table.columns.map { "<td>\($0.cell(row).escapedForXML)</td>" }.joined() + "</tr>"
            }
            lines.append("</tbody></table>")
        }
        return (lines + ["</body>", "</html>"]).joined(separator: "\n") + "\n"
    }
}
