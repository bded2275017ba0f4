// What a loss owns is trained like the model: the same on all ranks, saved, resumed, clipped on request.

import Foundation
import Glibc
import TestSupport
import Testing
import TuttiCorpus
import TuttiEnsemble
import TuttiFormats
import TuttiGround
import TuttiKernels
import TuttiModels
import TuttiObjectives
import TuttiReports
import TuttiTraining

@Suite(.serialized) struct LossParameterTests {
    /// SoftmaxLoss with three classes on two columns of the tiny run.
    private func run() -> TinyRun {
        var run = TinyRun("bert-sgd")
        run.loss = LossSpecification(name: "SoftmaxLoss", options: ["num_labels": .integer(3)])
        run.change = { table in
            try Table(
                columns: [0, 1].map { (table.columnNames[$0], table.texts(column: $0)) },
                labels: (0..<table.rowCount).map { .integer($0 * 7 % 3) })
        }
        run.arguments.optim = "sgd"
        run.arguments.learningRate = 0.2
        run.arguments.globalTrainBatchSize = 11
        run.arguments.gradientAccumulationSteps = 2
        run.arguments.maxSteps = 8
        run.arguments.loggingSteps = 1
        run.arguments.saveStrategy = .no
        run.overrides = ["hidden_dropout_prob": .number(0.1), "attention_probs_dropout_prob": .number(0.1)]
        return run
    }

    private func head(_ folder: String) throws -> [String: [Float]] {
        let file = try SafetensorsFile(path: folder + "/loss.safetensors")
        var tensors: [String: [Float]] = [:]
        for info in file.tensors { tensors[info.name] = try file.floats(info.name) }
        return tensors
    }

    private func distance(_ a: [Float], _ b: [Float]) -> Double {
        zip(a, b).reduce(0.0) { $0 + Double($1.0 - $1.1) * Double($1.0 - $1.1) }.squareRoot()
    }

