// The section on embeddings: how the model places a sample of its pairs, before training, in between and at the end, with the
// texts of the rows that changed most and of the pairs that may be labelled wrongly, for people to read.

import Foundation
import TuttiFormats
import TuttiGround

/// What a page says about embeddings.
struct EmbeddingSection {
    private let runs: [(name: String, sample: DiagnosisSample, diagnoses: [ContrastiveDiagnosis])]
    private static let changesShown = 5, doubtsShown = 15, binsPerUnit = 20

    /// Of runs with diagnoses.
    init(_ runs: [(name: String, sample: DiagnosisSample, diagnoses: [ContrastiveDiagnosis])]) {
        self.runs = runs.filter { !$0.diagnoses.isEmpty }
    }

    /// The section; "" without diagnoses.
    var html: String {
        guard let first = runs.first else { return "" }
        if runs.count > 1 { return RunPage.grid(charts) }
        let (sample, diagnoses) = (first.sample, first.diagnoses)
        let rows = "\(sample.anchors.count) rows of \(sample.source), \(sample.candidates.count) candidates for each"
        var parts = [
            "<p>\(rows.escapedForXML). Alignment is the mean squared distance of an anchor and its positive; uniformity the "
                + "logarithm of the mean Gaussian potential of all texts, lower where they are spread more evenly.</p>",
            summary(diagnoses), RunPage.grid(charts),
        ]
        if let last = diagnoses.last, diagnoses.count > 1 { parts.append(changes(sample, diagnoses[0], last)) }
        if let last = diagnoses.last { parts.append(doubts(sample, last)) }
        return parts.filter { !$0.isEmpty }.joined(separator: "\n")
    }

    // MARK: Numbers

    private static let measures: [(name: String, value: @Sendable (ContrastiveDiagnosis) -> Double)] = [
        ("positive comes first (share of rows)", \.accuracy), ("mean reciprocal rank", \.meanReciprocalRank),
        ("cosine of positives (mean)", \.meanSimilarity), ("cosine of hardest negatives (mean)", \.meanHardest),
        ("alignment", \.alignment), ("uniformity", \.uniformity),
    ]

    private func summary(_ diagnoses: [ContrastiveDiagnosis]) -> String {
        let shown = diagnoses.count > 1 ? [diagnoses[0], diagnoses[diagnoses.count - 1]] : diagnoses
        let rows = Self.measures.map { measure in
            [measure.name] + shown.map { LineChart.short(measure.value($0)) }
        }
        let heads = shown.map { $0.isFinal ? "final (step \($0.step))" : "step \($0.step)" }
        return RunPage.table([""] + heads, rows, caption: "Before and after")
    }

    private var charts: [LineChart] {
        func lines(_ name: String?, _ value: (ContrastiveDiagnosis) -> Double) -> [LineChart.Series] {
            runs.map { run in
                LineChart.Series(
                    name: name ?? run.name,
                    // The final model is that of a step, which may have been diagnosed.
                    points: run.diagnoses.filter {
                        !$0.isFinal || $0.step > (run.diagnoses.dropLast().last?.step ?? -1)
                    }
                    .map { ($0.step, value($0)) })
            }
        }
        var charts: [LineChart?]
        if runs.count == 1 {
            charts = [
                LineChart(
                    "Similarity", unit: "mean cosine",
                    lines("positives", \.meanSimilarity) + lines("hardest negatives", \.meanHardest)),
                LineChart(
                    "Rank of the positive", unit: "among all candidates", fromZero: true,
                    lines("comes first (share of rows)", \.accuracy)
                        + lines("mean reciprocal rank", \.meanReciprocalRank)),
            ]
        } else {
            charts = [
                LineChart("Positive comes first", unit: "share of rows", fromZero: true, lines(nil, \.accuracy)),
                LineChart("Cosine of positives", unit: "mean", lines(nil, \.meanSimilarity)),
                LineChart("Cosine of hardest negatives", unit: "mean", lines(nil, \.meanHardest)),
            ]
        }
        charts += [
            LineChart("Alignment", unit: "", fromZero: true, lines(runs.count == 1 ? "alignment" : nil, \.alignment)),
            LineChart("Uniformity", unit: "", lines(runs.count == 1 ? "uniformity" : nil, \.uniformity)),
        ]
        if runs.count == 1, let first = runs[0].diagnoses.first {
            charts.append(distribution("Cosines before training", first))
            if let last = runs[0].diagnoses.dropFirst().last {
                charts.append(distribution("Cosines of the last diagnosis", last))
            }
        }
        return charts.compactMap { $0 }
    }

