// Encoding in chunks changes memory and nothing else: the same run as in one piece, dropout on, one exchange a step.
// The golden cases of all losses are held to the same law in GoldenLossTests.

import Foundation
import TestSupport
import Testing
import TuttiEnsemble
import TuttiFormats
import TuttiGround
import TuttiModels
import TuttiObjectives
import TuttiTraining

@Suite(.serialized) struct ChunkedTests {
    private static let ranking = JSONValue.loss(LossSpecification(name: "MultipleNegativesRankingLoss"))
    static let losses: [LossSpecification] = [
        LossSpecification(name: "MultipleNegativesRankingLoss"),
        LossSpecification(
            name: "MatryoshkaLoss",
            options: [
                "loss": ranking, "matryoshka_dims": .array([.integer(32), .integer(16), .integer(8)]),
                "n_dims_per_step": .integer(2),
            ]),
        LossSpecification(name: "AdaptiveLayerLoss", options: ["loss": ranking]),
    ]

    private func run(_ loss: LossSpecification, _ chunking: Chunking?) throws -> TinyRun {
        var run = TinyRun("bert-sgd")
        run.arguments.optim = "sgd"
        run.arguments.learningRate = 0.2
        run.arguments.globalTrainBatchSize = 11
        run.arguments.gradientAccumulationSteps = 2
        run.arguments.maxSteps = 8
        run.arguments.loggingSteps = 1
        run.arguments.saveStrategy = .no
        run.arguments.miniBatchSize = chunking?.rows
        run.arguments.miniBatchTokens = chunking?.tokens
        run.overrides = ["hidden_dropout_prob": .number(0.1), "attention_probs_dropout_prob": .number(0.1)]
        run.loss = loss
        return run
    }

    private func weights(_ model: SentenceEncoder) -> [Float] { Array(model.encoder.parameters.values) }

    @Test(arguments: losses, [Chunking(rows: 3), Chunking(tokens: 40), Chunking(rows: 5, tokens: 60)])
    func chunksGiveTheRunOfOnePiece(_ loss: LossSpecification, _ chunking: Chunking) throws {
        let scratch = try TemporaryDirectory()
        let whole = try run(loss, nil)
        let start = weights(try SentenceEncoder.load(whole.modelPath))
        let wanted = weights(try whole.train(scratch.path + "/whole").model)
        let losses = try trainingLines(scratch.path + "/whole").map { try #require($0["loss"]?.double) }
        let moved = distance(wanted, start)
        #expect(moved >= 0.01 * distance(start, [Float](repeating: 0, count: start.count)))
        let chunked = try run(loss, chunking)
        for world in [1, 2] {
            let output = scratch.path + "/\(world)"
            let got = try LocalEnsemble.run(world: world) { ensemble in
                weights(try chunked.train(output, ensemble: ensemble).model)
            }
            #expect(distance(got[0], wanted) <= 1e-5 * moved, "W = \(world)")
            for (line, loss) in zip(try trainingLines(output), losses) {
                #expect(abs(try #require(line["loss"]?.double) - loss) <= 2e-6 * max(1, loss), "W = \(world)")
            }
        }
    }

    /// Chunks must be encoded again with the masks of the first time; a run with other masks is another run.
    @Test func otherMasksInTheSecondPassAreNoticed() throws {
        let scratch = try TemporaryDirectory()
        let loss = LossSpecification(name: "MultipleNegativesRankingLoss")
        let wanted = weights(try run(loss, nil).train(scratch.path + "/whole").model)
        var other = try run(loss, Chunking(rows: 3))
        other.arguments.dataSeed = other.arguments.seed
        other.arguments.seed += 1
        let got = weights(try other.train(scratch.path + "/other").model)
        let start = weights(try SentenceEncoder.load(other.modelPath))
        #expect(distance(got, wanted) > 1e-3 * distance(wanted, start))
    }

    /// What travels is the same in chunks as in one piece: gradients are exchanged once a step.
    @Test(arguments: losses)
    func oneExchangeAStep(_ loss: LossSpecification) throws {
        let scratch = try TemporaryDirectory()
        var counts: [[Int]] = []
        for chunking in [nil, Chunking(rows: 2)] {
            let run = try run(loss, chunking)
            let output = scratch.path + "/\(chunking == nil)"
            counts.append(
                try LocalEnsemble.run(world: 2, sharesNode: false) { ensemble in
                    let counting = GradientCounter(ensemble)
                    _ = try run.train(output, ensemble: counting)
                    return counting.summedFloats
                })
        }
        #expect(counts[0] == counts[1] && counts[0][0] > 0, "\(counts)")
    }

    private func distance(_ a: [Float], _ b: [Float]) -> Double {
        zip(a, b).reduce(0.0) { $0 + Double($1.0 - $1.1) * Double($1.0 - $1.1) }.squareRoot()
    }
}
