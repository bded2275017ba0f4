// `output_dir/metrics.csv`: the lines of a run as a table, for spreadsheets and data frames.
//
// A column a number: "step" and "epoch" first, then in the order in which they were first logged. A line without a number
// has an empty cell. A new number adds a column: the file is then written anew, whole or not at all.

import Foundation
import TuttiFormats
import TuttiGround

/// The table of a run's lines.
package final class CSVLog: Report {
    /// The file.
    package let path: String
    /// Names of the columns in the file; none before they are known.
    private var columns: [String] = []

    /// The table of the run that writes to `directory`.
    package init(directory: String) { path = directory + "/metrics.csv" }

    /// Its registry entry.
    static let entry = ReportEntry(name: "csv", summary: "output_dir/metrics.csv, a row a logged line") {
        CSVLog(directory: $0.outputDirectory)
    }

    /// Appends a row.
    package func logged(_ line: LogLine) throws {
        if columns.isEmpty { columns = try rows().first ?? [] }
        var cells = ["step": "\(line.step)"]
        for (key, value) in line.numbers { cells[key] = value.serialized() }
        let new = (["step"] + line.numbers.map(\.key)).filter { !columns.contains($0) }
        if !new.isEmpty { try widen(by: new) }
        try AppendedFile.append(csvLine(columns.map { cells[$0] ?? "" }) + "\n", to: path)
    }

    /// Drops every row after step `step`, that of an evaluation at `step` which is due, and an incomplete last row.
    package func rewind(to step: Int, evaluationIsDue: Bool) throws {
        let all = try rows()
        guard let header = all.first else { return }
        let point = RewindPoint(step, evaluationIsDue: evaluationIsDue)
        let kept = all.dropFirst().prefix { row in
            let cells = Dictionary(zip(header, row)) { first, _ in first }
            guard row.count == header.count, let lineStep = cells["step"].flatMap({ Int($0) }) else { return false }
            return point.keeps(step: lineStep) { !(cells[$0] ?? "").isEmpty }
        }
        try write(kept.isEmpty ? [] : [header] + kept)
        columns = []
    }

    /// Writes the file anew with more columns.
    private func widen(by new: [String]) throws {
        let rows = try rows()
        columns += new
        try write([columns] + rows.dropFirst().map { $0 + Array(repeating: "", count: columns.count - $0.count) })
    }

    private func write(_ rows: [[String]]) throws {
        try AtomicWrite.file(path: path, text: rows.map { csvLine($0) + "\n" }.joined())
    }

    /// The whole lines of the file, the header among them; none where there is no file.
    private func rows() throws(TuttiError) -> [[String]] {
        guard FileManager.default.fileExists(atPath: path) else { return [] }
        let file = try MappedFile(path: path)
        let end = file.bytes.lastIndex(of: UInt8(ascii: "\n")).map { $0 + 1 } ?? 0
        var parser = CSVParser(UnsafeRawBufferPointer(rebasing: file.bytes[..<end]), source: path)
        var record = CSVRecord()
        var rows: [[String]] = []
        while try parser.next(&record) { rows.append(record.fields) }
        return withExtendedLifetime(file) { rows }
    }
}
