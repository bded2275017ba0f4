// The number of ranks changes nothing: whole runs over threads of one process (tutti-world does it over MPI).

import Foundation
import TestSupport
import Testing
import TuttiEnsemble
import TuttiFormats
import TuttiModels
import TuttiTraining

@Suite(.serialized) struct WorldTests {
    /// Dropout on, clipping on, micro-batches, a last batch of 5 rows for up to 4 ranks.
    private func run(_ name: String) -> TinyRun {
        var run = TinyRun(name)
        run.arguments.optim = "sgd"
        run.arguments.learningRate = 0.2
        run.arguments.globalTrainBatchSize = 11
        run.arguments.gradientAccumulationSteps = 2
        run.arguments.maxSteps = 10
        run.arguments.loggingSteps = 1
        run.arguments.saveStrategy = .no
        run.overrides = ["hidden_dropout_prob": .number(0.1), "attention_probs_dropout_prob": .number(0.1)]
        return run
    }

    private func weights(_ model: SentenceEncoder) -> [Float] { Array(model.encoder.parameters.values) }

    @Test(arguments: ["bert-sgd", "mpnet-sgd"])
    func anyNumberOfRanksGivesTheSameRun(_ name: String) throws {
        let scratch = try TemporaryDirectory()
        let run = run(name)
        let start = weights(try SentenceEncoder.load(run.modelPath))
        let alone = weights(try run.train(scratch.path + "/1").model)
        let losses = try trainingLines(scratch.path + "/1").map { try #require($0["loss"]?.double) }
        let moved = distance(alone, start)
        #expect(moved >= 0.01 * distance(start, [Float](repeating: 0, count: start.count)))
        for world in 2...4 {
            let output = scratch.path + "/\(world)"
            let all = try LocalEnsemble.run(world: world) { ensemble in
                weights(try run.train(output, ensemble: ensemble).model)
            }
            for rank in all { #expect(rank == all[0], "replicas must not drift") }
            #expect(distance(all[0], alone) <= 1e-5 * moved, "W = \(world)")
            for (loss, wanted) in zip(try trainingLines(output), losses) {
                #expect(abs(try #require(loss["loss"]?.double) - wanted) <= 2e-6 * max(1, abs(wanted)), "W = \(world)")
            }
        }
    }

    @Test func aMaskThatDependsOnTheSeedIsNoticed() throws {
        let scratch = try TemporaryDirectory()
        var run = run("bert-sgd")
        let alone = weights(try run.train(scratch.path + "/1").model)
        let start = weights(try SentenceEncoder.load(run.modelPath))
        run.arguments.dataSeed = run.arguments.seed  // the same rows,
        run.arguments.seed += 1  // other masks
        let other = weights(try run.train(scratch.path + "/2").model)
        #expect(distance(other, alone) > 1e-3 * distance(alone, start))
    }

    private func distance(_ a: [Float], _ b: [Float]) -> Double {
        zip(a, b).reduce(0.0) { $0 + Double($1.0 - $1.1) * Double($1.0 - $1.1) }.squareRoot()
    }
}
