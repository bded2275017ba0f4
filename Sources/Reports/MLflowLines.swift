// MLflowLines: the lines of a run that wait for MLflow, in `output_dir/mlflow.jsonl`, and what of them is there already, in
// `output_dir/mlflow.json`.
//
// MLflow cannot take anything back, and a killed run logs the steps after its newest checkpoint again. So a line is sent once
// a checkpoint covers it, or at the end. If a run has to go back further than that (a checkpoint was damaged), the
// lines that it logs again are known by step and names, and left out.

import Foundation
import TuttiFormats
import TuttiGround

/// What is known of the run on the server.
struct MLflowState: Equatable {
    /// The server; lines for another one are sent anew.
    var address = ""
    var run: String?
    /// What tells a run that was to be made from all others, where its id did not come back.
    var key: String?
    /// Where its artifacts are.
    var artifacts = ""
    /// The run's name and parameters, for a server that does not have them yet.
    var name: String?
    var parameters = JSONObject()
    var hasParameters = false
    /// Lines at the beginning of the file that the server has.
    var sent = 0
    /// Lines that were being sent: whether they arrived is not known.
    var pending = 0
    /// Lines that the server has and the file no longer.
    var known: [String] = []

    /// Nothing is known.
    init() {}

    /// Reads it; nothing is known where there is no file.
    init(path: String) throws(TuttiError) {
        guard FileManager.default.fileExists(atPath: path) else { return }
        let json = try JSONValue.parse(file: path)
        address = json["address"]?.string ?? ""
        run = json["run_id"]?.string
        key = json["key"]?.string
        artifacts = json["artifact_uri"]?.string ?? ""
        name = json["name"]?.string
        parameters = json["parameters"]?.object ?? JSONObject()
        hasParameters = json["has_parameters"]?.bool ?? false
        sent = json["sent"]?.int ?? 0
        pending = json["pending"]?.int ?? 0
        known = json["known"]?.array?.compactMap(\.string) ?? []
    }

    /// What is known of the run on another server: nothing, but for what is to be sent.
    func moved(to address: String) -> MLflowState {
        var state = MLflowState()
        (state.address, state.name, state.parameters) = (address, name, parameters)
        return state
    }

    /// Writes it.
    func save(to path: String) throws(TuttiError) {
        let json: JSONObject = [
            "address": .string(address), "run_id": run.map { .string($0) } ?? .null,
            "key": key.map { .string($0) } ?? .null, "artifact_uri": .string(artifacts),
            "name": name.map { .string($0) } ?? .null, "parameters": .object(parameters),
            "has_parameters": .bool(hasParameters), "sent": .integer(Int64(sent)), "pending": .integer(Int64(pending)),
            "known": .array(known.map { .string($0) }),
        ]
        try AtomicWrite.file(path: path, text: JSONValue.object(json).serialized(indent: 2) + "\n")
    }
}

/// The file of lines.
struct MLflowLines {
    let path: String

    /// A line with the time at which it was logged.
    struct Line {
        let time: Int
        let values: JSONObject

        /// Its step.
        var step: Int { values["step"]?.int ?? 0 }

        /// What tells it from the other lines of the run.
        var signature: String { "\(step) " + values.keys.sorted().joined(separator: ",") }

        /// Its numbers, as MLflow takes them.
        var metrics: [MLflowMetric] {
            LogLine(.training, values).numbers.map { key, value in
                MLflowMetric(key: MLflowMetric.name(key), value: value, step: step, time: time)
            }
        }
    }

    /// Adds a line.
    func append(_ values: JSONObject) throws(TuttiError) {
        let line: JSONObject = ["time": .integer(MLflowServer.now), "values": .object(values)]
        try AppendedFile.append(line.serialized() + "\n", to: path)
    }

    /// The whole lines of the file.
    func all() throws(TuttiError) -> [Line] {
        guard let content = FileManager.default.contents(atPath: path) else { return [] }
        var lines: [Line] = []
        for text in String(decoding: content, as: UTF8.self).split(separator: "\n") {
            let json: JSONValue
            do throws(TuttiError) { json = try JSONValue.parse(String(text), source: path) } catch { break }
            guard let time = json["time"]?.int, let values = json["values"]?.object else { break }
            lines.append(Line(time: time, values: values))
        }
        return lines
    }

    /// Keeps the lines before `count`.
    func cut(to count: Int) throws(TuttiError) {
        let lines = try all().prefix(count).map { line in
            let json: JSONObject = ["time": .integer(Int64(line.time)), "values": .object(line.values)]
            return json.serialized() + "\n"
        }
        try AtomicWrite.file(path: path, text: lines.joined())
    }
}
