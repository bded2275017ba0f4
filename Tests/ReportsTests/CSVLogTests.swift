// metrics.csv: a row a line, a column a number, cut back to what a checkpoint knows.

import Foundation
import TestSupport
import Testing
import TuttiFormats
import TuttiGround
import TuttiReports

@Suite struct CSVLogTests {
    private func training(_ step: Int, _ loss: Double) -> LogLine {
        LogLine(
            .training,
            [
                "step": .integer(Int64(step)), "epoch": .number(0.5), "loss": .number(loss),
                "learning_rate": .number(0.1),
                "seconds": .object(["forward": .number(2), "note": .string("no number")]),
            ])
    }

    private func evaluation(_ step: Int) -> LogLine {
        LogLine(
            .evaluation, ["step": .integer(Int64(step)), "epoch": .number(0.5), "eval_sts,dev_spearman": .number(0.75)])
    }

    @Test func linesBecomeRowsAndNewNumbersColumns() throws {
        let scratch = try TemporaryDirectory()
        let log = CSVLog(directory: scratch.path)
        try log.logged(training(1, 1.0 / 3))
        try log.logged(evaluation(1))
        try CSVLog(directory: scratch.path).logged(training(2, 0.25))
        #expect(
            try String(contentsOfFile: log.path, encoding: .utf8) == """
                step,epoch,loss,learning_rate,seconds/forward,"eval_sts,dev_spearman"
                1,0.5,0.3333333333333333,0.1,2.0,
                1,0.5,,,,0.75
                2,0.5,0.25,0.1,2.0,

                """)
    }

    @Test func aRunIsCutBackToItsCheckpoint() throws {
        let scratch = try TemporaryDirectory()
        let log = CSVLog(directory: scratch.path)
        func text() throws -> String { try String(contentsOfFile: log.path, encoding: .utf8) }
        try log.rewind(to: 3, evaluationIsDue: false)  // nothing is there yet
        #expect(!FileManager.default.fileExists(atPath: log.path))
        try log.logged(training(1, 0.5))
        try log.logged(training(2, 0.25))
        let before = try text()
        try log.logged(evaluation(2))
        let after = try text()
        try log.logged(training(3, 0.125))
        try (text() + "4,0.5,0.").write(toFile: log.path, atomically: false, encoding: .utf8)
        try log.rewind(to: 3, evaluationIsDue: false)
        #expect(try text().hasSuffix("3,0.5,0.125,0.1,2.0,\n"))
        try log.rewind(to: 2, evaluationIsDue: false)
        #expect(try text() == after)
        try log.rewind(to: 2, evaluationIsDue: true)
        // The column of the evaluation stays.
        #expect(try text().split(separator: "\n").count == before.split(separator: "\n").count)
        try log.logged(evaluation(2))
        #expect(try text() == after)
        try log.logged(LogLine(.closing, ["step": .integer(2), "train_runtime": .number(1)]))
        try log.rewind(to: 2, evaluationIsDue: false)
        #expect(try !text().contains("\n2,,"))
        try log.rewind(to: -1, evaluationIsDue: false)
        #expect(try text().isEmpty)
        try log.logged(training(1, 0.5))
        #expect(try text().hasPrefix("step,epoch,loss"))
    }
}
