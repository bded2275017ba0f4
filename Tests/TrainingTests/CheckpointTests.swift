// Which checkpoints are kept, and that the best one is what a run ends with.

import Foundation
import TestSupport
import Testing
import TuttiEnsemble
import TuttiFormats
import TuttiModels
import TuttiTraining

@Suite struct CheckpointTests {
    private func checkpoints(_ output: String) throws -> [Int] {
        try FileManager.default.contentsOfDirectory(atPath: output)
            .compactMap { $0.hasPrefix("checkpoint-") ? Int($0.dropFirst(11)) : nil }.sorted()
    }

    private func run() -> TinyRun {
        var run = TinyRun("bert-sgd")
        run.arguments.numTrainEpochs = 1
        run.arguments.perDeviceTrainBatchSize = 8
        run.arguments.optim = "sgd"
        run.arguments.learningRate = 0.5
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

    @Test func aFullDiskIsRetryableAndLosesNothing() throws {
        let scratch = try TemporaryDirectory()
        let output = scratch.path + "/run"
        var run = run()
        run.arguments.saveStrategy = .no
        run.arguments.evalStrategy = .no
        // A log that cannot be written stands for every failed write of rank zero.
        try FileManager.default.createDirectory(atPath: output, withIntermediateDirectories: true)
        try FileManager.default.createSymbolicLink(
            atPath: output + "/metrics.jsonl", withDestinationPath: "/dev/full")
        var inputs = try run.inputs(output)
        inputs.overwrite = true
        inputs.arguments = run.arguments
        let error = #expect(throws: RootFailure.self) {
            try Trainer(inputs, ensemble: LocalEnsemble.single(), observer: SilentObserver()).train()
        }
        #expect(error?.code == 75)
        #expect(error?.message.contains("metrics.jsonl") == true)
    }

    @Test func aDivergingRunStopsWithItsCode() throws {
        let scratch = try TemporaryDirectory()
        var run = run()
        run.arguments.learningRate = 1e30
        run.arguments.maxGradNorm = 0
        let error = #expect(throws: RootFailure.self) { try run.train(scratch.path + "/run") }
        #expect(error?.code == 70)
    }
}
