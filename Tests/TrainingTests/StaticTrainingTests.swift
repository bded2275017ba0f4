// Training of static embedding models: every row of the table decays, whatever texts hold; and the laws of all training
// (ranks, chunks, resume) where there are no layers. Steps, gradients and SGD's weights are in GoldenTrainingTests.

import Foundation
import TestSupport
import Testing
import TuttiEnsemble
import TuttiFormats
import TuttiGround
import TuttiModels
import TuttiObjectives
import TuttiTraining

@Suite(.serialized) struct StaticTrainingTests {
    private func run(_ optimizer: String, rate: Double) -> TinyRun {
        var run = TinyRun("static-sgd")
        run.arguments.optim = optimizer
        run.arguments.learningRate = rate
        run.arguments.globalTrainBatchSize = 11
        run.arguments.gradientAccumulationSteps = 2
        run.arguments.maxSteps = 6
        run.arguments.loggingSteps = 1
        run.arguments.saveStrategy = .no
        return run
    }

    private func distance(_ a: [Float], _ b: [Float]) -> Double {
        zip(a, b).reduce(0.0) { $0 + Double($1.0 - $1.1) * Double($1.0 - $1.1) }.squareRoot()
    }

    private func weights(_ model: SentenceEncoder) -> [Float] { Array(model.encoder.parameters.values) }

    /// AdamW, Matryoshka: the reference's gradient is dense, so rows without a token move by decay, and by their moments
    /// once they had one.
    @Test func adamWMovesEveryRowAsTheReference() throws {
        var run = TinyRun("static-adamw")
        let expected = try run.expected()
        var object = try #require(expected["args"]?.object)
        object["num_train_epochs"] = .integer(1)
        object["save_strategy"] = .string("no")
        object["batch_sampler"] = .string("sequential")
        run.arguments = try TrainingArguments(json: object, places: ConfigurationPlaces(file: "args")) { _ in }
        run.loss = try LossSpecification(option: try #require(expected["loss"]))
        let scratch = try TemporaryDirectory()
        let end = weights(try run.train(scratch.path + "/run").model)
        let start = weights(try SentenceEncoder.load(run.modelPath))
        let wanted = try SafetensorsFile(path: run.folder + "/expected.safetensors").floats("end.embedding.weight")
        let width = 24
        let (padded, rows) = (end.count, wanted.count / width)
        #expect(padded >= wanted.count)
        let moved = distance(wanted, Array(start.prefix(wanted.count)))
        #expect(distance(Array(end.prefix(wanted.count)), wanted) <= 1e-4 * moved)
        // Rows that no text names: decay alone, by the same factor in every number.
        let gradients = try SafetensorsFile(path: run.folder + "/expected.safetensors").floats("grad.embedding.weight")
        let still = (0..<rows).filter { row in
            let range = row * width..<(row + 1) * width
            return gradients[range].allSatisfy { $0 == 0 }
                && abs(wanted[range.lowerBound] / start[range.lowerBound] - wanted[0] / start[0]) < 1e-6
        }
        #expect(still.count >= 10)
        #expect(wanted[0] != start[0], "without decay this proves nothing")
        for row in still {
            for place in row * width..<(row + 1) * width {
                #expect(abs(end[place] - wanted[place]) <= 1e-6 * abs(wanted[place]))
            }
        }
    }

    @Test(arguments: [("sgd", 2.0), ("adamw_torch", 0.01)])
    func ranksAndChunksChangeNothing(_ optimizer: String, _ rate: Double) throws {
        let scratch = try TemporaryDirectory()
        let run = run(optimizer, rate: rate)
        let alone = weights(try run.train(scratch.path + "/1").model)
        let losses = try trainingLines(scratch.path + "/1").map { try #require($0["loss"]?.double) }
        let moved = distance(alone, weights(try SentenceEncoder.load(run.modelPath)))
        #expect(moved > 0 && losses.count == 6)
        var chunked = run
        chunked.arguments.miniBatchSize = 3
        for (world, run) in [(1, chunked), (2, run), (2, chunked), (3, run), (4, run)] {
            for sharesNode in [true, false] {
                let output = scratch.path + "/\(world)-\(run.arguments.miniBatchSize ?? 0)-\(sharesNode)"
                let all = try LocalEnsemble.run(world: world, sharesNode: sharesNode) { ensemble in
                    weights(try run.train(output, ensemble: ensemble).model)
                }
                for rank in all { #expect(rank == all[0], "replicas must not drift") }
                #expect(distance(all[0], alone) <= (optimizer == "sgd" ? 1e-5 : 1e-4) * moved, "W = \(world)")
                for (line, wanted) in zip(try trainingLines(output), losses) {
                    #expect(abs(try #require(line["loss"]?.double) - wanted) <= 2e-6 * max(1, abs(wanted)))
                }
            }
        }
    }

    @Test func aResumedRunHasTheSameBits() throws {
        let scratch = try TemporaryDirectory()
        let (whole, parts) = (scratch.path + "/whole", scratch.path + "/parts")
        var run = run("adamw_torch", rate: 0.01)
        run.arguments.saveStrategy = .steps
        run.arguments.saveSteps = 4
        run.evaluation = true
        run.arguments.evalStrategy = .steps
        run.arguments.evalSteps = 3
        #expect(try run.train(whole).outcome == .finished)
        #expect(try run.train(parts, report: AskAfter(step: 3)).outcome == .preempted(step: 3))
        #expect(try run.train(parts).outcome == .finished)
        let end = try Data(contentsOf: URL(fileURLWithPath: whole + "/final/model.safetensors"))
        #expect(try Data(contentsOf: URL(fileURLWithPath: parts + "/final/model.safetensors")) == end)
        let saved = try FileManager.default.contentsOfDirectory(atPath: whole + "/final")
        #expect(Set(saved).isSuperset(of: ["model.safetensors", "modules.json", "tokenizer.json"]))
        #expect(!saved.contains("config.json") && !saved.contains("sentence_bert_config.json"))
    }

    @Test func whatNeedsLayersOrALongestLengthIsRefused() throws {
        let scratch = try TemporaryDirectory()
        var run = run("sgd", rate: 0.1)
        run.loss = LossSpecification(
            name: "AdaptiveLayerLoss",
            options: ["loss": .loss(LossSpecification(name: "MultipleNegativesRankingLoss"))])
        let error = #expect(throws: TuttiError.self) { try run.train(scratch.path + "/run") }
        #expect(error?.kind == .usage && error?.problem.contains("no layers") == true)
    }
}
