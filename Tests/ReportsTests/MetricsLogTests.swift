// metrics.jsonl: lines are appended, and cut back to what a checkpoint knows.

import Foundation
import TestSupport
import Testing
import TuttiFormats
import TuttiGround
import TuttiReports

@Suite(.serialized) struct MetricsLogTests {
    private func line(_ step: Int, _ key: String = "loss") -> LogLine {
        LogLine(.training, ["step": .integer(Int64(step)), key: .number(0.1)])
    }

    private func text(_ log: MetricsLog) throws -> String { try String(contentsOfFile: log.path, encoding: .utf8) }

    @Test func linesAreAppendedAtFullPrecision() throws {
        let scratch = try TemporaryDirectory()
        let log = MetricsLog(directory: scratch.path)
        try log.logged(LogLine(.training, ["step": .integer(1), "loss": .number(1.0 / 3)]))
        try MetricsLog(directory: scratch.path).logged(line(2))
        #expect(try text(log) == "{\"step\": 1, \"loss\": 0.3333333333333333}\n{\"step\": 2, \"loss\": 0.1}\n")
    }

    @Test func aRunIsCutBackToItsCheckpoint() throws {
        let scratch = try TemporaryDirectory()
        let log = MetricsLog(directory: scratch.path)
        try log.rewind(to: 3, evaluationIsDue: false)  // nothing is there yet
        #expect(!FileManager.default.fileExists(atPath: log.path))
        for step in 1...4 { try log.logged(line(step)) }
        let whole = try text(log)
        try (whole + "{\"step\": 5, \"lo").write(toFile: log.path, atomically: false, encoding: .utf8)
        try log.rewind(to: 4, evaluationIsDue: false)
        #expect(try text(log) == whole)
        try log.rewind(to: 2, evaluationIsDue: false)
        #expect(try text(log).split(separator: "\n").count == 2)
        try log.logged(line(2, "train_runtime"))  // the closing line of an end that was not the last
        try log.rewind(to: 2, evaluationIsDue: false)
        #expect(try text(log).split(separator: "\n").count == 2)
        try log.rewind(to: -1, evaluationIsDue: false)
        #expect(try text(log).isEmpty)
    }

    /// What a stopped evaluation leaves to do may have been done since, by a run that was killed.
    @Test func theLineOfAnEvaluationThatIsDueGoes() throws {
        let scratch = try TemporaryDirectory()
        let log = MetricsLog(directory: scratch.path)
        func write(_ kind: LogLine.Kind, _ step: Int, _ key: String) throws {
            var values: JSONObject = ["step": .integer(Int64(step)), key: .number(0.5)]
            if kind == .training { values["learning_rate"] = .number(0.1) }
            try log.logged(LogLine(kind, values))
        }
        try write(.training, 1, "loss")
        try write(.evaluation, 1, "eval_loss")
        try write(.training, 2, "loss")
        let before = try text(log)
        try write(.evaluation, 2, "eval_loss")
        let after = try text(log)
        try write(.training, 3, "loss")
        try log.rewind(to: 2, evaluationIsDue: false)
        #expect(try text(log) == after)
        try log.rewind(to: 2, evaluationIsDue: true)
        #expect(try text(log) == before)
        try log.rewind(to: 2, evaluationIsDue: true)
        #expect(try text(log) == before)
    }

    @Test func aLineThatCannotBeWrittenIsRetryable() throws {
        let scratch = try TemporaryDirectory()
        let log = MetricsLog(directory: scratch.path + "/missing")
        let error = #expect(throws: TuttiError.self) { try log.logged(line(1)) }
        #expect(error?.kind == .retryable)
    }

    @Test func aFullDiskIsRetryable() throws {
        let scratch = try TemporaryDirectory()
        let log = MetricsLog(directory: scratch.path)
        try log.logged(line(1))
        let size = UInt(try text(log).utf8.count)
        let error = withFileSizeLimit(size + 3) { #expect(throws: TuttiError.self) { try log.logged(line(2)) } }
        #expect(error?.kind == .retryable && error?.description.contains("cannot be written") == true)
        // The torn line goes when the run goes on.
        try log.rewind(to: 1, evaluationIsDue: false)
        try log.logged(line(2))
        #expect(try text(log).split(separator: "\n").count == 2)
    }

    /// Nothing outside the run's folder is written through its log.
    @Test(arguments: [true, false]) func aLinkIsNotFollowed(exists: Bool) throws {
        let scratch = try TemporaryDirectory()
        let (folder, other) = (scratch.path + "/run", scratch.path + "/other")
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: false)
        let content = "{\"step\": 1}\n{\"step\": 2}\n"
        if exists { try content.write(toFile: other, atomically: false, encoding: .utf8) }
        let log = MetricsLog(directory: folder)
        try FileManager.default.createSymbolicLink(atPath: log.path, withDestinationPath: other)
        let error = #expect(throws: TuttiError.self) { try log.logged(line(3)) }
        #expect(error?.kind == .retryable && error?.description.contains("metrics.jsonl") == true)
        try log.rewind(to: 1, evaluationIsDue: false)
        #expect(FileManager.default.fileExists(atPath: other) == exists)
        if exists { #expect(try String(contentsOfFile: other, encoding: .utf8) == content) }
    }
}
