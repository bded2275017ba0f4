// What mining found, in numbers: the reference's table of scores, and how many candidates each option struck out.
//
// What: scores are counted once for every pair of a positive and a negative that the output holds; positives once each,
// with or without negatives. Median is the lower middle value as torch's, quantiles interpolate, the standard deviation
// is that of a sample.
//
// Where the reference differs: it counts repeated rows of the data set as missing labeled pairs, does not name
// min_score among the options to adjust, and its quantiles end at 16 million scores.
//
// Reference: sentence_transformers/util/hard_negatives.py (6.2), "Report some statistics".

import Foundation
import TuttiFormats
import TuttiGround

/// Mean, spread and quantiles of some scores.
struct ScoreSummary: Equatable {
    /// The lines of the table, in its order.
    static let names = ["mean", "median", "std", "min", "25%", "50%", "75%", "max"]
    /// Their values; without scores NaN, and infinities for the quantiles as in the reference.
    let values: [Double]
    let count: Int

    init(_ scores: [Float]) {
        count = scores.count
        guard !scores.isEmpty else {
            values = [.nan, .nan, .nan, .infinity, .infinity, .infinity, .infinity, -.infinity]
            return
        }
        let sorted = scores.sorted().map { Double($0) }
        let last = sorted.count - 1
        let mean = sorted.reduce(0, +) / Double(sorted.count)
        let squares = sorted.reduce(0) { $0 + ($1 - mean) * ($1 - mean) }
        func quantile(_ share: Double) -> Double {
            let place = share * Double(last)
            let below = Int(place)
            return sorted[below] + (place - Double(below)) * (sorted[min(below + 1, last)] - sorted[below])
        }
        values = [
            mean, sorted[last / 2], last > 0 ? (squares / Double(last)).squareRoot() : .nan, sorted[0],
            quantile(0.25), quantile(0.5), quantile(0.75), sorted[last],
        ]
    }
}

/// Collects scores while rows are written.
struct MiningStatistics {
    private let options: MiningOptions
    private let window: CandidateWindow
    private let pairs: MiningPairs
    private var positives: [Float] = []
    private var negatives: [Float] = []
    private var differences: [Float] = []
    /// Rows written.
    private(set) var rows = 0
    /// What each filter struck out.
    var skipped: [(filter: MiningFilter, count: Int)] = []

    init(_ options: MiningOptions, window: CandidateWindow, pairs: MiningPairs) {
        self.options = options
        self.window = window
        self.pairs = pairs
    }

    /// Counts one query of which `rows` rows were written.
    mutating func add(_ query: MinedQuery, rows: Int) {
        self.rows += rows
        positives += query.positives.map(\.score)
        guard rows > 0 else { return }
        for positive in query.positives {
            negatives += query.negatives.map(\.score)
            differences += query.negatives.map { positive.score - $0.score }
        }
    }

    /// The rows that would have been written if there had been negatives enough.
    private var possibleRows: Int {
        let pairCount = pairs.positives.count
        switch options.format {
        case .triplet: return pairCount * options.negatives
        case .tuple, .scoredTuple, .labeledList: return pairCount
        case .labeledPair: return pairs.queries.count * options.negatives + pairCount
        }
    }

    /// Candidates struck out by each filter, as a share of the candidates that it was shown.
    private var skippedShares: [(filter: MiningFilter, count: Int, share: Double)] {
        var shown = pairs.queries.count * window.depth
        return skipped.map { filter, count in
            defer { shown -= count }
            return (filter, count, Double(count) / Double(max(shown, 1)))
        }
    }

    /// What the reference prints, line by line.
    var lines: [String] {
        let summaries = [positives, negatives, differences].map(ScoreSummary.init)
        var lines = [MiningStatistics.line("Metric", ["Positive", "Negative", "Difference"])]
        lines.append(
            MiningStatistics.line("Count", [grouped(summaries[0].count), grouped(summaries[1].count), ""]))
        for (place, name) in ScoreSummary.names.enumerated() {
            lines.append(
                MiningStatistics.line(
                    name.prefix(1).uppercased() + name.dropFirst(),
                    summaries.map { String(format: "%.4f", $0.values[place]) }))
        }
        for (filter, count, share) in skippedShares where count > 0 {
            lines.append(
                "Skipped \(grouped(count)) potential negatives (\(percent(share))) due to the \(filter.rawValue) of "
                    + "\(filter.bound(options).map { pythonSpelling(of: $0) } ?? "").")
        }
        let missing = possibleRows - rows
        if missing > 0 {
            let names =
                ["range_max"] + (options.rangeMinimum > 0 ? ["range_min"] : []) + skipped.map(\.filter.rawValue)
            let list =
                names.count > 1 ? names.dropLast().joined(separator: ", ") + " and " + names[names.count - 1] : names[0]
            lines.append(
                "Could not find enough negatives for \(missing) samples "
                    + "(\(percent(Double(missing) / Double(possibleRows)))). Consider adjusting the \(list) "
                    + "parameter\(names.count > 1 ? "s" : "") if you'd like to find more valid negatives.")
        }
        return lines
    }

    /// The same as an object.
    var object: JSONObject {
        var object: JSONObject = [
            "rows": .integer(Int64(rows)), "queries": .integer(Int64(pairs.queries.count)),
            "documents": .integer(Int64(pairs.documents.count)),
            "range_max": .integer(Int64(window.ranks.upperBound)),
        ]
        for (name, scores) in [("positive", positives), ("negative", negatives), ("difference", differences)] {
            let summary = ScoreSummary(scores)
            var values: JSONObject = ["count": .integer(Int64(summary.count))]
            for (name, value) in zip(ScoreSummary.names, summary.values) { values.set(name, .number(value)) }
            object.set(name, .object(values))
        }
        var skips = JSONObject()
        for (filter, count, share) in skippedShares {
            skips.set(filter.rawValue, .object(["skipped": .integer(Int64(count)), "ratio": .number(share)]))
        }
        object.set("skipped", .object(skips))
        object.set("missing_samples", .integer(Int64(max(0, possibleRows - rows))))
        return object
    }

    private static func line(_ name: String, _ columns: [String]) -> String {
        let head = name.padding(toLength: max(6, name.count), withPad: " ", startingAt: 0)
        return ([head] + columns.map { String(repeating: " ", count: max(0, 14 - $0.count)) + $0 })
            .joined(separator: " ")
    }

    private func percent(_ share: Double) -> String { String(format: "%.2f%%", share * 100) }
}

/// A whole number with commas between groups of three digits.
func grouped(_ number: Int) -> String {
    var text = ""
    let digits = String(number.magnitude)
    for (place, digit) in digits.enumerated() {
        if place > 0, (digits.count - place) % 3 == 0 { text.append(",") }
        text.append(digit)
    }
    return (number < 0 ? "-" : "") + text
}
