// A run as its output directory tells it, whether it is finished or not: configuration and logged lines.

import Foundation
import TuttiFormats
import TuttiGround

/// What is recorded of a run.
package struct RunRecord: Sendable {
    /// Its output directory, as given.
    package let path: String
    /// "running" or "finished".
    package let status: String
    /// The configuration that decides its result.
    package let configuration: JSONValue
    /// Lines of metrics.jsonl, in their order: those of steps, of evaluations, and the closing one.
    package let training, evaluations: [JSONObject]
    package let closing: JSONObject?
    /// How the model placed a sample of its pairs, in the order of the run; nil where nothing was diagnosed.
    let diagnosis: (sample: DiagnosisSample, diagnoses: [ContrastiveDiagnosis])?

    /// Reads the run in `path`.
    ///
    /// - Throws: `.missingFile` where there is none; `.data` naming the file for one that cannot be read.
    package init(path: String) throws(TuttiError) {
        self.path = path
        let file = path + "/tutti_run.json"
        guard FileManager.default.fileExists(atPath: file) else {
            throw TuttiError(
                .missingFile, "read a run", file, "no such file", hint: "Give the output_dir of a run of `tutti train`."
            )
        }
        let object = try JSONValue.parse(file: file).object ?? JSONObject()
        status = object["status"]?.string ?? "unknown"
        diagnosis = try DiagnosisFiles.read(in: path)
        configuration = object["configuration"] ?? .null
        var (training, evaluations): ([JSONObject], [JSONObject]) = ([], [])
        var closing: JSONObject?
        for line in try RunRecord.lines(path + "/metrics.jsonl") {
            if line["train_runtime"] != nil {
                closing = line
            } else if line["learning_rate"] != nil {
                training.append(line)
            } else {
                evaluations.append(line)
            }
        }
        (self.training, self.evaluations, self.closing) = (training, evaluations, closing)
    }

    /// The lines of a log; none where there is no file yet. A killed run may have left half a line at the end.
    private static func lines(_ path: String) throws(TuttiError) -> [JSONObject] {
        guard FileManager.default.fileExists(atPath: path) else { return [] }
        let file = try MappedFile(path: path)
        var lines: [JSONObject] = []
        for (number, line) in file.text.split(separator: "\n").enumerated() where line.last == "}" {
            guard let object = try JSONValue.parse(String(line), source: "\(path):\(number + 1)").object else {
                continue
            }
            lines.append(object)
        }
        return withExtendedLifetime(file) { lines }
    }

    /// The name of its folder.
    package var name: String { URL(fileURLWithPath: path).standardizedFileURL.lastPathComponent }
}
