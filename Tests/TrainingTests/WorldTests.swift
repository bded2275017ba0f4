// The number of ranks changes nothing: whole runs over threads of one process (tutti-world does it over MPI).

import Foundation
import TestSupport
import Testing
import TuttiEnsemble
import TuttiFormats
import TuttiGround
import TuttiModels
import TuttiReports
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

    /// Batches of three rows for four ranks: one rank at least has none, and takes every step with the others.
    @Test(arguments: [true, false])
    func ranksWithoutRowsTakePart(sharesNode: Bool) throws {
        let scratch = try TemporaryDirectory()
        var run = run("bert-sgd")
        run.arguments.globalTrainBatchSize = 3
        let alone = weights(try run.train(scratch.path + "/1").model)
        let moved = distance(alone, weights(try SentenceEncoder.load(run.modelPath)))
        let output = scratch.path + "/4"
        let ranks = try LocalEnsemble.run(world: 4, sharesNode: sharesNode) { [run] ensemble in
            weights(try run.train(output, ensemble: ensemble).model)
        }
        #expect(moved > 0 && ranks.allSatisfy { distance($0, alone) <= 1e-5 * moved })
    }

    /// Threads add in the order of ranks either way, so memory that they share must give the bits of messages.
    @Test(arguments: ["bert-adamw", "mpnet-sgd"])
    func sharedMemoryAndMessagesGiveTheSameBits(_ name: String) throws {
        let scratch = try TemporaryDirectory()
        var run = run(name)
        if name == "bert-adamw" { (run.arguments.optim, run.arguments.learningRate) = ("adamw_torch", 1e-3) }
        for world in 2...4 {
            var ends: [[Float]] = []
            var lines: [[String]] = []
            for sharesNode in [true, false] {
                let output = scratch.path + "/\(world)-\(sharesNode)"
                let ranks = try LocalEnsemble.run(world: world, sharesNode: sharesNode) { [run] ensemble in
                    weights(try run.train(output, ensemble: ensemble).model)
                }
                #expect(ranks.allSatisfy { $0 == ranks[0] })
                ends.append(ranks[0])
                lines.append(timeless(try metricsLines(output)))
            }
            #expect(ends[0] == ends[1] && lines[0] == lines[1], "W = \(world)")
            #expect(lines[0].count >= 10)
        }
    }

    /// One copy of the values: what rank zero writes into its model, the others see; without sharing they do not.
    @Test func ranksOfANodeKeepOneCopyOfTheValues() throws {
        let scratch = try TemporaryDirectory()
        let run = run("bert-sgd")
        for sharesNode in [true, false] {
            let output = scratch.path + "/\(sharesNode)"
            let seen = try LocalEnsemble.run(world: 3, sharesNode: sharesNode) { ensemble in
                let model = try run.train(output, ensemble: ensemble).model
                if ensemble.isRoot { model.encoder.parameters.values[7] = 1234 }
                try ensemble.barrier()
                return model.encoder.parameters.values[7]
            }
            #expect(seen.map { $0 == 1234 } == [true, sharesNode, sharesNode])
        }
    }

    /// The exchange is chosen once and printed, where there is more than one rank.
    @Test func theRunSaysHowItsRanksExchangeGradients() throws {
        let scratch = try TemporaryDirectory()
        let (path, run) = (scratch.path, run("bert-sgd"))
        for (sharesNode, words) in [(true, "in shared memory"), (false, "messages between them")] {
            let notices = try LocalEnsemble.run(world: 2, sharesNode: sharesNode) { ensemble in
                let heard = Notices()
                _ = try run.train(path + "/\(sharesNode)", ensemble: ensemble, report: heard)
                return heard.lines.filter { $0.hasPrefix("Gradients of 2 ranks: ") }
            }
            #expect(notices[0].count == 1 && notices[0].first?.contains(words) == true && notices[1].isEmpty)
        }
        let heard = Notices()
        _ = try run.train(scratch.path + "/alone", report: heard)
        #expect(!heard.lines.contains { $0.contains("Gradients of") })
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

/// Keeps what a run says.
private final class Notices: Report {
    private(set) var lines: [String] = []
    func notice(_ text: String) { lines.append(text) }
}
