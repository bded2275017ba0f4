// Two processes and one output_dir.

import Foundation
import TestSupport
import Testing

@Suite(.serialized) struct LockTests {
    private static let times = ["--lock-times", "0.2,2,1"]

    private func workshop(_ path: String, steps: Int) throws -> Workshop {
        let workshop = try Workshop(path, golden: "bert-adamw")
        try workshop.configure(args: "  max_steps: \(steps)\n  save_steps: 20")
        return workshop
    }

    @Test func aSecondProcessIsRefusedAndADeadOneKeepsNothing() throws {
        let folder = try TemporaryDirectory()
        let workshop = try workshop(folder.path, steps: 100_000)
        let first = try Ranks.start(workshop, 1, "tutti", more: Self.times)
        defer { kill(first.process.processIdentifier, SIGKILL) }
        first.waitForSteps()
        let second = try TuttiProcess.run(["train", workshop.path + "/run.yaml", "--gemm", "tutti"] + Self.times)
        #expect(second.code == 64)
        #expect(second.errors.contains("process \(first.process.processIdentifier) on "), "\(second.errors)")
        #expect(first.process.isRunning)
        while !workshop.exists("run/checkpoint-20") { usleep(10000) }
        kill(first.process.processIdentifier, SIGKILL)
        first.process.waitUntilExit()
        #expect(workshop.exists("run/tutti_run.lock"))
        let began = Date()
        let third = try Ranks.start(workshop, 1, "tutti", more: Self.times)
        third.waitForSteps(named: "Resuming after step")
        #expect(Date().timeIntervalSince(began) < 20)
        third.send(SIGUSR2)
        #expect(third.wait().code == 85)
        #expect(!workshop.exists("run/tutti_run.lock"))
    }

    /// Twice the same job at the same time: one trains, the other waits for it and finds the run finished.
    @Test func aJobSubmittedTwiceTrainsOnce() throws {
        let folder = try TemporaryDirectory()
        let workshop = try workshop(folder.path, steps: 40)
        let both = try (0..<2).map { _ in
            try TuttiProcess.start([
                "train", workshop.path + "/run.yaml", "--gemm", "tutti", "--lock-times", "0.2,2,60",
            ])
        }
        for process in both {
            process.waitUntilExit()
            #expect(process.terminationStatus == 0)
        }
        let lines = String(decoding: try workshop.read("run/metrics.jsonl"), as: UTF8.self).split(separator: "\n")
        #expect(lines.count == 41)  // forty steps and the closing line
    }

    @Test func aRunThatWasTakenOverStopsWithoutWriting() throws {
        let folder = try TemporaryDirectory()
        let workshop = try workshop(folder.path, steps: 1_000_000)
        let run = try Ranks.start(workshop, 1, "tutti", more: Self.times)
        defer { kill(run.process.processIdentifier, SIGKILL) }
        run.waitForSteps()
        kill(run.process.processIdentifier, SIGSTOP)  // a host that hangs: no beat
        let lock = workshop.path + "/run/tutti_run.lock"
        let text = try String(contentsOfFile: lock, encoding: .utf8)
        try Data(
            text.replacing("\"token\"", with: "\"token\": \"other\", \"x\"").replacing("beat 0", with: "beat 9").utf8
        )
        .write(to: URL(fileURLWithPath: lock + ".new"))
        #expect(rename(lock + ".new", lock) == 0)
        let before = try workshop.read("run/metrics.jsonl")
        Thread.sleep(forTimeInterval: 1)
        kill(run.process.processIdentifier, SIGCONT)
        let end = run.wait()
        #expect(end.code == 75, "\(end.errors)")
        #expect(end.errors.contains("taken it over"), "\(end.errors)")
        #expect(try workshop.read("run/metrics.jsonl").count - before.count < 4096, "a step or two at most")
    }
}
