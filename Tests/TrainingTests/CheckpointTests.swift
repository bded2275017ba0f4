// Which checkpoints are kept, and that the best one is what a run ends with.

import Foundation
import TestSupport
import Testing
import TuttiCorpus
import TuttiEnsemble
import TuttiFormats
import TuttiGround
import TuttiModels
import TuttiReports
import TuttiTraining

/// Puts a link to another file where the run's log would be.
private final class LinkedLog: Report {
    private let (log, other): (String, String)
    init(_ output: String, to other: String) { (log, self.other) = (output + "/metrics.jsonl", other) }
    func began(_ run: ReportedRun) { symlink(other, log) }
}

@Suite struct CheckpointTests {
    private func checkpoints(_ output: String) throws -> [Int] {
        try FileManager.default.contentsOfDirectory(atPath: output)
            .compactMap { $0.hasPrefix("checkpoint-") ? Int($0.dropFirst(11)) : nil }.sorted()
    }

    private func run() -> TinyRun {
        var run = TinyRun.elevenSteps()
        run.arguments.loggingSteps = 2
        run.arguments.saveSteps = 2
        run.arguments.evalStrategy = .steps
        run.evaluation = true
        return run
    }

    @Test func theLimitKeepsTheNewest() throws {
        let scratch = try TemporaryDirectory()
        var run = run()
        run.arguments.saveTotalLimit = 2
        _ = try run.train(scratch.path + "/run")
        #expect(try checkpoints(scratch.path + "/run") == [10, 11])
    }

    @Test func theBestIsKeptAndIsTheFinalModel() throws {
        let scratch = try TemporaryDirectory()
        let output = scratch.path + "/run"
        var run = run()
        run.arguments.saveTotalLimit = 1
        run.arguments.loadBestModelAtEnd = true
        // Larger is "better", so that the first evaluation wins: the final model must not be the last one.
        run.arguments.greaterIsBetter = true
        _ = try run.train(output)
        let best = try metricsLines(output).filter { $0["eval_loss"] != nil }
            .max { ($0["eval_loss"]?.double ?? 0) < ($1["eval_loss"]?.double ?? 0) }?["step"]?.int
        let kept = try checkpoints(output)
        #expect(kept.contains(try #require(best)))
        func bytes(_ path: String) throws -> Data { try Data(contentsOf: URL(fileURLWithPath: path)) }
        let final = try bytes(output + "/final/model.safetensors")
        #expect(try final == bytes(output + "/checkpoint-\(try #require(best))/model.safetensors"))
        if let last = kept.last, last != best {
            #expect(try final != bytes(output + "/checkpoint-\(last)/model.safetensors"))
        }
        let state = try JSONValue.parse(file: output + "/checkpoint-\(try #require(best))/trainer_state.json")
        #expect(state["best_model_checkpoint"]?.string == "checkpoint-\(try #require(best))")
    }

    /// A log that cannot be written stands for every failed write of rank zero.
    @Test func aFailedWriteIsRetryableAndTheRunCanGoOn() throws {
        let scratch = try TemporaryDirectory()
        let output = scratch.path + "/run"
        var run = run()
        run.arguments.saveStrategy = .no
        run.arguments.evalStrategy = .no
        let other = scratch.path + "/other"
        let error = #expect(throws: TuttiError.self) { try run.train(output, report: LinkedLog(output, to: other)) }
        #expect(error?.kind == .retryable)
        #expect(error?.description.contains("metrics.jsonl") == true)
        #expect(!FileManager.default.fileExists(atPath: other))
        try FileManager.default.removeItem(atPath: output + "/metrics.jsonl")
        #expect(try run.train(output).outcome == .finished)
    }

    @Test func aDivergingRunStopsWithItsCode() throws {
        let scratch = try TemporaryDirectory()
        var run = run()
        run.arguments.learningRate = 1e30
        run.arguments.maxGradNorm = 0
        let error = #expect(throws: TuttiError.self) { try run.train(scratch.path + "/run") }
        #expect(error?.kind == .diverged)
    }

