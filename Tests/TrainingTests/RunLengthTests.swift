// Where a run ends and goes on: early stopping, the share of a schedule, more epochs, another run's checkpoint, averages.

import Foundation
import TestSupport
import Testing
import TuttiEnsemble
import TuttiFormats
import TuttiGround
import TuttiTraining

@Suite(.serialized) struct RunLengthTests {
    private func bytes(_ path: String) throws -> [UInt8] { [UInt8](try Data(contentsOf: URL(fileURLWithPath: path))) }
    private func weights(_ output: String) throws -> [UInt8] { try bytes(output + "/final/model.safetensors") }
    private func lastStep(_ output: String) throws -> Int? { try metricsLines(output).last?["step"]?.int }

    /// Trains on ranks that share a node; all must come to the same outcome.
    private func train(
        _ run: TinyRun, _ output: String, world: Int = 1, stopAfter step: Int? = nil
    ) throws -> TrainingOutcome {
        let outcomes = try LocalEnsemble.run(world: world) { ensemble in
            try run.train(output, ensemble: ensemble, report: step.map { AskAfter(step: $0) }).outcome
        }
        #expect(outcomes.allSatisfy { $0 == outcomes[0] })
        return outcomes[0]
    }

    private func run() -> TinyRun {
        var run = TinyRun.elevenSteps()
        run.arguments.perDeviceTrainBatchSize = 8
        run.arguments.globalTrainBatchSize = 8
        run.arguments.loggingSteps = 1
        run.arguments.saveSteps = 1
        return run
    }

    // ---- early stopping ----------------------------------------------------------------------------------------------

    private func stopping(patience: Int, threshold: Double) -> TinyRun {
        var run = run()
        run.evaluation = true
        (run.arguments.evalStrategy, run.arguments.evalSteps) = (.steps, 2)
        run.arguments.earlyStoppingPatience = patience
        run.arguments.earlyStoppingThreshold = threshold
        return run
    }

    /// The first evaluation always counts as better; no later one is better by 1000.
    @Test(arguments: [1, 2]) func stopsWhereNothingIsBetterByTheThreshold(world: Int) throws {
        let scratch = try TemporaryDirectory()
        #expect(try train(stopping(patience: 2, threshold: 1000), scratch.path + "/a", world: world) == .finished)
        #expect(try lastStep(scratch.path + "/a") == 6)
        // The control: every evaluation of this run is better than the one before.
        #expect(try train(stopping(patience: 2, threshold: 0), scratch.path + "/b", world: world) == .finished)
        #expect(try lastStep(scratch.path + "/b") == 11)
    }

    @Test func theCounterIsBackAfterAResumption() throws {
        let scratch = try TemporaryDirectory()
        let run = stopping(patience: 3, threshold: 1000)
        #expect(try train(run, scratch.path, stopAfter: 5) == .preempted(step: 5))
        let state = try JSONValue.parse(file: scratch.path + "/checkpoint-5/trainer_state.json")
        let kept = state["stateful_callbacks"]?["EarlyStoppingCallback"]?["attributes"]
        #expect(kept?["early_stopping_patience_counter"]?.int == 1)
        #expect(try train(run, scratch.path) == .finished)
        #expect(try lastStep(scratch.path) == 8)
    }

    // ---- stop_after, more epochs, checkpoints of other runs -----------------------------------------------------------

    @Test(arguments: [0.5, 6]) func stopsBeforeTheSchedulesEnd(stopAfter: Double) throws {
        let scratch = try TemporaryDirectory()
        let (whole, part) = (scratch.path + "/whole", scratch.path + "/part")
        var run = run()
        #expect(try train(run, whole) == .finished)
        run.arguments.stopAfter = stopAfter
        #expect(try train(run, part) == .finished)
        let (all, first) = (timeless(try trainingLines(whole)), timeless(try trainingLines(part)))
        #expect(all.count == 11 && first == Array(all.prefix(6)))
        #expect(try bytes(part + "/checkpoint-6/model.safetensors") == bytes(whole + "/checkpoint-6/model.safetensors"))
        // Without the key it goes on to the end, with the bits of the whole run.
        run.arguments.stopAfter = nil
        #expect(try train(run, part) == .finished)
        #expect(try weights(part) == weights(whole))
        #expect(timeless(try trainingLines(part)) == all)
    }

