// A tracking server of MLflow itself, for the tests that launch/test --real switches on.

import Foundation
import Testing
import TuttiFormats
import TuttiGround
import TuttiNet

/// A server that keeps everything in one folder, until this object goes away.
final class RealMLflow {
    /// Whether there is one to start.
    static var isThere: Bool { ProcessInfo.processInfo.environment["TUTTI_MLFLOW"] != nil }

    let address: String
    private let server = Process()
    private let client = HTTPClient(environment: [:])

    /// Starts it.
    init(in folder: String) throws {
        let place = try #require(ProcessInfo.processInfo.environment["TUTTI_MLFLOW"])
        let port = Int.random(in: 20_000...30_000)
        address = "http://127.0.0.1:\(port)"
        server.executableURL = URL(fileURLWithPath: place + "/bin/mlflow")
        server.arguments = [
            "server", "--backend-store-uri", "sqlite:///\(folder)/mlflow.db",
            "--artifacts-destination",
            folder + "/artifacts", "--host", "127.0.0.1", "--port", "\(port)", "--workers", "1",
        ]
        server.environment = ProcessInfo.processInfo.environment.merging(
            ["PATH": place + "/bin:/usr/bin:/bin", "MLFLOW_DISABLE_TELEMETRY": "true"]) { $1 }
        server.standardOutput = FileHandle.nullDevice
        server.standardError = FileHandle.nullDevice
        try server.run()
        for _ in 0..<120 {
            if (try? client.send(HTTPRequest("GET", address + "/health")).isSuccess) == true { return }
            Thread.sleep(forTimeInterval: 1)
        }
        throw TuttiError(.retryable, "start MLflow", address, "did not start")
    }

    deinit {
        // It starts others, which do not end with it; Foundation has put all into a group.
        kill(-server.processIdentifier, SIGKILL)
        server.waitUntilExit()
    }

    /// The answer of its interface.
    func call(_ method: String, _ path: String, _ body: String = "") throws -> JSONValue {
        var request = HTTPRequest(method, "\(address)/api/2.0/mlflow/\(path)")
        request.timeout = 60
        if !body.isEmpty {
            request.headers = [("Content-Type", "application/json")]
            request.body = .bytes(Array(body.utf8))
        }
        return try JSONValue.parse(client.send(request).text)
    }

    /// The runs of an experiment.
    func runs(of experiment: String) throws -> [JSONValue] {
        let name = experiment.addingPercentEncoding(withAllowedCharacters: .alphanumerics) ?? ""
        let found = try call("GET", "experiments/get-by-name?experiment_name=\(name)")
        let id = try #require(found["experiment"]?["experiment_id"]?.string)
        return try call("POST", "runs/search", #"{"experiment_ids": ["\#(id)"]}"#)["runs"]?.array ?? []
    }

    /// All values of a run: "step key value".
    func numbers(of run: JSONValue) throws -> [String] {
        let name = try #require(run["info"]?["run_id"]?.string)
        return try (run["data"]?["metrics"]?.array ?? []).flatMap { metric -> [String] in
            let key = metric["key"]?.string ?? ""
            let escaped = key.addingPercentEncoding(withAllowedCharacters: .alphanumerics) ?? ""
            let history = try call(
                "GET", "metrics/get-history?run_id=\(name)&metric_key=\(escaped)&max_results=10000")
            return (history["metrics"]?.array ?? []).map { value in
                "\(value["step"]?.int ?? 0) \(key) \(value["value"]?.double ?? 0)"
            }
        }
    }
}
