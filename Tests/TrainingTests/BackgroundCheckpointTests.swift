// Checkpoints that are written while training goes on: what they hold, what they share, what a failed write does.

import Foundation
import TestSupport
import Testing
import TuttiEnsemble
import TuttiFormats
import TuttiGround
import TuttiReports
import TuttiTraining

/// A disk on which no file can grow beyond 8 KiB from a step on.
private final class FullDisk: Report {
    private let step: Int
    private var before = rlimit()
    private let resource = __rlimit_resource_t(RLIMIT_FSIZE.rawValue)

    init(from step: Int) {
        self.step = step
        signal(SIGXFSZ, SIG_IGN)
        getrlimit(resource, &before)
    }

    func stepped(_ progress: StepProgress) {
        if progress.step == step {
            var small = rlimit(rlim_cur: 8192, rlim_max: before.rlim_max)
            setrlimit(resource, &small)
        }
    }

    func restore() { setrlimit(resource, &before) }
}

@Suite(.serialized) struct BackgroundCheckpointTests {
    private func run(inBackground: Bool, emaDecay: Double? = nil) -> TinyRun {
        var run = TinyRun("bert-adamw")
        run.arguments.numTrainEpochs = 1
        run.arguments.perDeviceTrainBatchSize = 8
        run.arguments.globalTrainBatchSize = 8
        run.arguments.learningRate = 0.01
        run.arguments.loggingSteps = 1
        run.arguments.saveSteps = 1
        run.arguments.saveInBackground = inBackground
        run.arguments.emaDecay = emaDecay
        return run
    }

    private func train(_ run: TinyRun, _ output: String, world: Int) throws {
        let finished = try LocalEnsemble.run(world: world) { try run.train(output, ensemble: $0).outcome == .finished }
        #expect(finished.allSatisfy { $0 })
    }

    private func bytes(_ path: String) throws -> Data { try Data(contentsOf: URL(fileURLWithPath: path)) }

    private func fileNumber(_ path: String) throws -> UInt64 {
        try #require(try FileManager.default.attributesOfItem(atPath: path)[.systemFileNumber] as? UInt64)
    }

    /// The numbers of its step, not those that training has gone on to.
    @Test(arguments: [(1, nil), (2, nil), (2, 0.9)] as [(Int, Double?)])
    func aCheckpointHoldsItsStep(world: Int, emaDecay: Double?) throws {
        let scratch = try TemporaryDirectory()
        let (beside, between) = (scratch.path + "/beside", scratch.path + "/between")
        try train(run(inBackground: true, emaDecay: emaDecay), beside, world: world)
        try train(run(inBackground: false, emaDecay: emaDecay), between, world: world)
        var seen: [Data] = []
        for step in 1...11 {
            for file in ["model.safetensors", "optimizer.safetensors", "trainer_state.json"] {
                let path = "/checkpoint-\(step)/" + file
                #expect(try bytes(beside + path) == bytes(between + path), "\(path)")
            }
            seen.append(try bytes(beside + "/checkpoint-\(step)/model.safetensors"))
        }
        #expect(Set(seen).count == 11, "training changed nothing")
    }

    @Test func checkpointsShareTheTokenizerAndADamagedOneIsWrittenAnew() throws {
        let scratch = try TemporaryDirectory()
        let output = scratch.path + "/run"
        let run = run(inBackground: true)
        #expect(try run.train(output, report: AskAfter(step: 4)).outcome == .preempted(step: 4))
        let names = try FileManager.default.contentsOfDirectory(atPath: output + "/checkpoint-4")
        let shared = try names.filter {
            try fileNumber(output + "/checkpoint-4/" + $0) == fileNumber(output + "/checkpoint-2/" + $0)
        }
        #expect(shared.contains("tokenizer.json") && !shared.contains("model.safetensors"), "\(shared)")

        let whole = try bytes(output + "/checkpoint-4/tokenizer.json")
        let file = try FileHandle(forWritingTo: URL(fileURLWithPath: output + "/checkpoint-4/tokenizer.json"))
        try file.write(contentsOf: Data("damage".utf8))
        try file.close()
        #expect(try bytes(output + "/checkpoint-2/tokenizer.json") != whole)
        let notices = Notices()
        #expect(try run.train(output, report: notices).outcome == .finished)
        #expect(notices.lines.contains { $0.contains("tokenizer.json was damaged, and is written anew") })
        #expect(try bytes(output + "/checkpoint-4/tokenizer.json") == whole)
        let steps = try trainingLines(output).compactMap { $0["step"]?.int }
        #expect(steps == Array(1...19))
    }

    /// A disk that fills up ends the run with its code, and the newest whole checkpoint is there to go on from.
    @Test(arguments: [true, false]) func aFailedWriteEndsTheRun(inBackground: Bool) throws {
        let scratch = try TemporaryDirectory()
        let output = scratch.path + "/run"
        let run = run(inBackground: inBackground)
        let disk = FullDisk(from: 5)
        let error = #expect(throws: TuttiError.self) { try run.train(output, report: disk) }
        disk.restore()
        #expect(error?.kind == .retryable)
        #expect(!FileManager.default.fileExists(atPath: output + "/checkpoint-6"))
        #expect(FileManager.default.fileExists(atPath: output + "/checkpoint-3"))
        #expect(try run.train(output).outcome == .finished)
        try train(run, scratch.path + "/whole", world: 1)
        #expect(
            try bytes(output + "/final/model.safetensors") == bytes(scratch.path + "/whole/final/model.safetensors"))
    }
}

/// Keeps the notices of a run.
private final class Notices: Report {
    private(set) var lines: [String] = []
    func notice(_ text: String) { lines.append(text) }
}
