// Stopping and going on: the resumed run must end with the bits of an undisturbed one.

import Foundation
import TestSupport
import Testing
import TuttiCorpus
import TuttiEnsemble
import TuttiFormats
import TuttiGround
import TuttiKernels
import TuttiModels
import TuttiReports
import TuttiTraining

/// Asks the run for something after a step, as a scheduler's signal would.
final class AskAfter: Report, AsksToStop {
    let step: Int
    let level: StopRequest.Level
    let stop = StopRequest()
    init(step: Int, _ level: StopRequest.Level = .saveAndStop) {
        self.step = step
        self.level = level
    }
    func stepped(_ progress: StepProgress) {
        if progress.step == step { stop.ask(level) }
    }
}

@Suite(.serialized) struct ResumeTests {
    private func run() -> TinyRun {
        var run = TinyRun("bert-adamw")
        run.arguments.numTrainEpochs = 2
        run.arguments.perDeviceTrainBatchSize = 8
        run.arguments.gradientAccumulationSteps = 2
        run.arguments.batchSampler = NoDuplicatesBatchSampler()
        run.arguments.learningRate = 1e-3
        run.arguments.loggingSteps = 3
        run.arguments.evalStrategy = .steps
        run.arguments.evalSteps = 4
        run.arguments.saveSteps = 4
        run.arguments.saveTotalLimit = 2
        run.overrides = ["hidden_dropout_prob": .number(0.1), "attention_probs_dropout_prob": .number(0.1)]
        run.evaluation = true
        return run
    }

    private func bytes(_ path: String) throws -> [UInt8] { [UInt8](try Data(contentsOf: URL(fileURLWithPath: path))) }

    @Test func resumedRunHasTheSameBits() throws {
        let scratch = try TemporaryDirectory()
        let (whole, parts) = (scratch.path + "/whole", scratch.path + "/parts")
        #expect(try run().train(whole).outcome == .finished)
        let weights = try bytes(whole + "/final/model.safetensors")
        for step in [5, 9] {
            let outcome = try run().train(parts, report: AskAfter(step: step)).outcome
            #expect(outcome == .preempted(step: step))
        }
        #expect(try run().train(parts).outcome == .finished)
        #expect(try bytes(parts + "/final/model.safetensors") == weights)
        #expect(timeless(try metricsLines(parts)) == timeless(try metricsLines(whole)))
        #expect(try run().train(parts).outcome == .alreadyFinished)
    }

    /// Two ranks that share memory stop, go on by messages, stop, and go on sharing; the best model is taken at the end.
    @Test func ranksResumeWithTheSameBitsWithAndWithoutSharedMemory() throws {
        let scratch = try TemporaryDirectory()
        let (whole, parts) = (scratch.path + "/whole", scratch.path + "/parts")
        var run = run()
        run.arguments.loadBestModelAtEnd = true
        run.arguments.saveTotalLimit = nil
        func train(_ output: String, sharesNode: Bool, stopAfter step: Int?) throws -> [TrainingOutcome] {
            try LocalEnsemble.run(world: 2, sharesNode: sharesNode) { [run] ensemble in
                let report: (any Report)? =
                    step.map { AskAfter(step: $0) }
                return try run.train(output, ensemble: ensemble, report: report).outcome
            }
        }
        #expect(try train(whole, sharesNode: true, stopAfter: nil) == [.finished, .finished])
        for (step, sharesNode) in [(3, true), (5, false)] {
            let outcome = try train(parts, sharesNode: sharesNode, stopAfter: step)
            #expect(outcome == [.preempted(step: step), .preempted(step: step)])
        }
        #expect(try train(parts, sharesNode: true, stopAfter: nil) == [.finished, .finished])
        #expect(try bytes(parts + "/final/model.safetensors") == bytes(whole + "/final/model.safetensors"))
        #expect(timeless(try metricsLines(parts)) == timeless(try metricsLines(whole)))
        #expect(try train(parts, sharesNode: true, stopAfter: nil) == [.alreadyFinished, .alreadyFinished])
    }

    @Test(arguments: [1, 2])
    func aResumedRunTakesTheProviderOfItsCheckpoint(world: Int) throws {
        let scratch = try TemporaryDirectory()
        let (whole, parts, named) = (scratch.path + "/whole", scratch.path + "/parts", scratch.path + "/named")
        func train(_ output: String, _ provider: GemmProvider, isAutomatic: Bool, stops: Bool) throws -> GemmChoice {
            try withGemm(provider) {
                var run = run()
                run.gemmIsAutomatic = isAutomatic
                _ = try LocalEnsemble.run(world: world) { [run] ensemble in
                    let report: (any Report)? =
                        stops ? AskAfter(step: 5) : nil
                    return try run.train(output, ensemble: ensemble, report: report).outcome
                }
                return Gemm.choice
            }
        }
        _ = try train(whole, .tutti, isAutomatic: true, stops: false)
        for output in [parts, named] { _ = try train(output, .tutti, isAutomatic: true, stops: true) }
        #expect(try train(parts, .openblas, isAutomatic: true, stops: false) == GemmChoice(.tutti))
        #expect(try train(named, .openblas, isAutomatic: false, stops: false) == GemmChoice(.openblas))
        let weights = try bytes(whole + "/final/model.safetensors")
        #expect(try bytes(parts + "/final/model.safetensors") == weights)
        #expect(try bytes(named + "/final/model.safetensors") != weights, "providers that agree prove nothing")
    }

