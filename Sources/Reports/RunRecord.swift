// A run as its output directory tells it, whether it is finished or not: configuration and logged lines.

import Foundation
import TuttiFormats
import TuttiGround

/// What is recorded of a run.
package struct RunRecord: Sendable {
    /// Its output directory, as given.
    package let path: String
    /// "running", or "finished" as soon as the closing line is there: its page is made before the run is marked so.
    package let status: String
    /// The configuration that decides its result.
    package let configuration: JSONValue
    /// Lines of metrics.jsonl, in their order: those of steps, of evaluations, and the closing one.
    package let training, evaluations: [JSONObject]
    package let closing: JSONObject?
    /// How the model placed a sample of its pairs, in the order of the run; nil where nothing was diagnosed.
    let diagnosis: (sample: DiagnosisSample, diagnoses: [ContrastiveDiagnosis])?
    /// Its data; none where an earlier version began it.
    let datasets: [DataSummary]

    /// Reads the run in `path`.
    ///
    /// - Parameter bytesRead: of a longer log only every second, third ... line of steps is read, so that about so many bytes are.
    /// - Throws: `.missingFile` where there is none; `.data` naming the file for one that cannot be read.
    package init(path: String, bytesRead: Int = 1 << 26) throws(TuttiError) {
        self.path = path
        let file = path + "/tutti_run.json"
        guard FileManager.default.fileExists(atPath: file) else {
            throw TuttiError(
                .missingFile, "read a run", file, "no such file", hint: "Give the output_dir of a run of `tutti train`."
            )
        }
        let object = try JSONValue.parse(file: file).object ?? JSONObject()
        diagnosis = try DiagnosisFiles.read(in: path)
        datasets = try DataSummary.read(in: path)
        configuration = object["configuration"] ?? .null
        var (training, evaluations): ([JSONObject], [JSONObject]) = ([], [])
        var closing: JSONObject?
        for line in try RunRecord.lines(path + "/metrics.jsonl", bytesRead) {
            if line["train_runtime"] != nil {
                closing = line
            } else if line["learning_rate"] != nil {
                training.append(line)
            } else {
                evaluations.append(line)
            }
        }
        (self.training, self.evaluations, self.closing) = (training, evaluations, closing)
        status = closing != nil ? "finished" : object["status"]?.string ?? "unknown"
    }

    /// The lines of a log; none where there is no file yet. A killed run may have left half a line at the end.
    private static func lines(_ path: String, _ bytesRead: Int) throws(TuttiError) -> [JSONObject] {
        guard FileManager.default.fileExists(atPath: path) else { return [] }
        let file = try MappedFile(path: path)
        let stride = file.bytes.count / max(1, bytesRead) + 1
        var (lines, number, start) = ([JSONObject](), 0, 0)
        while let end = file.bytes[start...].firstIndex(of: UInt8(ascii: "\n")) {
            let line = UnsafeRawBufferPointer(rebasing: file.bytes[start..<end])
            (number, start) = (number + 1, end + 1)
            if line.last != UInt8(ascii: "}") || stride > 1 && number % stride != 1 && isOfSteps(line) { continue }
            let text = String(decoding: line, as: UTF8.self)
            guard let object = try JSONValue.parse(text, source: "\(path):\(number)").object else { continue }
            lines.append(object)
        }
        return withExtendedLifetime(file) { lines }
    }

    /// Whether a line has a learning rate.
    private static func isOfSteps(_ line: UnsafeRawBufferPointer) -> Bool {
        line.firstRange(of: Array(#""learning_rate""#.utf8)) != nil
    }

    /// The name of its folder.
    package var name: String { URL(fileURLWithPath: path).standardizedFileURL.lastPathComponent }
}
