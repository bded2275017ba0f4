// TensorBoard's event files: their bytes, what they hold, and that a step is there once over resumptions.

import Foundation
import TestSupport
import Testing
import TuttiFormats
import TuttiGround
import TuttiReports

@Suite struct TensorBoardTests {
    private func training(_ step: Int) -> LogLine {
        LogLine(
            .training,
            [
                "step": .integer(Int64(step)), "epoch": .number(0.5), "loss": .number(0.25),
                "learning_rate": .number(0.1),
            ])
    }

    /// A line with the norms of three tensors in two layers.
    private var measured: LogLine {
        var line = training(4)
        line.gradientNorms = [
            ("embeddings.word.weight", 3), ("encoder.layer.0.a.weight", 4), ("encoder.layer.0.b.weight", 3),
        ]
        return line
    }

    private func evaluation(_ step: Int) -> LogLine {
        LogLine(
            .evaluation, ["step": .integer(Int64(step)), "epoch": .number(0.5), "eval_dev_accuracy": .number(0.75)])
    }

    private func report(_ folder: String, _ environment: [String: String] = [:]) -> TensorBoardReport {
        TensorBoardReport(ReportContext(outputDirectory: folder, runName: "first"), environment: environment)
    }

    private func run(from step: Int = 0) -> ReportedRun {
        ReportedRun(
            name: "first", totalSteps: 9, resumedFrom: step,
            arguments: [
                "learning_rate": .number(0.1), "bf16": .bool(true), "optim": .string("adamw_torch"),
                "metric_for_best_model": .string("dev_accuracy"), "lists": .array([]),
            ], modelConfiguration: "{\"model_type\": \"bert\"}")
    }

    /// The bytes of a record, as TensorFlow's own writer makes them, and of CRC-32C: RFC 3720, B.4.
    @Test func recordsHaveTheirChecksums() {
        #expect(RecordFile.crc32c(Array(repeating: 0, count: 32)[...]) == 0x8A91_36AA)
        #expect(RecordFile.crc32c(Array("123456789".utf8)[...]) == 0xE306_9283)
        let two = RecordFile.record([1, 2, 3]) + RecordFile.record([])
        #expect(RecordFile.records(in: two) == [12..<15, 31..<31])
        #expect(RecordFile.records(in: Array(two.dropLast())) == [12..<15])
        var damaged = two
        damaged[13] ^= 1
        #expect(RecordFile.records(in: damaged).isEmpty)
    }

    @Test func aRunIsInOneFile() throws {
        let scratch = try TemporaryDirectory()
        let report = report(scratch.path)
        try report.rewind(to: -1, evaluationIsDue: false)
        try report.began(run())
        try report.logged(training(1))
        try report.logged(evaluation(1))
        try report.finished()
        #expect(
            try EventFiles.numbers(scratch.path + "/runs") == [
                "1 train/epoch 0.5", "1 train/loss 0.25", "1 train/learning_rate 0.1", "1 train/epoch 0.5",
                "1 eval/dev_accuracy 0.75",
            ])
        let file = try #require(EventFiles.paths(scratch.path + "/runs").first)
        let bytes = try MappedFile(path: file).contents
        let text = String(decoding: bytes, as: UTF8.self)
        for part in [
            "brain.Event:2", "args/text_summary", "\"optim\": \"adamw_torch\"", "model_config/text_summary",
            "_hparams_/experiment", "_hparams_/session_start_info", "_hparams_/session_end_info", "eval/dev_accuracy",
        ] { #expect(text.contains(part), "\(part)") }
        // Every byte belongs to a record.
        let ends = RecordFile.records(in: bytes).map(RecordFile.end)
        #expect(ends.last == bytes.count)
    }

    /// Each layer's norm, and how the norms of its tensors are distributed.
    @Test func gradientsAreShownByLayer() throws {
        let scratch = try TemporaryDirectory()
        let report = report(scratch.path)
        #expect(report.details == .gradientNorms)
        try report.began(run())
        try report.logged(measured)
        let numbers = try EventFiles.numbers(scratch.path + "/runs").filter { $0.contains("gradients") }
        #expect(numbers == ["4 gradients/embeddings 3.0", "4 gradients/encoder.layer.0 5.0"])
        let file = try #require(EventFiles.paths(scratch.path + "/runs").first)
        let text = String(decoding: try MappedFile(path: file).contents, as: UTF8.self)
        for tag in ["gradients_of_tensors/embeddings", "gradients_of_tensors/encoder.layer.0", "gradients_of_layers"] {
            #expect(text.contains(tag), "\(tag)")
        }
    }