    /// How the cosines of positives and of hardest negatives are distributed.
    private func distribution(_ title: String, _ diagnosis: ContrastiveDiagnosis) -> LineChart? {
        func shares(_ name: String, _ values: [Double]) -> LineChart.Series {
            var counts: [Int: Int] = [:]
            for value in values { counts[Int((value * Double(Self.binsPerUnit)).rounded()), default: 0] += 1 }
            let places = (counts.keys.min() ?? 0) - 1...(counts.keys.max() ?? 0) + 1
            return LineChart.Series(
                name: name, points: places.map { ($0, Double(counts[$0] ?? 0) / Double(max(1, values.count))) })
        }
        var chart = LineChart(
            title, unit: "share of rows by their cosine", fromZero: true,
            [shares("positives", diagnosis.similarities), shares("hardest negatives", diagnosis.hardest)])
        chart?.places = ("cosine", 1 / Double(Self.binsPerUnit))
        return chart
    }

    // MARK: Texts

    /// The rows whose positive has risen or fallen most among the candidates.
    private func changes(_ sample: DiagnosisSample, _ before: ContrastiveDiagnosis, _ after: ContrastiveDiagnosis)
        -> String
    {
        // A rank counts by its reciprocal: from 2 to 1 is more than from 90 to 80.
        let gains = sample.anchors.indices.map { 1 / Double(after.ranks[$0]) - 1 / Double(before.ranks[$0]) }
        func table(_ caption: String, _ rows: [Int]) -> String {
            guard !rows.isEmpty else { return "" }
            return RunPage.table(
                ["anchor", "positive", "rank before", "after", "cosine before", "after"],
                rows.map { row in
                    [
                        DiagnosisSample.shortened(sample.anchors[row]),
                        DiagnosisSample.shortened(sample.candidates[sample.positives[row]]), "\(before.ranks[row])",
                        "\(after.ranks[row])", LineChart.short(before.similarities[row]),
                        LineChart.short(after.similarities[row]),
                    ]
                }, caption: caption)
        }
        let order = gains.indices.sorted { gains[$0] > gains[$1] }
        let risen = order.prefix(Self.changesShown).filter { gains[$0] > 0 }
        let fallen = order.reversed().prefix(Self.changesShown).filter { gains[$0] < 0 }
        return table("Examples that improved most", Array(risen)) + table("Examples that got worse", Array(fallen))
    }

    /// The pairs that may be false negatives.
    private func doubts(_ sample: DiagnosisSample, _ diagnosis: ContrastiveDiagnosis) -> String {
        let shown = diagnosis.doubts.prefix(Self.doubtsShown)
        guard !shown.isEmpty else { return "" }
        let rows = shown.map { doubt in
            [
                DiagnosisSample.shortened(sample.anchors[doubt.row]), sample.candidates[doubt.candidate],
                LineChart.short(doubt.similarity), sample.candidates[sample.positives[doubt.row]],
                LineChart.short(diagnosis.similarities[doubt.row]),
            ]
        }
        return RunPage.table(
            ["anchor", "nearer than its positive", "cosine", "positive", "cosine"], rows,
            caption: "Pairs in doubt: is the negative a false one?")
    }
}
