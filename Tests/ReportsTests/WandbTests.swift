// Offline runs of Weights & Biases: the framing of records, what they hold, and that a line is there once over resumptions.

import Foundation
import TestSupport
import Testing
import TuttiFormats
import TuttiGround
import TuttiReports

@Suite struct WandbTests {
    private func report(_ folder: String, _ environment: [String: String] = [:]) -> WandbReport {
        WandbReport(ReportContext(outputDirectory: folder, runName: "first"), environment: environment)
    }

    private func run(from step: Int = 0) -> ReportedRun {
        ReportedRun(
            name: "first", totalSteps: 9, resumedFrom: step,
            arguments: [
                "learning_rate": .number(0.1), "optim": .string("adamw_torch"), "lists": .array([.integer(1)]),
            ],
            modelConfiguration: "{\"model_type\": \"bert\"}")
    }

    private func training(_ step: Int) -> LogLine {
        LogLine(
            .training,
            [
                "step": .integer(Int64(step)), "epoch": .number(0.5), "loss": .number(0.25),
                "learning_rate": .number(0.1),
            ])
    }

    private func evaluation(_ step: Int) -> LogLine {
        LogLine(
            .evaluation, ["step": .integer(Int64(step)), "epoch": .number(0.5), "eval_dev_accuracy": .number(0.75)])
    }

    private func closing(_ step: Int) -> LogLine {
        LogLine(.closing, ["train_runtime": .number(3), "step": .integer(Int64(step)), "epoch": .number(1)])
    }

    private func files(_ folder: String) -> [String] {
        let names = FileManager.default.enumerator(atPath: folder)?.compactMap { $0 as? String } ?? []
        return names.filter { $0.hasSuffix(".wandb") }.sorted().map { folder + "/" + $0 }
    }

    @Test func recordsOfEverySizeAreRead() {
        var file = BlockRecordFile.header
        // Around the ends of blocks: a frame of seven bytes that just fits, or does not.
        let sizes = [
            0, 1, 100, 32_768 - 7 - 7 - 7 - 1 - 7 - 100 - 7 - 7, 5, 32_754, 100_000, 32_761, 32_760, 32_755, 3,
        ]
        let records = sizes.enumerated().map { Array(repeating: UInt8($0.offset), count: $0.element) }
        for record in records { file += BlockRecordFile.record(record, after: file.count) }
        let read = BlockRecordFile.records(in: file)
        #expect(read.map(\.data.count) == sizes)
        #expect(zip(read, records).allSatisfy { $0.data == $1 })
        #expect(read.last?.end == file.count)
        // A cut or damaged record ends the file.
        #expect(BlockRecordFile.records(in: Array(file.dropLast())).count == records.count - 1)
        file[BlockRecordFile.header.count + 20] ^= 1
        #expect(BlockRecordFile.records(in: file).count < 3)
        #expect(BlockRecordFile.records(in: [1, 2, 3]).isEmpty)
    }

    @Test func aRunIsInOneFile() throws {
        let scratch = try TemporaryDirectory()
        let report = report(scratch.path, ["WANDB_PROJECT": "mine", "WANDB_TAGS": "a,b"])
        try report.rewind(to: -1, evaluationIsDue: false)
        try report.began(run())
        try report.logged(training(1))
        try report.logged(evaluation(1))
        try report.logged(closing(1))
        try report.finished()
        let path = try #require(files(scratch.path).first)
        #expect(path.contains("/wandb/offline-run-") && files(scratch.path).count == 1)
        let text = String(decoding: try MappedFile(path: path).contents, as: UTF8.self)
        for part in [
            "mine", "first", "adamw_torch", "model/config", "eval/dev_accuracy", "train/loss", "train/global_step",
        ] {
            #expect(text.contains(part), "\(part)")
        }
    }

    @Test func aResumedRunHasEveryLineOnce() throws {
        let scratch = try TemporaryDirectory()
        let first = report(scratch.path)
        try first.began(run())
        for step in 1...3 { try first.logged(training(step)) }
        try first.logged(evaluation(3))
        let path = try #require(files(scratch.path).first)
        // A kill cuts the last record.
        let bytes = try MappedFile(path: path).contents
        try Data(bytes + BlockRecordFile.record([1, 2, 3], after: bytes.count).dropLast()).write(
            to: URL(fileURLWithPath: path))
        let second = report(scratch.path)
        try second.rewind(to: 3, evaluationIsDue: true)
        try second.began(run(from: 3))
        try second.logged(evaluation(3))
        try second.logged(closing(3))
        try second.finished()
        #expect(files(scratch.path) == [path])
        #expect(try BlockRecordFile.records(in: MappedFile(path: path).contents).count == 14)
        // A longer run goes on behind its last line.
        let third = report(scratch.path)
        try third.rewind(to: 3, evaluationIsDue: false)
        try third.began(run(from: 3))
        try third.logged(training(4))
        let records = try BlockRecordFile.records(in: MappedFile(path: path).contents)
        #expect(records.count == 12)  // header, run, five lines with their summaries
        #expect(records.last?.end == (try MappedFile(path: path).contents.count))
        try report(scratch.path).rewind(to: -1, evaluationIsDue: false)
        #expect(files(scratch.path).isEmpty)
    }

    /// Runs that write below one folder leave each other's files alone.
    @Test func aFolderOfSeveralRunsIsShared() throws {
        let scratch = try TemporaryDirectory()
        let environment = ["WANDB_DIR": scratch.path + "/shared"]
        let (a, b) = (report(scratch.path + "/a", environment), report(scratch.path + "/b", environment))
        try a.began(run())
        try a.logged(training(1))
        try b.began(run())
        try b.logged(training(2))
        #expect(files(scratch.path + "/shared").count == 2)
        try a.rewind(to: -1, evaluationIsDue: false)
        #expect(files(scratch.path + "/shared").count == 1)
    }

    /// W&B's own reader finds every line once, the configuration and the end.
    @Test(
        .enabled(
            if: ProcessInfo.processInfo.environment["TUTTI_WANDB"].map { !$0.isEmpty } ?? false,
            "launch/test --real has wandb"))
    func realWandbReadsTheRun() throws {
        let python = try #require(ProcessInfo.processInfo.environment["TUTTI_WANDB"], "TUTTI_WANDB is not set")
        let scratch = try TemporaryDirectory()
        let first = report(scratch.path, ["WANDB_PROJECT": "mine", "WANDB_TAGS": "a,b"])
        try first.began(run())
        for step in 1...400 { try first.logged(training(step)) }  // several blocks
        try first.logged(evaluation(400))
        let second = report(scratch.path)
        try second.rewind(to: 399, evaluationIsDue: false)
        try second.began(run(from: 399))
        try second.logged(training(400))
        try second.logged(evaluation(400))
        try second.logged(closing(400))
        try second.finished()
        let path = try #require(files(scratch.path).first)
        let script = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .appendingPathComponent("Golden/check_wandb.py").path
        let process = Process()
        process.executableURL = URL(fileURLWithPath: python)
        process.arguments = [script, path]
        try process.run()
        process.waitUntilExit()
        #expect(process.terminationStatus == 0, "\(script) failed")
    }
}
