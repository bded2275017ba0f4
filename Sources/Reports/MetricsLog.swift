// `output_dir/metrics.jsonl`: one JSON object per line, appended by rank zero.
//
// A killed run may have logged steps after its newest checkpoint, or half a line. `rewind` truncates the file to the
// checkpoint, so that a resumed run's file equals that of an uninterrupted run.

import Foundation
import TuttiFormats
import TuttiGround

/// The append-only metrics file of a run.
package final class MetricsLog: Report {
    /// The file.
    package let path: String

    /// The metrics file of the run that writes to `directory`.
    package init(directory: String) { path = directory + "/metrics.jsonl" }

    /// Its registry entry. Every run has it.
    static let entry = ReportEntry(name: "metrics", summary: "output_dir/metrics.jsonl, one JSON object per line") {
        MetricsLog(directory: $0.outputDirectory)
    }

    /// Appends a line.
    package func logged(_ line: LogLine) throws {
        try AppendedFile.append(JSONValue.object(line.values).serialized() + "\n", to: path)
    }

    /// Drops every line after step `step`, that of an evaluation at `step` which is due, and an incomplete last line.
    package func rewind(to step: Int, evaluationIsDue: Bool) throws {
        guard let content = FileManager.default.contents(atPath: path) else { return }
        let point = RewindPoint(step, evaluationIsDue: evaluationIsDue)
        var kept = ""
        for line in String(decoding: content, as: UTF8.self).split(separator: "\n") {
            let parsed: JSONValue
            do { parsed = try JSONValue.parse(String(line), source: path) } catch { break }
            guard let object = parsed.object, let lineStep = object["step"]?.int,
                point.keeps(step: lineStep, has: { object[$0] != nil })
            else { break }
            kept += line + "\n"
        }
        try AtomicWrite.file(path: path, text: kept)
    }
}
