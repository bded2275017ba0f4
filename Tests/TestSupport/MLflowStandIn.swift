// A stand-in for an MLflow server on the loopback: Tests/StandIns/mlflow.py, run for one test.

import Foundation
import TuttiFormats
import TuttiGround
import TuttiReports

/// A tracking server of MLflow.
package final class MLflowStandIn {
    private let server: StandIn

    /// Starts it; at `port`, or one that the system chooses.
    package init(port: Int = 0) throws { server = try StandIn("mlflow.py", ["\(port)"]) }

    /// The environment of a run that reports to it.
    package var environment: [String: String] { ["MLFLOW_TRACKING_URI": server.endpoint] }

    /// Has it refuse everything, or not.
    package func set(isDown: Bool) throws { try server.control("{\"down\": \(isDown)}") }

    /// Has it take the next batches of metrics without an answer.
    package func loseAnswers(_ count: Int) throws { try server.control("{\"lose\": \(count)}") }

    /// Has it make the next runs without an answer.
    package func loseRuns(_ count: Int) throws { try server.control("{\"lose_runs\": \(count)}") }

    /// All that it knows.
    package func state() throws -> JSONValue { try server.json("/_state") }

    /// The numbers of a metrics.jsonl as `metrics` gives those of a run.
    package static func numbers(inMetrics path: String) throws -> [String] {
        try MappedFile(path: path).text.split(separator: "\n").flatMap { text -> [String] in
            let line = LogLine(.training, try JSONValue.parse(String(text)).object ?? JSONObject())
            return line.numbers.map { "\(line.step) \($0.key) \($0.value.double ?? 0)" }
        }
    }

    /// The metrics of its only run as "step key value", in the order in which they came.
    package func metrics() throws -> [String] {
        let runs = try state()["runs"]?.object?.values ?? []
        return runs.flatMap { $0["metrics"]?.array ?? [] }.map { metric in
            let value = metric["value"]?.double.map { "\($0)" } ?? "?"
            return "\(metric["step"]?.int ?? -1) \(metric["key"]?.string ?? "") \(value)"
        }
    }
}
