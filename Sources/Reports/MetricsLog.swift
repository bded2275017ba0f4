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
        let line = Array((JSONValue.object(line.values).serialized() + "\n").utf8)
        let descriptor = open(path, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else { throw failure("opened") }
        defer { close(descriptor) }
        let written = line.withUnsafeBytes { write(descriptor, $0.baseAddress, $0.count) }
        guard written == line.count else { throw failure("written") }
    }

    /// Drops every line after step `step`, that of an evaluation at `step` which is due, and an incomplete last line.
    package func rewind(to step: Int, evaluationIsDue: Bool) throws {
        guard let content = FileManager.default.contents(atPath: path) else { return }
        var kept = ""
        for line in String(decoding: content, as: UTF8.self).split(separator: "\n") {
            let parsed: JSONValue
            do { parsed = try JSONValue.parse(String(line), source: path) } catch { break }
            guard let object = parsed.object, let lineStep = object["step"]?.int, lineStep <= step else { break }
            if object["train_runtime"] != nil { break }  // the closing line of an earlier run
            if evaluationIsDue, lineStep == step, object["learning_rate"] == nil { break }  // not a training line
            kept += line + "\n"
        }
        try AtomicWrite.file(path: path, text: kept)
    }

    private func failure(_ verb: String) -> TuttiError {
        TuttiError(
            .retryable, "log metrics", path, "cannot be \(verb): \(String(cString: strerror(errno)))",
            hint: "Free space or fix the directory's permissions, then run the same command again: it resumes.")
    }
}