    @Test(arguments: [1, 2]) func aFinishedRunGoesOnForMoreEpochs(world: Int) throws {
        let scratch = try TemporaryDirectory()
        let (whole, parts) = (scratch.path + "/whole", scratch.path + "/parts")
        var run = run()
        run.arguments.schedulerType = "constant"
        #expect(try train(run, parts, world: world) == .finished)
        #expect(try train(run, parts, world: world) == .alreadyFinished)
        run.arguments.numTrainEpochs = 2
        #expect(try train(run, whole, world: world) == .finished)
        #expect(try train(run, parts, world: world) == .finished)
        #expect(try weights(parts) == weights(whole))
        #expect(timeless(try trainingLines(parts)) == timeless(try trainingLines(whole)))
        // Fewer epochs, or another setting beside the length, are another run.
        run.arguments.numTrainEpochs = 1
        #expect(throws: TuttiError.self) { try self.train(run, parts, world: world) }
        (run.arguments.numTrainEpochs, run.arguments.learningRate) = (3, 0.1)
        #expect(throws: TuttiError.self) { try self.train(run, parts, world: world) }
    }

    @Test func aFinishedRunWithoutACheckpointDoesNotBeginAnew() throws {
        let scratch = try TemporaryDirectory()
        var run = run()
        run.arguments.saveStrategy = .no
        #expect(try train(run, scratch.path) == .finished)
        run.arguments.numTrainEpochs = 2
        let error = #expect(throws: TuttiError.self) { try self.train(run, scratch.path) }
        #expect(error?.kind == .usage && error?.problem.contains("with a checkpoint") == true)
    }

    @Test(arguments: [1, 2]) func aRunBeginsWithAnotherRunsCheckpoint(world: Int) throws {
        let scratch = try TemporaryDirectory()
        let (whole, next) = (scratch.path + "/whole", scratch.path + "/next")
        var run = run()
        #expect(try train(run, whole, world: world) == .finished)
        run.arguments.resumeFromCheckpoint = .path(whole + "/checkpoint-4")
        #expect(try train(run, next, world: world, stopAfter: 6) == .preempted(step: 6))
        #expect(try train(run, next, world: world) == .finished)
        #expect(try weights(next) == weights(whole))
        #expect(try trainingLines(next).count == 7)
        run.arguments.resumeFromCheckpoint = .path(whole + "/final")
        let error = #expect(throws: TuttiError.self) { try self.train(run, scratch.path + "/third") }
        #expect(error?.kind == .missingFile)
    }

    @Test func resumptionThatIsRequiredDoesNotBeginAnew() throws {
        let scratch = try TemporaryDirectory()
        var run = run()
        run.arguments.resumeFromCheckpoint = .required
        let error = #expect(throws: TuttiError.self) { try self.train(run, scratch.path + "/a") }
        #expect(error?.kind == .usage && error?.problem.contains("no checkpoint") == true)
        #expect(!FileManager.default.fileExists(atPath: scratch.path + "/a"))
        run.arguments.resumeFromCheckpoint = .ifPresent
        #expect(try train(run, scratch.path + "/a", stopAfter: 3) == .preempted(step: 3))
        run.arguments.resumeFromCheckpoint = .required
        #expect(try train(run, scratch.path + "/a") == .finished)
    }

    // ---- averages, rates that follow the metric, layer-wise decay ------------------------------------------------------

    private func averaged(_ optimizer: String) -> TinyRun {
        var run = run()
        run.evaluation = true
        (run.arguments.evalStrategy, run.arguments.evalSteps, run.arguments.saveSteps) = (.steps, 3, 4)
        run.arguments.optim = optimizer
        run.arguments.learningRate = 1e-3
        if optimizer == "adamw_torch" { run.arguments.emaDecay = 0.8 }
        return run
    }

