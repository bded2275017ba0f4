// Short runs against the reference: losses, norms, rates, first gradients and final weights (Golden/training.py).

import Foundation
import TestSupport
import Testing
import TuttiEncoders
import TuttiEnsemble
import TuttiFormats
import TuttiGround
import TuttiKernels
import TuttiModels
import TuttiObjectives
import TuttiTraining

@Suite struct GoldenTrainingTests {
    /// The arguments that a golden run was made with.
    private func goldenRun(_ name: String) throws -> (run: TinyRun, expected: JSONObject) {
        var run = TinyRun(name)
        let expected = try run.expected()
        var object = try #require(expected["args"]?.object)
        object["num_train_epochs"] = .integer(1)
        object["logging_steps"] = .integer(1)
        object["save_strategy"] = .string("no")
        object["batch_sampler"] = .string("sequential")
        run.arguments = try TrainingArguments(json: object, places: ConfigurationPlaces(file: "args")) { _ in }
        if let loss = expected["loss"] { run.loss = try LossSpecification(option: loss) }
        return (run, expected)
    }

    @Test(
        arguments: ["bert-sgd", "mpnet-sgd", "static-sgd", "bert-adamw", "mpnet-adamw", "static-adamw"], gemmProviders)
    func stepsEqualTheReference(_ name: String, _ provider: GemmProvider) throws {
        let (run, expected) = try goldenRun(name)
        let output = try TemporaryDirectory()
        _ = try withGemm(provider) { try run.train(output.path + "/run") }
        let lines = try trainingLines(output.path + "/run")
        let steps = try #require(expected["steps"]?.array).compactMap(\.object)
        #expect(lines.count == steps.count)
        let isSGD = name.hasSuffix("sgd")
        for (line, step) in zip(lines, steps) {
            let (loss, norm) = (try #require(line["loss"]?.double), try #require(line["grad_norm"]?.double))
            let (wantedLoss, wantedNorm) = (try #require(step["loss"]?.double), try #require(step["grad_norm"]?.double))
            let bound = isSGD ? 1e-5 : 1e-4
            #expect(abs(loss - wantedLoss) <= bound * max(1, abs(wantedLoss)), "\(name) loss \(loss) vs \(wantedLoss)")
            #expect(
                abs(norm - wantedNorm) <= (isSGD ? 2e-5 : 1e-3) * wantedNorm, "\(name) norm \(norm) vs \(wantedNorm)")
            let (rate, wantedRate) = (try #require(line["learning_rate"]?.double), step["learning_rate"]?.double ?? -1)
            #expect(abs(rate - wantedRate) <= 1e-12 + 1e-9 * wantedRate)
            let (epoch, wantedEpoch) = (try #require(line["epoch"]?.double), step["epoch"]?.double ?? -1)
            #expect(abs(epoch - wantedEpoch) < 1e-9)
        }
    }

    @Test(arguments: ["bert-sgd", "mpnet-sgd", "static-sgd"], gemmProviders)
    func finalWeightsEqualTheReference(_ name: String, _ provider: GemmProvider) throws {
        let (run, expected) = try goldenRun(name)
        let output = try TemporaryDirectory()
        let (_, model) = try withGemm(provider) { try run.train(output.path + "/run") }
        let movement = try #require(expected["movement"]?.double)
        #expect(movement >= 0.01, "a run that hardly moves proves nothing")
        let file = try SafetensorsFile(path: run.folder + "/expected.safetensors")
        let start = try SentenceEncoder.load(run.modelPath)
        var difference = 0.0
        var moved = 0.0
        for entry in model.encoder.layout.entries {
            let wanted = try file.floats("end." + entry.name)
            let first = entry.range.lowerBound
            for index in 0..<entry.elementCount {
                let end = Double(model.encoder.parameters.values[first + index])
                difference += (end - Double(wanted[index])) * (end - Double(wanted[index]))
                let begin = Double(start.encoder.parameters.values[first + index])
                moved += (Double(wanted[index]) - begin) * (Double(wanted[index]) - begin)
            }
        }
        #expect(difference.squareRoot() <= 2e-5 * moved.squareRoot(), "\(difference.squareRoot() / moved.squareRoot())")
    }

    @Test(
        arguments: ["bert-sgd", "mpnet-sgd", "static-sgd", "bert-adamw", "mpnet-adamw", "static-adamw"], gemmProviders)
    func firstGradientsEqualTheReference(_ name: String, _ provider: GemmProvider) throws {
        var (run, expected) = try goldenRun(name)
        // One step at rate 0 leaves the first batch's gradient in the arena, unclipped.
        run.arguments.learningRate = 0
        run.arguments.maxSteps = 1
        run.arguments.gradientAccumulationSteps = 1
        let output = try TemporaryDirectory()
        let (_, model) = try withGemm(provider) { try run.train(output.path + "/run") }
        let first = try #require(expected["first_loss"]?.double)
        let loss = try #require(try trainingLines(output.path + "/run").first?["loss"]?.double)
        #expect(abs(loss - first) <= 1e-5 * max(1, first))
        let file = try SafetensorsFile(path: run.folder + "/expected.safetensors")
        let layout = model.encoder.layout
        let wanted = try layout.entries.map { try file.floats("grad." + $0.name) }
        let modelMaximum = wanted.joined().map(abs).max() ?? 0
        for (entry, tensor) in zip(layout.entries, wanted) {
            var bound = 1e-5 * max(tensor.map(abs).max() ?? 0, 1e-3 * modelMaximum)
            // The true gradient of a key bias is zero; what float32 leaves of it, in the reference too, is rounding
            // of the key weights' gradient.
            if entry.name.hasSuffix("key.bias") || entry.name.hasSuffix("attn.k.bias") {
                let weights = try file.floats("grad." + entry.name.replacing(".bias", with: ".weight"))
                bound = 1e-6 * (weights.map(abs).max() ?? 0)
            }
            let gradients = model.encoder.parameters.gradients
            let worst = (0..<entry.elementCount).map { abs(gradients[entry.range.lowerBound + $0] - tensor[$0]) }.max()
            #expect(try #require(worst) <= bound, "\(name) \(entry.name): \(worst ?? 0) over \(bound)")
        }
    }
}
