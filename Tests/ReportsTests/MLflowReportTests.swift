// Reports to a stand-in for MLflow: what comes when, once, whatever fails.

import Foundation
import Synchronization
import TestSupport
import Testing
import TuttiFormats
import TuttiGround
import TuttiNet
import TuttiReports

@Suite struct MLflowReportTests {
    private final class Told: Sendable { let lines = Mutex<[String]>([]) }

    private func training(_ step: Int, _ loss: Double) -> LogLine {
        LogLine(
            .training,
            [
                "step": .integer(Int64(step)), "epoch": .number(0.5), "loss": .number(loss),
                "learning_rate": .number(0.1), "seconds": .object(["forward": .number(2)]),
            ])
    }

    private func closing(_ step: Int) -> LogLine {
        LogLine(.closing, ["step": .integer(Int64(step)), "train_runtime": .number(9)])
    }

    private let run = ReportedRun(
        name: "first", totalSteps: 4,
        arguments: [
            "seed": .integer(42), "lr_scheduler_kwargs": .object(["num_cycles": .number(0.5)]), "bf16": .bool(false),
        ],
        modelConfiguration: #"{"model_type": "bert", "long": "\#(String(repeating: "x", count: 7000))"}"#)

    private func report(
        _ folder: String, _ server: MLflowStandIn, _ more: [String: String] = [:], told: Told = Told()
    ) throws -> MLflowReport {
        var policy = RetryPolicy()
        policy.sleep = { _ in usleep(1000) }
        return try MLflowReport(
            ReportContext(outputDirectory: folder), environment: server.environment.merging(more) { $1 }, policy: policy
        ) { line in told.lines.withLock { $0.append(line) } }
    }

    /// The numbers of lines as the stand-in lists them.
    private func numbers(_ lines: [LogLine]) -> [String] {
        lines.flatMap { line in line.numbers.map { "\(line.step) \($0.key) \($0.value.double ?? 0)" } }
    }

    /// Waits until the stand-in has `count` metrics, some seconds at most.
    private func wait(for count: Int, _ server: MLflowStandIn) throws {
        for _ in 0..<500 where try server.metrics().count < count { usleep(10_000) }
    }

    @Test func linesComeOnceACheckpointCoversThem() throws {
        let (scratch, server) = (try TemporaryDirectory(), try MLflowStandIn())
        let more = [
            "MLFLOW_EXPERIMENT_NAME": "mine", "MLFLOW_TAGS": #"{"team": "a"}"#, "MLFLOW_TRACKING_TOKEN": "secret",
        ]
        let report = try report(scratch.path, server, more)
        try report.began(run)
        let lines = (1...4).map { training($0, 1 / Double($0)) }
        for line in lines.prefix(3) { try report.logged(line) }
        report.saved(scratch.path + "/checkpoint-2")
        try wait(for: 8, server)
        #expect(try server.metrics() == numbers(Array(lines.prefix(2))))
        try report.logged(lines[3])
        try report.logged(closing(4))
        try FileManager.default.createDirectory(atPath: scratch.path + "/final", withIntermediateDirectories: true)
        try Data("card".utf8).write(to: URL(fileURLWithPath: scratch.path + "/final/README.md"))
        try report.finished()
        #expect(try server.metrics() == numbers(lines + [closing(4)]))

        let state = try server.state()
        let found = try #require(state["runs"]?.object?.values.first)
        #expect(found["info"]?["status"] == .string("FINISHED") && found["name"] == .string("first"))
        #expect(found["info"]?["experiment_id"] == state["experiments"]?["mine"])
        #expect(found["params"]?["seed"] == .string("42") && found["params"]?["bf16"] == .string("False"))
        #expect(found["params"]?["lr_scheduler_kwargs/num_cycles"] == .string("0.5"))
        #expect(found["params"]?["model_type"] == .string("bert") && found["params"]?["long"] == nil)
        #expect(found["tags"]?.array?.contains { $0["key"] == .string("team") } == true)
        #expect(state["artifacts"]?.object?.values == [.string("card")])
        #expect(state["requests"]?.array?.allSatisfy { $0["user"] == .string("Bearer secret") } == true)
        let kept = try String(contentsOfFile: scratch.path + "/mlflow.json", encoding: .utf8)
        #expect(!kept.contains("secret"))
    }

    @Test func aServerThatIsDownIsToldLater() throws {
        let (scratch, server, told) = (try TemporaryDirectory(), try MLflowStandIn(), Told())
        try server.set(isDown: true)
        let report = try report(scratch.path, server, told: told)
        try report.began(run)
        let lines = (1...3).map { training($0, 1 / Double($0)) }
        for line in lines {
            try report.logged(line)
            report.saved(scratch.path + "/checkpoint-\(line.step)")
        }
        for _ in 0..<500 where told.lines.withLock({ $0.isEmpty }) {
            usleep(10_000)
            report.stepped(StepProgress(step: 3, totalSteps: 4, ownSteps: 3, ownSeconds: 1))
        }
        #expect(told.lines.withLock { $0.count == 1 && $0[0].contains("training goes on") })
        #expect(try server.metrics().isEmpty)
        try server.set(isDown: false)
        try report.finished()
        #expect(try server.metrics() == numbers(lines))
    }

    @Test func whatWasNotSentIsSaidAtTheEndAndSentByTheNextRun() throws {
        let (scratch, server, told) = (try TemporaryDirectory(), try MLflowStandIn(), Told())
        try server.set(isDown: true)
        let first = try report(scratch.path, server, told: told)
        try first.began(run)
        let lines = (1...2).map { training($0, 1) }
        for line in lines { try first.logged(line) }
        try first.finished()
        #expect(told.lines.withLock { $0.contains { $0.contains("2 of 2 lines could not be sent") } })
        try server.set(isDown: false)
        let second = try report(scratch.path, server)
        try second.rewind(to: 2, evaluationIsDue: false)
        try second.began(run)
        try second.finished()
        #expect(try server.metrics() == numbers(lines))
    }

    @Test func aLostAnswerDoublesNothing() throws {
        let (scratch, server) = (try TemporaryDirectory(), try MLflowStandIn())
        let first = try report(scratch.path, server)
        try first.began(run)
        try server.loseAnswers(1)
        try first.logged(training(1, 1))
        first.saved(scratch.path + "/checkpoint-1")
        try wait(for: 4, server)
        try first.logged(training(2, 1))
        // The next process does not know whether the first line arrived.
        let second = try report(scratch.path, server)
        try second.rewind(to: 1, evaluationIsDue: false)
        try second.began(run)
        try second.logged(training(2, 0.5))
        try second.finished()
        #expect(try server.metrics() == numbers([training(1, 1), training(2, 0.5)]))
        #expect(try server.state()["runs"]?.object?.count == 1)
    }

    /// A checkpoint was damaged: the run goes back behind lines that the server has, and logs them again.
    @Test func goingBackFurtherDoublesNothing() throws {
        let (scratch, server) = (try TemporaryDirectory(), try MLflowStandIn())
        let lines = (1...5).map { training($0, 1 / Double($0)) }
        let first = try report(scratch.path, server)
        try first.began(run)
        for line in lines.prefix(4) { try first.logged(line) }
        first.saved(scratch.path + "/checkpoint-4")
        try wait(for: 16, server)
        let second = try report(scratch.path, server)
        try second.rewind(to: 2, evaluationIsDue: false)
        try second.began(run)
        for line in lines.dropFirst(2) { try second.logged(line) }
        try second.finished()
        #expect(try server.metrics() == numbers(lines))
    }

    @Test func manyNumbersGoInSeveralBatches() throws {
        let (scratch, server) = (try TemporaryDirectory(), try MLflowStandIn())
        let report = try report(scratch.path, server)
        try report.began(run)
        var lines = (1...400).map { training($0, 1 / Double($0)) }
        lines[7].values["eval_sts(dev)_spearman"] = .number(0.5)
        for line in lines { try report.logged(line) }
        try report.finished()
        let wanted = numbers(lines).map { $0.replacing("sts(dev)", with: "sts_dev_") }
        #expect(try server.metrics() == wanted)
        let batches = try server.state()["requests"]?.array?.filter {
            $0["path"]?.string?.hasSuffix("log-batch") == true
        }
        #expect(batches?.count == 3)
    }

    @Test func aServerMustBeNamed() throws {
        let scratch = try TemporaryDirectory()
        for address in [nil, "sqlite:///x.db", "databricks"] {
            let error = #expect(throws: TuttiError.self) {
                try MLflowReport(
                    ReportContext(outputDirectory: scratch.path),
                    environment: address.map { ["MLFLOW_TRACKING_URI": $0] } ?? [:])
            }
            #expect(error?.kind == .usage && error?.subject == "MLFLOW_TRACKING_URI")
        }
    }
}