    @Test(arguments: [1, 2])
    func aResumedRunKeepsItsBlocks(world: Int) throws {
        let scratch = try TemporaryDirectory()
        let own = Compute.process.cacheBytes
        defer { Compute.process.cacheBytes = own }
        let other = own == 1 << 19 ? 1 << 20 : 1 << 19
        let output = scratch.path + "/run"
        for (cache, stops) in [(other, true), (own, false)] {
            Compute.process.cacheBytes = cache
            _ = try LocalEnsemble.run(world: world) { ensemble in
                try run().train(output, ensemble: ensemble, report: stops ? AskAfter(step: 5) : nil).outcome
            }
            let file = try JSONValue.parse(file: output + "/tutti_run.json").object
            #expect(file?["cache_bytes"]?.int == other && Compute.process.cacheBytes == other)
        }
    }

    @Test func aRunCutOffGoesBackToItsCheckpoint() throws {
        let scratch = try TemporaryDirectory()
        let (whole, cut) = (scratch.path + "/whole", scratch.path + "/cut")
        _ = try run().train(whole)
        // What a SIGKILL in the middle of a save leaves: an unfinished folder, a damaged newest checkpoint, lines of
        // steps that no checkpoint knows, half a line.
        #expect(try run().train(cut, report: AskAfter(step: 10)).outcome == .preempted(step: 10))
        let newest = cut + "/checkpoint-10/model.safetensors"
        var damaged = try bytes(newest)
        damaged[damaged.count / 2] ^= 1
        try Data(damaged).write(to: URL(fileURLWithPath: newest))
        try FileManager.default.createDirectory(
            atPath: cut + "/checkpoint-12.tmp", withIntermediateDirectories: true)
        var log = try bytes(cut + "/metrics.jsonl")
        log += Array("{\"step\": 11, \"lo".utf8)
        try Data(log).write(to: URL(fileURLWithPath: cut + "/metrics.jsonl"))
        #expect(try run().train(cut).outcome == .finished)
        #expect(try bytes(cut + "/final/model.safetensors") == bytes(whole + "/final/model.safetensors"))
        #expect(timeless(try metricsLines(cut)) == timeless(try metricsLines(whole)))
    }

    @Test func anotherRunIsRefusedAndOverwriteReplacesIt() throws {
        let scratch = try TemporaryDirectory()
        let output = scratch.path + "/run"
        var first = try run().inputs(output)
        first.arguments.maxSteps = 2
        first.configuration = .object(["args": .object(["seed": .integer(1)])])
        _ = try Trainer(first, ensemble: LocalEnsemble.single()).train()
        var second = try run().inputs(output)
        second.arguments.maxSteps = 3
        second.configuration = .object(["args": .object(["seed": .integer(2)])])
        let error = #expect(throws: TuttiError.self) {
            try Trainer(second, ensemble: LocalEnsemble.single()).train()
        }
        #expect(error?.kind == .usage)
        second.overwrite = true
        let outcome = try Trainer(second, ensemble: LocalEnsemble.single()).train()
        #expect(outcome == .finished)
        #expect(try metricsLines(output).last?["step"]?.int == 3)
    }

    @Test func aFolderThatIsNoRunIsLeftAlone() throws {
        let scratch = try TemporaryDirectory()
        try Data("mine".utf8).write(to: URL(fileURLWithPath: scratch.path + "/thesis.txt"))
        var inputs = try run().inputs(scratch.path)
        for overwrite in [false, true] {
            inputs.overwrite = overwrite
            let error = #expect(throws: TuttiError.self) {
                try Trainer(inputs, ensemble: LocalEnsemble.single()).train()
            }
            #expect(error?.kind == .usage)
        }
        #expect(try bytes(scratch.path + "/thesis.txt") == Array("mine".utf8))
    }

    @Test func savingOnRequestGoesOn() throws {
        let scratch = try TemporaryDirectory()
        let output = scratch.path + "/run"
        var run = run()
        run.arguments.saveStrategy = .no
        #expect(try run.train(output, report: AskAfter(step: 3, .save)).outcome == .finished)
        #expect(FileManager.default.fileExists(atPath: output + "/checkpoint-3/tutti_state.json"))
    }

    @Test func aStopOnRequestCanBeResumedWithoutOptimizerStateInOtherCheckpoints() throws {
        let scratch = try TemporaryDirectory()
        let (whole, parts) = (scratch.path + "/whole", scratch.path + "/parts")
        var run = run()
        run.arguments.saveOnlyModel = true
        #expect(try run.train(whole).outcome == .finished)
        #expect(try run.train(parts, report: AskAfter(step: 6)).outcome == .preempted(step: 6))
        #expect(try run.train(parts).outcome == .finished)
        #expect(try bytes(parts + "/final/model.safetensors") == bytes(whole + "/final/model.safetensors"))
    }
}
