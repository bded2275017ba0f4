// A run that version 0.1.0 began and was asked to stop goes on: its files are in Tests/Golden/run-format-1.

import Foundation
import TestSupport
import Testing
import TuttiFormats
import TuttiGround

@Suite(.serialized) struct EarlierRunTests {
    private let golden = TuttiProcess.root + "/Tests/Golden/run-format-1"

    /// A copy of the run beside its model and rows, which it names by relative paths.
    private func copy(to path: String) throws {
        let files = FileManager.default
        for name in ["run", "run.yaml"] { try files.copyItem(atPath: golden + "/" + name, toPath: path + "/" + name) }
        for name in ["model", "rows.jsonl"] {
            try files.copyItem(
                atPath: TuttiProcess.root + "/Tests/Golden/training/bert-sgd/" + name, toPath: path + "/" + name)
        }
    }

    private func train(in path: String, _ more: String...) throws -> Outcome {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: try TuttiProcess.executable)
        process.arguments = ["train", "run.yaml", "--gemm", "tutti", "--threads", "1"] + more
        process.currentDirectoryURL = URL(fileURLWithPath: path)
        let (output, errors) = (Pipe(), Pipe())
        (process.standardOutput, process.standardError) = (output, errors)
        try process.run()
        return TuttiProcess.outcome(of: process, output, errors)
    }

    private func lines(_ path: String) throws -> [JSONObject] {
        try String(contentsOfFile: path, encoding: .utf8).split(separator: "\n").map { line in
            try #require(try JSONValue.parse(String(line)).object)
        }
    }

    @Test func itGoesOnWithTheSameLosses() throws {
        let folder = try TemporaryDirectory()
        try copy(to: folder.path)
        let run = try train(in: folder.path)
        #expect(run.code == 0, "\(run.errors)")
        #expect(run.output.contains("an earlier version began") && run.output.contains("Resuming after step 10 of 22."))
        #expect(run.output.split(separator: "\n").filter { $0.contains("earlier version") }.count == 1, "\(run.output)")
        // The earlier version did not evaluate after the last step.
        let mine = try lines(folder.path + "/run/metrics.jsonl").filter { line in
            line["step"]?.int != 22 || line["learning_rate"] != nil || line["train_runtime"] != nil
        }
        let theirs = try lines(golden + "/expected-metrics.jsonl")
        #expect(mine.count == theirs.count)
        for (a, b) in zip(mine, theirs) {
            #expect(a["step"] == b["step"] && a["tokens"] == b["tokens"])
            for key in ["loss", "grad_norm", "learning_rate", "train_loss"] where b[key] != nil {
                let (x, y) = (try #require(a[key]?.double), try #require(b[key]?.double))
                #expect(abs(x - y) <= 1e-4 * max(1, abs(y)), "\(key) of step \(a["step"]?.int ?? 0): \(x), \(y)")
            }
        }
        #expect(try train(in: folder.path).output.contains("holds this run, finished"))
    }

    /// The identity of the old run is kept through a second interruption.
    @Test func itsCheckpointsStayItsOwn() throws {
        let folder = try TemporaryDirectory()
        try copy(to: folder.path)
        // A file-size limit of a few KiB ends the run at its next save, after tutti_run.json has been written anew.
        let limited = Process()
        limited.executableURL = URL(fileURLWithPath: "/bin/bash")
        limited.arguments = [
            "-c", "ulimit -f 64; exec \"$@\"", "limited", try TuttiProcess.executable, "train", "run.yaml", "--gemm",
            "tutti", "--threads", "1",
        ]
        limited.currentDirectoryURL = URL(fileURLWithPath: folder.path)
        (limited.standardOutput, limited.standardError) = (FileHandle.nullDevice, FileHandle.nullDevice)
        try limited.run()
        limited.waitUntilExit()
        #expect(limited.terminationStatus == 75)
        let run = try train(in: folder.path)
        #expect(run.code == 0 && run.output.contains("Resuming after step 10 of 22."), "\(run.output) \(run.errors)")
    }

    @Test func anotherConfigurationIsRefused() throws {
        let folder = try TemporaryDirectory()
        try copy(to: folder.path)
        let run = try train(in: folder.path, "--set", "args.learning_rate=0.2")
        #expect(run.code == 64)
        #expect(run.errors.contains("\"args.learning_rate\" was 0.1 and is 0.2"), "\(run.errors)")
    }
}
