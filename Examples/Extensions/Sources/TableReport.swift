// A report written outside the package: the losses of training as a table for a spreadsheet.

import Foundation
import Tutti

/// Appends `step,loss` to losses.csv in the run's folder.
final class TableReport: Report {
    private let path: String

    init(_ context: ReportContext) { path = context.outputDirectory + "/losses.csv" }

    /// Keeps the lines up to `step`: a run that goes on from a checkpoint logs the later ones again.
    func rewind(to step: Int, evaluationIsDue: Bool) throws {
        guard FileManager.default.fileExists(atPath: path) else { return }
        let kept = try String(contentsOfFile: path, encoding: .utf8).split(separator: "\n").filter { line in
            (line.split(separator: ",").first.flatMap { Int($0) } ?? 0) <= step
        }
        try write(kept.joined(separator: "\n") + "\n")
    }

    func began(_ run: ReportedRun) throws {
        if !FileManager.default.fileExists(atPath: path) { try write("step,loss\n") }
    }

    func logged(_ line: LogLine) throws {
        guard line.kind == .training, let loss = line.values["loss"]?.double else { return }
        try write(try String(contentsOfFile: path, encoding: .utf8) + "\(line.step),\(loss)\n")
    }

    private func write(_ text: String) throws { try text.write(toFile: path, atomically: true, encoding: .utf8) }

    static let entry = ReportEntry(name: "table", summary: "losses.csv, a line a logged step") { TableReport($0) }
}