    @Test func anEvaluationBeforeTheFirstStepIsNeverTheBest() throws {
        let scratch = try TemporaryDirectory()
        let output = scratch.path + "/run"
        var run = run()
        run.arguments.loadBestModelAtEnd = true
        run.arguments.evalOnStart = true
        run.arguments.greaterIsBetter = true  // the untrained model has the largest loss
        _ = try run.train(output)
        #expect(try metricsLines(output).first?["step"]?.int == 0)
        let kept = try #require(try checkpoints(output).first)
        let state = try JSONValue.parse(file: output + "/checkpoint-\(kept)/trainer_state.json")
        #expect(try #require(state["best_global_step"]?.int) > 0)
    }

    @Test func rotationDoesNotCountWhatTheRunWentBackFrom() throws {
        let scratch = try TemporaryDirectory()
        let output = scratch.path + "/run"
        var run = run()
        run.arguments.saveTotalLimit = 1
        let stopping = CheckpointWatcher(stopAfter: 9)
        #expect(try run.train(output, report: stopping).outcome == .preempted(step: 9))
        let last = try #require(try checkpoints(output).last)
        let weights = output + "/checkpoint-\(last)/model.safetensors"
        var bytes = try Data(contentsOf: URL(fileURLWithPath: weights))
        bytes.append(0)
        try bytes.write(to: URL(fileURLWithPath: weights))
        let watcher = CheckpointWatcher()
        _ = try run.train(output, report: watcher)
        #expect(!watcher.savedPaths.isEmpty && watcher.missing.isEmpty, "\(watcher.missing)")
    }

    @Test func epochsWithoutABatchArePassedOver() throws {
        let scratch = try TemporaryDirectory()
        let rows = [
            "{\"a\": \"baba\", \"b\": \"cece\"}", "{\"a\": \"cece\", \"b\": \"didi\"}",
            "{\"a\": \"didi\", \"b\": \"fofo\"}",
        ]
        try Data(rows.joined(separator: "\n").utf8).write(to: URL(fileURLWithPath: scratch.path + "/rows.jsonl"))
        var run = run()
        run.arguments.batchSampler = NoDuplicatesBatchSampler()
        run.arguments.perDeviceTrainBatchSize = 4
        run.arguments.maxSteps = 6
        run.arguments.saveStrategy = .no
        run.arguments.evalStrategy = .no
        var inputs = try run.inputs(scratch.path + "/run")
        inputs.trainDataset = try loadTable(DatasetSpecification(path: scratch.path + "/rows.jsonl"))
        inputs.evalDataset = nil
        // Some epochs of these rows have a batch and some have none; which, the seed decides.
        for seed in 0..<20 as Range<UInt64> {
            inputs.arguments.seed = seed
            inputs.outputDirectory = scratch.path + "/run-\(seed)"
            do {
                let outcome = try Trainer(
                    inputs, ensemble: LocalEnsemble.single()
                ).train()
                #expect(outcome == .finished)
            } catch let error as TuttiError {
                #expect(error.kind == .data, "an unlucky first epoch says so")
            }
        }
    }
}

/// Notes which folders exist when they are said to be saved; may ask the run to stop after a step.
private final class CheckpointWatcher: Report, AsksToStop {
    let stop = StopRequest()
    private let stopAfter: Int?
    private(set) var savedPaths: [String] = []
    private(set) var missing: [String] = []
    init(stopAfter: Int? = nil) { self.stopAfter = stopAfter }
    func stepped(_ progress: StepProgress) {
        if progress.step == stopAfter { stop.ask(.saveAndStop) }
    }
    func saved(_ path: String) {
        savedPaths.append(path)
        if !FileManager.default.fileExists(atPath: path) { missing.append(path) }
    }
}
