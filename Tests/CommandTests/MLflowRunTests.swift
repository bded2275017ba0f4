// Runs that report to MLflow: killed between checkpoints and steps, and before a server that is down.

import Foundation
import TestSupport
import Testing
import TuttiFormats
import TuttiGround

@Suite(.serialized) struct MLflowRunTests {
    private func workshop(_ path: String, _ server: MLflowStandIn, _ args: String) throws -> (
        Workshop, [String: String]
    ) {
        let workshop = try Workshop(path, golden: "bert-adamw")
        try workshop.configure(
            extra: "eval_dataset: {path: \(path)/rows.jsonl}",
            args: "  report_to: mlflow\n  eval_strategy: steps\n" + args)
        return (workshop, server.environment)
    }

    /// What metrics.jsonl says, as the stand-in lists what it got.
    private func logged(_ workshop: Workshop) throws -> [String] {
        try MLflowStandIn.numbers(inMetrics: workshop.path + "/run/metrics.jsonl")
    }

    @Test func aKilledRunHasEveryStepOnce() throws {
        let (folder, server) = (try TemporaryDirectory(), try MLflowStandIn())
        let (workshop, environment) = try workshop(
            folder.path, server, "  eval_steps: 10\n  save_steps: 5\n  max_steps: 60\n  save_total_limit: 2\n")
        var generator = SystemRandomNumberGenerator()
        var kills = 0
        while true {
            let process = try TuttiProcess.start(["train", folder.path + "/run.yaml"], environment: environment)
            // After lines that no checkpoint covers.
            let line = workshop.linesLogged + Int.random(in: 3...12, using: &generator)
            while process.isRunning, workshop.linesLogged < line { usleep(500) }
            guard process.isRunning else { break }
            kill(process.processIdentifier, SIGKILL)
            process.waitUntilExit()
            kills += 1
        }
        #expect(kills >= 3, "\(kills) kills prove too little")
        let last = try TuttiProcess.run(["train", folder.path + "/run.yaml"], environment: environment)
        #expect(last.code == 0, "\(last.errors)")
        let (sent, wanted) = (try server.metrics(), try logged(workshop))
        #expect(wanted.count > 60 * 10)
        #expect(sent == wanted, "\(sent.count) of \(wanted.count)")
        let state = try server.state()
        #expect(state["runs"]?.object?.count == 1)
        #expect(state["artifacts"]?.object?.count == 3)
        let run = try #require(state["runs"]?.object?.values.first)
        #expect(run["info"]?["status"] == .string("FINISHED"))
        #expect(run["params"]?["max_steps"] == .string("60"))
    }

    @Test func aServerThatIsDownStopsNothing() throws {
        let (folder, server) = (try TemporaryDirectory(), try MLflowStandIn())
        let (workshop, environment) = try workshop(folder.path, server, "  eval_steps: 2\n  max_steps: 4\n")
        try server.set(isDown: true)
        let outcome = try TuttiProcess.run(["train", folder.path + "/run.yaml"], environment: environment)
        #expect(outcome.code == 0 && outcome.errors.contains("lines could not be sent"), "\(outcome.errors)")
        #expect(workshop.exists("run/final/model.safetensors"))
        let refused = try TuttiProcess.run(["report", "--send", folder.path + "/run"], environment: environment)
        #expect(refused.code == 75 && refused.errors.contains("answered 503"), "\(refused.errors)")
        // The same run, made longer, sends them.
        try server.set(isDown: false)
        let longer = try TuttiProcess.run(
            ["train", folder.path + "/run.yaml", "--set", "args.max_steps=6"], environment: environment)
        #expect(longer.code == 0, "\(longer.errors)")
        #expect(try server.metrics() == logged(workshop))
    }

    @Test func aCommandSendsWhatTheEndCouldNot() throws {
        let (folder, server) = (try TemporaryDirectory(), try MLflowStandIn())
        let (workshop, environment) = try workshop(folder.path, server, "  eval_steps: 2\n  max_steps: 4\n")
        try server.set(isDown: true)
        let outcome = try TuttiProcess.run(["train", folder.path + "/run.yaml"], environment: environment)
        #expect(outcome.code == 0 && outcome.errors.contains("tutti report --send"), "\(outcome.errors)")
        try server.set(isDown: false)
        let lines = workshop.linesLogged
        let sent = try TuttiProcess.run(["report", "--send", folder.path + "/run"], environment: environment)
        #expect(sent.code == 0 && sent.output == "\(folder.path)/run: sent \(lines) lines\n", "\(sent)")
        let again = try TuttiProcess.run(["report", "--send", folder.path + "/run"], environment: environment)
        #expect(again.code == 0 && again.output.hasSuffix("sent 0 lines\n"), "\(again)")
        #expect(try server.metrics() == logged(workshop))
        let state = try server.state()
        #expect(state["runs"]?.object?.count == 1 && state["artifacts"]?.object?.count == 3)
        #expect(state["runs"]?.object?.values.first?["params"]?["max_steps"] == .string("4"))
        let none = try TuttiProcess.run(["report", "--send", folder.path + "/model"], environment: environment)
        #expect(none.code == 66, "\(none.errors)")
    }

    @Test func withoutAnAddressTheRunDoesNotBegin() throws {
        let (folder, server) = (try TemporaryDirectory(), try MLflowStandIn())
        let (workshop, _) = try workshop(folder.path, server, "  eval_steps: 2\n  max_steps: 4\n")
        let outcome = try TuttiProcess.run(
            ["train", folder.path + "/run.yaml"], environment: ["MLFLOW_TRACKING_URI": ""])
        #expect(outcome.code == 64 && outcome.errors.contains("MLFLOW_TRACKING_URI"), "\(outcome.errors)")
        #expect(!workshop.exists("run/metrics.jsonl"))
    }
}