    @Test func aResumedRunHasEveryStepOnce() throws {
        let scratch = try TemporaryDirectory()
        let root = scratch.path + "/runs"
        let first = report(scratch.path)
        try first.began(run())
        for step in 1...3 { try first.logged(training(step)) }
        try first.logged(evaluation(3))
        let file = try #require(EventFiles.paths(root).first)
        // A kill cuts the last record.
        let bytes = try MappedFile(path: file).contents
        try Data(bytes + bytes.prefix(9)).write(to: URL(fileURLWithPath: file))
        let second = report(scratch.path)
        try second.rewind(to: 3, evaluationIsDue: true)
        #expect(try EventFiles.numbers(root).filter { $0.contains("loss") }.count == 3)
        #expect(try !EventFiles.numbers(root).contains { $0.contains("accuracy") })
        try second.began(run(from: 3))
        try second.logged(evaluation(3))
        try second.logged(training(4))
        #expect(EventFiles.paths(root).count == 2)
        #expect(
            Set(EventFiles.paths(root).map { URL(fileURLWithPath: $0).deletingLastPathComponent().path }).count == 1)
        let third = report(scratch.path)
        try third.rewind(to: 2, evaluationIsDue: false)  // the newest checkpoint was damaged
        #expect(EventFiles.paths(root) == [file])
        try third.began(run(from: 2))
        for step in 3...4 { try third.logged(training(step)) }
        #expect(try EventFiles.numbers(root).filter { $0.contains("loss") } == (1...4).map { "\($0) train/loss 0.25" })
        try report(scratch.path).rewind(to: -1, evaluationIsDue: false)
        #expect(EventFiles.paths(root).isEmpty)
    }

    /// Runs that write into one folder leave each other's files alone.
    @Test func aFolderOfSeveralRunsIsShared() throws {
        let scratch = try TemporaryDirectory()
        let environment = ["TENSORBOARD_LOGGING_DIR": scratch.path + "/board"]
        let (a, b) = (report(scratch.path + "/a", environment), report(scratch.path + "/b", environment))
        try a.began(run())
        try a.logged(training(1))
        try b.began(run())
        try b.logged(training(2))
        #expect(EventFiles.paths(scratch.path + "/board").count == 2)
        try a.rewind(to: -1, evaluationIsDue: false)
        #expect(try EventFiles.numbers(scratch.path + "/board").filter { $0.contains("loss") } == ["2 train/loss 0.25"])
    }

    @Test(
        .enabled(
            if: ProcessInfo.processInfo.environment["TUTTI_PEER"].map { !$0.isEmpty } ?? false,
            "launch/test --real has TensorBoard"))
    func realTensorBoardReadsTheFiles() throws {
        let peer = try #require(ProcessInfo.processInfo.environment["TUTTI_PEER"], "TUTTI_PEER is not set")
        let scratch = try TemporaryDirectory()
        let first = report(scratch.path)
        try first.began(run())
        for step in 1...3 { try first.logged(training(step)) }
        let second = report(scratch.path)
        try second.rewind(to: 2, evaluationIsDue: false)
        try second.began(run(from: 2))
        try second.logged(training(3))
        try second.logged(evaluation(3))
        try second.logged(measured)
        try second.finished()
        let folder = URL(fileURLWithPath: try #require(EventFiles.paths(scratch.path + "/runs").first))
            .deletingLastPathComponent()
        func series(_ value: Float, _ steps: [Int]) -> JSONValue {
            .array(steps.map { .array([.integer(Int64($0)), .number(Double(value))]) })
        }
        let expected: JSONObject = [
            "scalars": .object([
                "train/epoch": series(0.5, [1, 2, 3, 3, 4]), "train/loss": series(0.25, [1, 2, 3, 4]),
                "train/learning_rate": series(0.1, [1, 2, 3, 4]), "eval/dev_accuracy": series(0.75, [3]),
                "gradients/embeddings": series(3, [4]), "gradients/encoder.layer.0": series(5, [4]),
            ]),
            "texts": .object([
                "args": .string("    \"optim\": \"adamw_torch\""), "model_config": .string("\"model_type\": \"bert\""),
            ]),
            "hyperparameters": .object([
                "learning_rate": .number(0.1), "bf16": .bool(true), "optim": .string("adamw_torch"),
                "metric_for_best_model": .string("dev_accuracy"),
            ]),
            // Least, most, how many, their sum and that of their squares.
            "histograms": .object([
                "gradients_of_tensors/embeddings": .array([3, 3, 1, 3, 9].map(JSONValue.number)),
                "gradients_of_tensors/encoder.layer.0": .array([3, 4, 2, 7, 25].map(JSONValue.number)),
                "gradients_of_layers": .array([3, 5, 2, 8, 34].map(JSONValue.number)),
            ]),
            "metrics": .array([.string("train/loss"), .string("eval/dev_accuracy")]),
        ]
        try AtomicWrite.file(
            path: folder.path + "/expected.json", text: JSONValue.object(expected).serialized(indent: 1))
        let script = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .appendingPathComponent("Golden/check_tensorboard.py").path
        let python = Process()
        python.executableURL = URL(fileURLWithPath: "\(peer)/bin/python")
        python.arguments = [script, folder.path]
        try python.run()
        python.waitUntilExit()
        #expect(python.terminationStatus == 0, "\(script) failed")
    }
}
