// What a benchmark prints: a table for people, or one JSON object per result. Only rank zero prints.

import Foundation
import TuttiEnsemble
import TuttiFormats
import TuttiGround
import TuttiKernels

/// One column of a table.
struct BenchColumn {
    /// How a value is shown.
    enum Style {
        case text
        /// A number with this many digits after the decimal point.
        case number(Int)
        /// A fraction, as a percentage.
        case percent
        /// The minimum and maximum.
        case spread(Int)
    }

    let title: String
    let key: String
    let width: Int
    let style: Style

    init(_ title: String, _ key: String, _ width: Int, _ style: Style) {
        self.title = title
        self.key = key
        self.width = width
        self.style = style
    }

    /// The cell for a result; empty if the result has no such value.
    func cell(_ result: JSONObject) -> String {
        func fixed(_ number: Double, _ digits: Int) -> String { String(format: "%.\(digits)f", number) }
        switch style {
        case .text: return result[key].map { $0.string ?? $0.serialized() } ?? ""
        case .number(let digits): return result[key]?.double.map { fixed($0, digits) } ?? ""
        case .percent: return result[key]?.double.map { fixed(100 * $0, 1) + " %" } ?? ""
        case .spread(let digits):
            guard let least = result[key + "_min"]?.double, let most = result[key + "_max"]?.double else { return "" }
            return fixed(least, digits) + " ... " + fixed(most, digits)
        }
    }

    /// `cell` padded to the column's width: text left-aligned, numbers right-aligned.
    func padded(_ cell: String) -> String {
        let blanks = String(repeating: " ", count: max(0, width - cell.count))
        if case .text = style { return cell + blanks }
        return blanks + cell
    }
}

/// Writes results as they arrive.
final class BenchReport {
    private let bench: String
    /// Whether results are JSON objects.
    let isJSON: Bool
    private let ensemble: any Ensemble
    private var columns: [BenchColumn] = []

    /// - Parameter bench: the subcommand, a member of every JSON object.
    init(_ bench: String, json: Bool, ensemble: any Ensemble) {
        self.bench = bench
        isJSON = json
        self.ensemble = ensemble
    }

    /// Prints something that is not a result: to standard error if results are JSON.
    func note(_ text: String) throws {
        guard ensemble.isRoot else { return }
        if isJSON { Output.show(text + "\n", on: STDERR_FILENO) } else { try Output.line(text) }
    }

    /// Begins a table.
    func table(_ title: String, _ columns: [BenchColumn]) throws {
        self.columns = columns
        guard ensemble.isRoot, !isJSON else { return }
        try Output.line("\n\(title)")
        try Output.line(Self.line(columns.map { $0.padded($0.title) }))
    }

    /// Writes one result: a table row, or a JSON object that starts with ranks and threads.
    func add(_ kind: String, _ result: JSONObject) throws {
        guard ensemble.isRoot else { return }
        guard isJSON else { return try Output.line(Self.line(columns.map { $0.padded($0.cell(result)) })) }
        var object: JSONObject = ["bench": .string(bench), "kind": .string(kind)]
        object.set("ranks", ensemble.size)
        object.set("threads", Parallel.threads)
        for (key, value) in result { object[key] = value }
        try Output.line(JSONValue.object(object).serialized())
    }

    private static func line(_ cells: [String]) -> String {
        var text = cells.joined(separator: "  ")
        while text.last == " " { text.removeLast() }
        return text
    }
}