    /// What is trained does not notice that another set of weights is evaluated and saved.
    @Test(arguments: [1, 2]) func anAverageIsSavedAndNotTrained(world: Int) throws {
        let scratch = try TemporaryDirectory()
        let (plain, average) = (scratch.path + "/plain", scratch.path + "/average")
        var run = averaged("adamw_torch")
        #expect(try train(run, average, world: world) == .finished)
        run.arguments.emaDecay = nil
        #expect(try train(run, plain, world: world) == .finished)
        #expect(timeless(try trainingLines(average)) == timeless(try trainingLines(plain)))
        #expect(try weights(average) != weights(plain))
        let losses = try [plain, average].map { try metricsLines($0).compactMap { $0["eval_loss"]?.double } }
        #expect(losses[0].count == 4 && zip(losses[0], losses[1]).allSatisfy { $0 < $1 })  // an average comes later
        // An average that keeps nothing is the last weights.
        run.arguments.emaDecay = 1e-9
        #expect(try train(run, scratch.path + "/last", world: world) == .finished)
        let files = try [plain, scratch.path + "/last"].map {
            try SafetensorsFile(path: $0 + "/final/model.safetensors")
        }
        for name in ["embeddings.word_embeddings.weight", "encoder.layer.0.attention.output.dense.weight"] {
            let floats = try files.map { try $0.floats(name) }
            #expect(zip(floats[0], floats[1]).allSatisfy { abs($0 - $1) < 1e-6 })
        }
    }

    @Test(arguments: ["adamw_torch", "schedule_free_adamw"], [1, 2])
    func averagesResumeWithTheSameBits(_ optimizer: String, world: Int) throws {
        let scratch = try TemporaryDirectory()
        let (whole, parts) = (scratch.path + "/whole", scratch.path + "/parts")
        let run = averaged(optimizer)
        #expect(try train(run, whole, world: world) == .finished)
        for step in [2, 7] { #expect(try train(run, parts, world: world, stopAfter: step) == .preempted(step: step)) }
        #expect(try train(run, parts, world: world) == .finished)
        #expect(try weights(parts) == weights(whole))
        #expect(timeless(try metricsLines(parts)) == timeless(try metricsLines(whole)))
    }

    @Test func aRateThatFollowsTheMetricResumes() throws {
        let scratch = try TemporaryDirectory()
        let (whole, parts) = (scratch.path + "/whole", scratch.path + "/parts")
        var run = run()
        run.evaluation = true
        (run.arguments.evalStrategy, run.arguments.evalSteps) = (.steps, 1)
        run.arguments.schedulerType = "reduce_lr_on_plateau"
        // No evaluation is better by so much: every second one lowers the rate.
        run.arguments.schedulerOptions = [
            "patience": .integer(1), "threshold": .number(1000), "threshold_mode": .string("abs"),
            "factor": .number(0.5),
        ]
        #expect(try train(run, whole) == .finished)
        let rates = try trainingLines(whole).compactMap { $0["learning_rate"]?.double }
        #expect(rates == [0.5, 0.5, 0.5, 0.25, 0.25, 0.125, 0.125, 0.0625, 0.0625, 0.03125, 0.03125])
        #expect(try train(run, parts, stopAfter: 4) == .preempted(step: 4))
        #expect(try train(run, parts) == .finished)
        #expect(try weights(parts) == weights(whole))
    }

    /// SGD without a warm-up: a layer moves by its own rate, so its first step is in proportion.
    @Test func layersBelowLearnMoreSlowly() throws {
        let scratch = try TemporaryDirectory()
        var run = run()
        run.arguments.maxSteps = 1
        run.arguments.schedulerType = "constant"
        run.arguments.learningRate = 0.01
        var moved: [[String: Double]] = []
        for decay in [1.0, 0.5] {
            run.arguments.layerwiseDecay = decay
            let output = scratch.path + "/\(decay)"
            #expect(try train(run, output) == .finished)
            let start = try SafetensorsFile(path: run.modelPath + "/model.safetensors")
            let end = try SafetensorsFile(path: output + "/final/model.safetensors")
            var ways: [String: Double] = [:]
            for (name, _) in factors {
                let (a, b) = (try start.floats(name), try end.floats(name))
                ways[name] = zip(a, b).reduce(0) { $0 + pow(Double($1.0 - $1.1), 2) }.squareRoot()
            }
            moved.append(ways)
        }
        for (name, factor) in factors {
            let (all, some) = (try #require(moved[0][name]), try #require(moved[1][name]))
            #expect(all > 0 && abs(some / all - factor) < 1e-2, "\(name): \(some) of \(all)")
        }
    }

    private let factors = [
        ("encoder.layer.1.output.dense.weight", 1.0), ("encoder.layer.0.output.dense.weight", 0.5),
        ("embeddings.word_embeddings.weight", 0.25),
    ]
}
