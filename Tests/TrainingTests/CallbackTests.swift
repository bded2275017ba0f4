// Callbacks: heard in the reference's order on rank zero, obeyed on every rank, and back after a resumption.

import Foundation
import TestSupport
import Testing
import TuttiEnsemble
import TuttiEvaluation
import TuttiFormats
import TuttiGround
import TuttiModels
import TuttiTraining

/// Writes down what it hears, and asks for what `ask` says at the end of a step.
private final class Listener: TrainerCallback {
    private(set) var heard: [String] = []
    /// Whether each folder was there when it was said to be saved.
    private(set) var found: [Bool] = []
    private let ask: (TrainerState, inout TrainerControl) throws -> Void

    init(_ ask: @escaping (TrainerState, inout TrainerControl) throws -> Void = { _, _ in }) { self.ask = ask }

    func onTrainBegin(_ state: TrainerState) { heard.append("begin \(state.globalStep) of \(state.maxSteps)") }
    func onStepEnd(_ state: TrainerState, control: inout TrainerControl) throws {
        heard.append("step \(state.globalStep)")
        try ask(state, &control)
    }
    func onEpochEnd(_ state: TrainerState, control: inout TrainerControl) { heard.append("epoch \(state.epoch)") }
    func onEvaluate(_ metrics: JSONObject, _ state: TrainerState, control: inout TrainerControl) {
        heard.append("evaluation \(metrics["eval_loss"] == nil ? "without" : "with") a loss")
    }
    func onSave(_ path: String, _ state: TrainerState, control: inout TrainerControl) {
        heard.append("saved \((path as NSString).lastPathComponent)")
        found.append(FileManager.default.fileExists(atPath: path))
    }
    func onTrainEnd(_ state: TrainerState) { heard.append("end") }
}

/// Counts steps over interruptions and stops after so many.
private final class Counter: TrainerCallback {
    private let limit: Int
    private let keeps: Bool
    private var count = 0
    var state: JSONObject {
        get { keeps ? ["count": .integer(Int64(count))] : [:] }
        set { count = newValue["count"]?.int ?? 0 }
    }

    init(limit: Int, keeps: Bool) {
        self.limit = limit
        self.keeps = keeps
    }

    func onStepEnd(_ state: TrainerState, control: inout TrainerControl) {
        count += 1
        if count == limit { control.shouldTrainingStop = true }
    }
}

/// A number that every step changes: the first of an embedding.
private final class FirstNumberEvaluator: Evaluator {
    static let className = "FirstNumberEvaluator"
    let name = "first"
    let primaryMetric = "first_number"
    let metricKeys = ["first_number"]
    let title = "First number"

    func evaluate(model: any SentenceEncoding, ensemble: any Ensemble, context: EvaluationContext) throws -> [Metric] {
        let rows = try model.encode(["a text"], prompt: nil, tokensPerBatch: 64, ensemble: ensemble)
        return [("first_number", Double(rows[0].first ?? 0))]
    }
}

@Suite(.serialized) struct CallbackTests {
    /// A run of twelve steps at a constant rate, eleven in the first epoch, that neither evaluates nor saves by itself.
    private static func inputs(_ output: String) throws -> TrainingInputs {
        var run = TinyRun("bert-sgd")
        run.arguments.globalTrainBatchSize = 8
        run.arguments.maxSteps = 12
        run.arguments.optim = "sgd"
        run.arguments.learningRate = 0.2
        run.arguments.schedulerType = "constant"
        run.arguments.loggingSteps = 1
        run.arguments.saveStrategy = .no
        run.evaluation = true
        return try run.inputs(output)
    }

    /// Trains on `world` ranks; `prepare` gets the rank.
    private func train(
        _ output: String, world: Int = 1,
        _ prepare: @escaping @Sendable (inout TrainingInputs, _ rank: Int) throws -> Void
    ) throws -> [TrainingOutcome] {
        try LocalEnsemble.run(world: world) { ensemble in
            var inputs = try Self.inputs(output)
            try prepare(&inputs, ensemble.rank)
            return try Trainer(inputs, ensemble: ensemble).train()
        }
    }

