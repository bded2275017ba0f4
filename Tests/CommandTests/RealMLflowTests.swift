// A run that reports to an MLflow server itself, whose interface then gives back the numbers of metrics.jsonl
// (launch/test --real).

import Foundation
import TestSupport
import Testing
import TuttiFormats
import TuttiGround

@Suite(.serialized, .enabled(if: RealMLflow.isThere, "launch/test --real has MLflow"))
struct RealMLflowTests {
    @Test func realServerGivesTheMetricsBack() throws {
        let folder = try TemporaryDirectory()
        let server = try RealMLflow(in: folder.path)
        let workshop = try Workshop(folder.path, golden: "bert-adamw")
        try workshop.configure(
            extra: "eval_dataset: {path: \(folder.path)/rows.jsonl}",
            args:
                "  report_to: mlflow\n  run_name: first\n  eval_strategy: steps\n  eval_steps: 5\n  save_steps: 5\n"
                + "  max_steps: 20\n")
        let environment = ["MLFLOW_TRACKING_URI": server.address, "MLFLOW_EXPERIMENT_NAME": "of tests"]
        // Killed between two checkpoints, then resumed.
        let process = try TuttiProcess.start(["train", folder.path + "/run.yaml"], environment: environment)
        while process.isRunning, workshop.linesLogged < 9 { usleep(500) }
        kill(process.processIdentifier, SIGKILL)
        process.waitUntilExit()
        let outcome = try TuttiProcess.run(["train", folder.path + "/run.yaml"], environment: environment)
        #expect(outcome.code == 0 && !outcome.errors.contains("MLflow"), "\(outcome.errors)")

        let runs = try server.runs(of: "of tests")
        #expect(runs.count == 1)
        let run = try #require(runs.first)
        #expect(run["info"]?["status"] == .string("FINISHED") && run["info"]?["run_name"] == .string("first"))
        let wanted = try MLflowStandIn.numbers(inMetrics: folder.path + "/run/metrics.jsonl")
        #expect(wanted.count > 200)
        #expect(try server.numbers(of: run).sorted() == wanted.sorted())
        let name = try #require(run["info"]?["run_id"]?.string)
        let listed = try server.call("GET", "artifacts/list?run_id=\(name)")["files"]?.array ?? []
        #expect(Set(listed.compactMap { $0["path"]?.string }) == ["README.md", "tutti_run.json", "metrics.jsonl"])
    }
}
