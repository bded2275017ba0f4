// A run that reports to an MLflow server itself, whose interface then gives back the numbers of metrics.jsonl
// (launch/test --real).

import Foundation
import TestSupport
import Testing
import TuttiFormats
import TuttiGround
import TuttiNet

@Suite(.serialized, .enabled(if: ProcessInfo.processInfo.environment["TUTTI_MLFLOW"] != nil))
struct RealMLflowTests {
    private let client = HTTPClient(environment: [:])

    /// Runs `body` with the address of a server that keeps everything in `folder`.
    private func withServer(_ folder: String, _ body: (String) throws -> Void) throws {
        let place = try #require(ProcessInfo.processInfo.environment["TUTTI_MLFLOW"])
        let port = Int.random(in: 20_000...30_000)
        let server = Process()
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
        defer {
            // It starts others, which do not end with it; Foundation has put all into a group.
            kill(-server.processIdentifier, SIGKILL)
            server.waitUntilExit()
        }
        let address = "http://127.0.0.1:\(port)"
        for _ in 0..<120 {
            if (try? client.send(HTTPRequest("GET", address + "/health")).isSuccess) == true {
                return try body(address)
            }
            Thread.sleep(forTimeInterval: 1)
        }
        Issue.record("the server did not start")
    }

    private func call(_ address: String, _ method: String, _ path: String, _ body: String = "") throws -> JSONValue {
        var request = HTTPRequest(method, "\(address)/api/2.0/mlflow/\(path)")
        request.timeout = 60
        if !body.isEmpty {
            request.headers = [("Content-Type", "application/json")]
            request.body = .bytes(Array(body.utf8))
        }
        return try JSONValue.parse(client.send(request).text)
    }

    @Test func realServerGivesTheMetricsBack() throws {
        let folder = try TemporaryDirectory()
        try withServer(folder.path) { address in
            let workshop = try Workshop(folder.path, golden: "bert-adamw")
            try workshop.configure(
                extra: "eval_dataset: {path: \(folder.path)/rows.jsonl}",
                args:
                    "  report_to: mlflow\n  run_name: first\n  eval_strategy: steps\n  eval_steps: 5\n  save_steps: 5\n"
                    + "  max_steps: 20\n")
            let environment = ["MLFLOW_TRACKING_URI": address, "MLFLOW_EXPERIMENT_NAME": "of tests"]
            // Killed between two checkpoints, then resumed.
            let process = try TuttiProcess.start(["train", folder.path + "/run.yaml"], environment: environment)
            while process.isRunning, workshop.linesLogged < 9 { usleep(500) }
            kill(process.processIdentifier, SIGKILL)
            process.waitUntilExit()
            let outcome = try TuttiProcess.run(["train", folder.path + "/run.yaml"], environment: environment)
            #expect(outcome.code == 0 && !outcome.errors.contains("MLflow"), "\(outcome.errors)")

            let experiment = try call(address, "GET", "experiments/get-by-name?experiment_name=of%20tests")
            let id = try #require(experiment["experiment"]?["experiment_id"]?.string)
            let runs = try call(address, "POST", "runs/search", #"{"experiment_ids": ["\#(id)"]}"#)["runs"]?.array ?? []
            #expect(runs.count == 1)
            let run = try #require(runs.first)
            #expect(run["info"]?["status"] == .string("FINISHED") && run["info"]?["run_name"] == .string("first"))
            let name = try #require(run["info"]?["run_id"]?.string)
            var found: [String] = []
            for metric in run["data"]?["metrics"]?.array ?? [] {
                let key = metric["key"]?.string ?? ""
                let escaped = key.addingPercentEncoding(withAllowedCharacters: .alphanumerics) ?? ""
                let history = try call(address, "GET", "metrics/get-history?run_id=\(name)&metric_key=\(escaped)")
                for value in history["metrics"]?.array ?? [] {
                    found.append("\(value["step"]?.int ?? 0) \(key) \(value["value"]?.double ?? 0)")
                }
            }
            let wanted = try MLflowStandIn.numbers(inMetrics: folder.path + "/run/metrics.jsonl")
            #expect(wanted.count > 200 && found.sorted() == wanted.sorted())
            let listed = try call(address, "GET", "artifacts/list?run_id=\(name)")["files"]?.array ?? []
            #expect(Set(listed.compactMap { $0["path"]?.string }) == ["README.md", "tutti_run.json", "metrics.jsonl"])
        }
    }
}