    private func bytes(_ path: String) throws -> Data { try Data(contentsOf: URL(fileURLWithPath: path)) }

    private func weights(_ output: String, _ folder: String = "final") throws -> [Float] {
        parameterValues(try SentenceEncoder.load(output + "/" + folder))
    }

    private func distance(_ a: [Float], _ b: [Float]) -> Double {
        zip(a, b).reduce(0) { $0 + Double($1.0 - $1.1) * Double($1.0 - $1.1) }.squareRoot()
    }

    @Test(arguments: [1, 2])
    func eventsComeInTheReferencesOrderOnRankZero(world: Int) throws {
        let scratch = try TemporaryDirectory()
        let output = scratch.path
        let heard = try LocalEnsemble.run(world: world) { ensemble in
            var inputs = try Self.inputs(output)
            inputs.arguments.maxSteps = 4
            inputs.arguments.evalStrategy = .steps
            inputs.arguments.evalSteps = 2
            inputs.arguments.saveStrategy = .steps
            inputs.arguments.saveSteps = 4
            inputs.arguments.evalOnStart = true
            let listener = Listener()
            inputs.callbacks = [listener]
            #expect(try Trainer(inputs, ensemble: ensemble).train() == .finished)
            return listener.heard
        }
        let evaluation = "evaluation with a loss"
        let epoch = try #require(try trainingLines(output).last?["epoch"]?.double)
        #expect(
            heard[0] == [
                "begin 0 of 4", evaluation, "step 1", "step 2", evaluation, "step 3", "step 4", "epoch \(epoch)",
                evaluation, "saved checkpoint-4", "end",
            ])
        #expect(heard.dropFirst().allSatisfy { $0.isEmpty })
    }

    /// The run of seven steps, whoever said that there are seven: one process, two ranks, the arguments.
    @Test func aCallbackThatStopsEndsTheRunAsFinished() throws {
        let scratch = try TemporaryDirectory()
        let (planned, start) = (scratch.path + "/planned", try weightsOfTheStart())
        _ = try train(planned) { inputs, _ in inputs.arguments.maxSteps = 7 }
        let moved = distance(try weights(planned), start)
        for (world, step) in [(1, 7), (2, 7), (1, 8)] {
            let output = "\(scratch.path)/\(world)-\(step)"
            let outcomes = try train(output, world: world) { inputs, _ in
                inputs.callbacks = [Listener { $1.shouldTrainingStop = $0.globalStep == step }]
            }
            #expect(outcomes == [TrainingOutcome](repeating: .finished, count: world))
            #expect(try trainingLines(output).map { $0["step"]?.int } == (1...step).map { $0 })
            #expect(try metricsLines(output).last?["train_runtime"] != nil)
            let apart = distance(try weights(output), try weights(planned))
            switch (world, step) {
            case (1, 7):
                #expect(try bytes(output + "/final/model.safetensors") == bytes(planned + "/final/model.safetensors"))
            case (2, 7): #expect(apart <= 1e-5 * moved)
            default: #expect(apart > 1e-3 * moved, "runs of seven and eight steps that agree prove nothing")
            }
            #expect(try train(output) { _, _ in } == [.alreadyFinished])
        }
    }

    private func weightsOfTheStart() throws -> [Float] {
        parameterValues(try SentenceEncoder.load(TinyRun("bert-sgd").modelPath))
    }

    /// Every rank may be given callbacks; what other ranks than zero ask for is not heard.
    @Test func rankZeroDecides() throws {
        let scratch = try TemporaryDirectory()
        for deciding in 0..<2 {
            let output = "\(scratch.path)/\(deciding)"
            let outcomes = try train(output, world: 2) { inputs, rank in
                if rank == deciding { inputs.callbacks = [Listener { $1.shouldTrainingStop = $0.globalStep == 3 }] }
            }
            #expect(outcomes == [.finished, .finished])
            #expect(try trainingLines(output).count == (deciding == 0 ? 3 : 12))
        }
    }

    /// What it is told to be saved is there, also where rank zero alone was given it.
    @Test(arguments: [1, 2]) func rankZeroAloneIsToldOfFoldersThatExist(world: Int) throws {
        let scratch = try TemporaryDirectory()
        let output = scratch.path
        let found = try LocalEnsemble.run(world: world) { ensemble in
            var inputs = try Self.inputs(output)
            (inputs.arguments.saveStrategy, inputs.arguments.saveSteps) = (.steps, 3)
            let listener = Listener()
            if ensemble.isRoot { inputs.callbacks = [listener] }
            #expect(try Trainer(inputs, ensemble: ensemble).train() == .finished)
            return listener.found
        }
        #expect(found[0].count >= 4 && found[0].allSatisfy { $0 })
        #expect(found.dropFirst().allSatisfy { $0.isEmpty })
    }

    @Test func aCallbackEvaluatesAndSavesWhereTheArgumentsDoNot() throws {
        let scratch = try TemporaryDirectory()
        var losses: [[Double]] = []
        for world in [1, 2] {
            let output = "\(scratch.path)/\(world)"
            _ = try train(output, world: world) { inputs, _ in
                inputs.callbacks = [
                    Listener { state, control in
                        control.shouldEvaluate = state.globalStep % 5 == 0
                        control.shouldSave = state.globalStep == 5
                        control.shouldLog = state.globalStep != 6
                    }
                ]
            }
            let evaluations = try metricsLines(output).filter { $0["eval_loss"] != nil }
            #expect(evaluations.map { $0["step"]?.int } == [5, 10])
            losses.append(evaluations.compactMap { $0["eval_loss"]?.double })
            let folders = try FileManager.default.contentsOfDirectory(atPath: output)
            #expect(folders.filter { $0.hasPrefix("checkpoint-") } == ["checkpoint-5"])
            #expect(try trainingLines(output).map { $0["step"]?.int } == (1...12).filter { $0 != 6 })
        }
        #expect(zip(losses[0], losses[1]).allSatisfy { abs($0 - $1) <= 2e-6 * max(1, $0) } && losses[0].count == 2)
        #expect(losses[0][0] != losses[0][1], "evaluations of two models")
        let plain = scratch.path + "/plain"
        _ = try train(plain) { _, _ in }
        #expect(try metricsLines(plain).allSatisfy { $0["eval_loss"] == nil })
        #expect(!FileManager.default.fileExists(atPath: plain + "/checkpoint-5"))
    }

    @Test func anEvaluationOfNothingIsRefused() throws {
        let scratch = try TemporaryDirectory()
        let error = #expect(throws: TuttiError.self) {
            try train(scratch.path) { inputs, _ in
                inputs.evalDatasets = []
                inputs.callbacks = [Listener { $1.shouldEvaluate = $0.globalStep == 2 }]
            }
        }
        #expect(error?.kind == .usage && error?.problem.contains("nothing to evaluate") == true)
    }

    @Test func theBestModelIsTakenWhereACallbackStops() throws {
        let scratch = try TemporaryDirectory()
        _ = try train(scratch.path) { inputs, _ in
            inputs.evaluators = [FirstNumberEvaluator()]
            inputs.arguments.evalStrategy = .steps
            inputs.arguments.evalSteps = 2
            inputs.arguments.saveStrategy = .steps
            inputs.arguments.saveSteps = 2
            inputs.arguments.loadBestModelAtEnd = true
            inputs.arguments.metricForBestModel = "first_number"
            inputs.callbacks = [Listener { $1.shouldTrainingStop = $0.globalStep == 7 }]
        }
        let lines = try metricsLines(scratch.path).filter { $0["eval_first_number"] != nil }
        let steps = lines.compactMap { $0["step"]?.int }
        #expect(steps == [2, 4, 6])
        let best = try #require(
            zip(steps, lines).max {
                ($0.1["eval_first_number"]?.double ?? 0) < ($1.1["eval_first_number"]?.double ?? 0)
            })
        let final = try bytes(scratch.path + "/final/model.safetensors")
        for step in steps {
            let checkpoint = try bytes("\(scratch.path)/checkpoint-\(step)/model.safetensors")
            #expect((checkpoint == final) == (step == best.0))
        }
    }

    @Test(arguments: [1, 2])
    func whatACallbackKeepsComesBack(world: Int) throws {
        let scratch = try TemporaryDirectory()
        let whole = scratch.path + "/whole"
        _ = try train(whole, world: world) { inputs, _ in inputs.callbacks = [Counter(limit: 9, keeps: true)] }
        for keeps in [true, false] {
            let output = "\(scratch.path)/\(keeps)"
            let stopped = try train(output, world: world) { inputs, rank in
                let stop = inputs.stop
                inputs.callbacks = [
                    Counter(limit: 9, keeps: keeps),
                    Listener { state, _ in if state.globalStep == 5 { stop.ask(.saveAndStop) } },
                ]
            }
            #expect(stopped == [TrainingOutcome](repeating: .preempted(step: 5), count: world))
            let state = try JSONValue.parse(file: output + "/checkpoint-5/trainer_state.json")
            let kept = state["stateful_callbacks"]?.object
            #expect(kept?["Counter"]?["attributes"]?["count"]?.int == (keeps ? 5 : nil))
            #expect(kept?["Listener"] == nil)
            let ended = try train(output, world: world) { inputs, _ in
                inputs.callbacks = [Counter(limit: 9, keeps: keeps)]
            }
            #expect(ended == [TrainingOutcome](repeating: .finished, count: world))
            #expect(try trainingLines(output).count == (keeps ? 9 : 12), "the control counts anew")
            let same = try bytes(output + "/final/model.safetensors") == bytes(whole + "/final/model.safetensors")
            #expect(same == keeps)
        }
    }

    /// A run that a callback has ended and a request has stopped before its end takes no step more.
    @Test(arguments: [1, 2])
    func anEndedRunThatIsStoppedGoesOnWithItsEnd(world: Int) throws {
        let scratch = try TemporaryDirectory()
        func train(asks: Bool) throws -> [TrainingOutcome] {
            try self.train(scratch.path, world: world) { inputs, _ in
                inputs.testEvaluators = [FirstNumberEvaluator()]
                let stop = inputs.stop
                guard asks else { return }
                inputs.callbacks = [
                    Listener { state, control in
                        guard state.globalStep == 4 else { return }
                        control.shouldTrainingStop = true
                        stop.ask(.saveAndStop)
                    }
                ]
            }
        }
        #expect(try train(asks: true) == [TrainingOutcome](repeating: .preempted(step: 4), count: world))
        #expect(try train(asks: false) == [TrainingOutcome](repeating: .finished, count: world))
        #expect(try trainingLines(scratch.path).count == 4)
        #expect(try metricsLines(scratch.path).last?["test_first_number"] != nil)
    }

    @Test func whatACallbackThrowsIsEveryRanksError() throws {
        let scratch = try TemporaryDirectory()
        let output = scratch.path
        let errors = try LocalEnsemble.run(world: 2) { ensemble -> TuttiError? in
            var inputs = try Self.inputs(output)
            inputs.callbacks = [
                Listener { state, _ in
                    if state.globalStep == 2 { throw TuttiError(.data, "look at the run", "step 2", "enough") }
                }
            ]
            do {
                _ = try Trainer(inputs, ensemble: ensemble).train()
                return nil
            } catch { return error as? TuttiError }
        }
        #expect(errors.allSatisfy { $0?.kind == .data && $0?.problem == "enough" })
    }
}
