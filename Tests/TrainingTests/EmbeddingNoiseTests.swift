// neftune_noise_alpha: noise in training alone, the same for any ranks, chunks and resumptions.

import Foundation
import TestSupport
import Testing
import TuttiEnsemble
import TuttiFormats
import TuttiGround
import TuttiTraining

@Suite(.serialized) struct EmbeddingNoiseTests {
    private func run(_ alpha: Double?) -> TinyRun {
        var run = TinyRun.elevenSteps()
        run.arguments.globalTrainBatchSize = 8
        run.arguments.loggingSteps = 1
        run.arguments.saveSteps = 4
        run.arguments.learningRate = 0.1
        run.arguments.neftuneNoiseAlpha = alpha
        return run
    }

    private func losses(_ run: TinyRun, world: Int = 1) throws -> [Double] {
        let scratch = try TemporaryDirectory()
        let output = scratch.path + "/run"
        let outcomes = try LocalEnsemble.run(world: world) { try run.train(output, ensemble: $0).outcome }
        #expect(outcomes.allSatisfy { $0 == .finished })
        return try metricsLines(output).filter { $0["learning_rate"] != nil }.compactMap {
            $0["loss"]?.double
        }
    }

    private func areClose(_ a: [Double], _ b: [Double]) -> Bool {
        a.count == b.count && zip(a, b).allSatisfy { abs($0 - $1) <= 1e-5 * max(1, abs($0)) }
    }

    @Test func noiseDoesNotDependOnRanksOrChunks() throws {
        let alone = try losses(run(5))
        #expect(alone.count == 11)
        #expect(areClose(alone, try losses(run(5), world: 2)))
        var chunked = run(5)
        chunked.arguments.miniBatchSize = 3
        #expect(areClose(alone, try losses(chunked)))
        // The control: without noise, or with more, the losses are others from the first step on.
        for other in [nil, 6.0] {
            let others = try losses(run(other))
            #expect(zip(alone, others).allSatisfy { abs($0 - $1) > 1e-5 })
        }
        #expect(try losses(run(0)) == losses(run(nil)))
    }

    /// An evaluation has none: before the first step it gives the same loss with any alpha.
    @Test func evaluationsHaveNoNoise() throws {
        let scratch = try TemporaryDirectory()
        let first = try [nil, 5.0].map { alpha in
            var run = run(alpha)
            run.evaluation = true
            run.arguments.evalOnStart = true
            run.arguments.maxSteps = 1
            let output = scratch.path + "/\(alpha ?? 0)"
            _ = try run.train(output)
            return try metricsLines(output).first?["eval_loss"]?.double
        }
        #expect(first[0] != nil && first[0] == first[1])
    }

    @Test func noiseResumesWithTheSameBits() throws {
        let scratch = try TemporaryDirectory()
        let (whole, parts) = (scratch.path + "/whole", scratch.path + "/parts")
        #expect(try run(5).train(whole).outcome == .finished)
        #expect(try run(5).train(parts, report: AskAfter(step: 5)).outcome == .preempted(step: 5))
        #expect(try run(5).train(parts).outcome == .finished)
        let files = try [whole, parts].map {
            try Data(contentsOf: URL(fileURLWithPath: $0 + "/final/model.safetensors"))
        }
        #expect(files[0] == files[1])
    }
}
