// The section on data: the size of every data set, and for each column of texts how long they are, how many are cut, and how
// many an earlier row has too.

import TuttiGround

/// What a page says about data.
struct DataSection {
    /// The runs' names, and their data sets.
    let runs: [(name: String, datasets: [DataSummary])]

    /// The section; "" where nothing is known.
    var html: String {
        let known = runs.filter { !$0.datasets.isEmpty }
        guard !known.isEmpty else { return "" }
        let legend =
            "<p>Lengths are those that the model reads, without prompts. Cut: the share of texts that are longer than it "
            + "reads. Repeated: the share of texts that an earlier row has too.</p>"
        let tables = known.map { run in
            let tables = run.datasets.map(table).joined(separator: "\n")
            return runs.count > 1
                ? "<details><summary>\(run.name.escapedForXML)</summary>\(tables)</details>" : tables
        }
        return ([legend] + tables).joined(separator: "\n")
    }

    private func table(_ data: DataSummary) -> String {
        let rows = data.rows.map { "\($0) rows" } ?? "a stream, whose rows are not counted"
        var caption = "\(data.name), \(data.use): \(rows)"
        guard !data.columns.isEmpty else { return "<p>\(caption.escapedForXML)</p>" }
        if let all = data.rows, data.rowsMeasured < all {
            caption += "; lengths of the first \(data.rowsMeasured)"
            if data.rowsCompared < all { caption += ", repeated texts of the first \(data.rowsCompared)" }
        }
        return RunPage.table(
            ["column", "unit", "min", "mean", "max", "cut", "repeated"],
            data.columns.map { column in
                [
                    column.name, column.unit, "\(column.least)", LineChart.short(column.mean), "\(column.most)",
                    Self.percent(column.cutShare), Self.percent(column.repeatedShare),
                ]
            }, caption: caption)
    }

    private static func percent(_ share: Double) -> String { LineChart.short((share * 1000).rounded() / 10) + " %" }
}