    @Test func theHeadIsSavedBesideTheModelAndTheSameOnAnyNumberOfRanks() throws {
        let scratch = try TemporaryDirectory()
        _ = try run().train(scratch.path + "/1")
        let alone = try head(scratch.path + "/1/final")
        #expect(Set(alone.keys) == ["classifier.weight", "classifier.bias"])
        #expect(alone["classifier.weight"]?.count == 3 * 3 * 32 && alone["classifier.bias"]?.count == 3)
        var still = run()
        still.arguments.learningRate = 0
        _ = try still.train(scratch.path + "/still")
        let start = try head(scratch.path + "/still/final")
        for (sharesNode, world) in [(true, 2), (false, 3), (true, 4)] {
            let output = scratch.path + "/\(world)"
            let values = try LocalEnsemble.run(world: world, sharesNode: sharesNode) { ensemble in
                parameterValues(try run().train(output, ensemble: ensemble).model)
            }
            #expect(values.allSatisfy { $0 == values[0] }, "replicas must not drift")
            let ended = try head(output + "/final")
            for (name, wanted) in alone {
                let moved = distance(wanted, try #require(start[name]))
                #expect(moved >= 0.01 * distance(wanted, [Float](repeating: 0, count: wanted.count)))
                #expect(distance(try #require(ended[name]), wanted) <= 1e-5 * moved, "W = \(world), \(name)")
            }
        }
    }

    @Test func theHeadIsResumedBitForBit() throws {
        let scratch = try TemporaryDirectory()
        var run = run()
        run.arguments.optim = "adamw_torch"
        run.arguments.learningRate = 1e-3
        run.arguments.saveStrategy = .steps
        run.arguments.saveSteps = 3
        _ = try run.train(scratch.path + "/whole")
        let stopped = try run.train(scratch.path + "/parts", report: StopAfter(step: 5)).outcome
        #expect(stopped == .preempted(step: 5))
        #expect(try head(scratch.path + "/parts/checkpoint-5").count == 2)
        #expect(try run.train(scratch.path + "/parts").outcome == .finished)
        #expect(try head(scratch.path + "/parts/final") == head(scratch.path + "/whole/final"))
        let lines = try [scratch.path + "/whole", scratch.path + "/parts"].map { timeless(try metricsLines($0)) }
        #expect(lines[0] == lines[1])
    }

    /// A checkpoint that has lost its head is damaged: the run goes back to the one before.
    @Test func aCheckpointWithoutItsHeadIsPassedOver() throws {
        let scratch = try TemporaryDirectory()
        var run = run()
        run.arguments.saveStrategy = .steps
        run.arguments.saveSteps = 2
        _ = try run.train(scratch.path + "/whole")
        _ = try run.train(scratch.path + "/parts", report: StopAfter(step: 5))
        try FileManager.default.removeItem(atPath: scratch.path + "/parts/checkpoint-5/loss.safetensors")
        #expect(try run.train(scratch.path + "/parts").outcome == .finished)
        #expect(try head(scratch.path + "/parts/final") == head(scratch.path + "/whole/final"))
    }

    @Test func startValuesComeFromAFile() throws {
        let scratch = try TemporaryDirectory()
        var run = run()
        run.arguments.learningRate = 0
        _ = try run.train(scratch.path + "/drawn")
        var values = try head(scratch.path + "/drawn/final")
        values["classifier.bias"] = [1, -2, 3]
        func write(_ name: String, _ tensors: [(String, [Int], [Float])]) throws -> String {
            let path = scratch.path + "/" + name
            let blocks = tensors.map { FloatBlock($0.2) }
            try SafetensorsWriter.write(
                path: path,
                tensors: zip(tensors, blocks).map { ($0.0, .f32, $0.1, UnsafeRawBufferPointer($1.buffer)) })
            return path
        }
        let given = try write("start.safetensors", [("classifier.bias", [3], [1, -2, 3])])
        run.loss.options["initial_parameters"] = .string(given)
        _ = try run.train(scratch.path + "/given")
        #expect(try head(scratch.path + "/given/final") == values, "what the file does not name is drawn as ever")

        for (name, tensor, shape) in [("name", "clasifier.bias", [3]), ("shape", "classifier.bias", [4])] {
            let path = try write(
                "\(name).safetensors", [(tensor, shape, [Float](repeating: 0, count: shape[0]))])
            run.loss.options["initial_parameters"] = .string(path)
            let error = #expect(throws: (any Error).self) { try run.train(scratch.path + "/\(name)") }
            #expect("\(try #require(error))".contains(name == "name" ? "Did you mean" : "[4]"))
        }
    }

    /// The reference clips the model alone; with clip_loss_parameters one norm covers both and one factor scales both.
    @Test func clippingCoversTheHeadOnRequest() throws {
        let scratch = try TemporaryDirectory()
        func step(clips: Bool, maximum: Double) throws -> (norm: Double, model: [Float], head: [Float]) {
            var run = run()
            run.arguments.maxSteps = 1
            run.arguments.schedulerType = "constant"
            run.arguments.maxGradNorm = maximum
            run.arguments.clipLossParameters = clips
            let output = scratch.path + "/\(clips)-\(maximum)"
            let start = parameterValues(try SentenceEncoder.load(run.modelPath))
            let model = try run.train(output).model
            let layout = model.encoder.layout
            let values = parameterValues(model)
            let drawn = try SafetensorsFile(path: try drawnHead(scratch)).floats("classifier.weight")
            let entry = try #require(layout.entry(named: "classifier.weight"))
            let norm = try #require(try trainingLines(output).first?["grad_norm"]?.double)
            return (
                norm, zip(values[..<layout.modelCount], start).map { ($0 - $1) / -0.2 },
                zip(values[entry.elements], drawn).map { ($0 - $1) / -0.2 }
            )
        }
        let free = try step(clips: false, maximum: 0)
        let length = { (values: [Float]) in values.reduce(0.0) { $0 + Double($1) * Double($1) }.squareRoot() }
        #expect(abs(length(free.model) - free.norm) <= 1e-3 * free.norm, "grad_norm is the model's own")
        let bound = free.norm / 2
        let modelOnly = try step(clips: false, maximum: bound)
        #expect(modelOnly.norm == free.norm)
        #expect(abs(length(modelOnly.model) - bound) <= 1e-3 * bound)
        #expect(distance(modelOnly.head, free.head) <= 1e-3 * length(free.head), "the head is not clipped")
        let both = try step(clips: true, maximum: bound)
        #expect(both.norm == free.norm, "what is logged stays the model's own")
        let bias = try #require(try head(scratch.path + "/false-0.0/final")["classifier.bias"])
        let drawnBias = try SafetensorsFile(path: try drawnHead(scratch)).floats("classifier.bias")
        let biasGradient = zip(bias, drawnBias).map { ($0 - $1) / -0.2 }
        let whole = length(free.model + free.head + biasGradient)
        #expect(abs(length(both.model) / length(free.model) - bound / whole) <= 2e-3)
        #expect(abs(length(both.head) / length(free.head) - bound / whole) <= 2e-3)
    }

    /// The head before the first step: a run of rate zero leaves it as it was drawn.
    private func drawnHead(_ scratch: TemporaryDirectory) throws -> String {
        let path = scratch.path + "/drawn/final/loss.safetensors"
        if FileManager.default.fileExists(atPath: path) { return path }
        var still = run()
        still.arguments.learningRate = 0
        still.arguments.maxSteps = 1
        _ = try still.train(scratch.path + "/drawn")
        return path
    }

    @Test func ratesAndDecayGoByName() throws {
        let scratch = try TemporaryDirectory()
        var run = run()
        run.arguments.learningRateMapping = [("^classifier\\.", 0)]
        _ = try run.train(scratch.path + "/mapped")
        let drawn = try SafetensorsFile(path: try drawnHead(scratch)).floats("classifier.weight")
        #expect(try head(scratch.path + "/mapped/final")["classifier.weight"] == drawn)
        run.arguments.learningRateMapping = [("clasifier", 0.1)]
        #expect(throws: (any Error).self) { try run.train(scratch.path + "/unknown") }
        // Decay alone shrinks weights and leaves biases: a rate of 0.2 and a decay of 0.5 take a tenth.
        var decaying = self.run()
        decaying.arguments.optim = "adamw_torch"
        decaying.arguments.learningRate = 1e-30
        decaying.arguments.learningRateMapping = [("classifier", 1e-6)]
        decaying.arguments.weightDecay = 1e5
        decaying.arguments.schedulerType = "constant"
        decaying.arguments.maxSteps = 1
        _ = try decaying.train(scratch.path + "/decay")
        let after = try head(scratch.path + "/decay/final")
        let weight = try #require(after["classifier.weight"])
        #expect(largestDifference(weight, drawn.map { $0 * 0.9 }) <= 3e-6)
        let bias = try SafetensorsFile(path: try drawnHead(scratch)).floats("classifier.bias")
        #expect(largestDifference(try #require(after["classifier.bias"]), bias) <= 3e-6)
    }
}

/// Asks this process to save and stop after a step, as a scheduler would.
private final class StopAfter: Report, AsksToStop {
    let stop = StopRequest()
    let step: Int
    init(step: Int) { self.step = step }
    func stepped(_ progress: StepProgress) {
        if progress.step == step { stop.ask(.saveAndStop) }
    }
}
