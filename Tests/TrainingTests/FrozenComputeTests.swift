// Encoding of rounded operands: what the processor has decides, and training takes no notice.

import Foundation
import TestSupport
import Testing
import TuttiEnsemble
import TuttiGround
import TuttiKernels
import TuttiModels
import TuttiTraining

@Suite(.serialized) struct FrozenComputeTests {
    private let texts = (0..<40).map { "baba cece didi \($0) fofo" }

    private func embeddings(_ compute: FrozenCompute, world: Int) throws -> [Float] {
        let all = try LocalEnsemble.run(world: world) { ensemble in
            let model = try SentenceEncoder.load(TinyRun("bert-sgd").modelPath)
            let notice = try compute.apply(to: [model], among: ensemble)
            #expect((notice == nil) == (compute == .fp32))
            let found = try model.encode(texts, ensemble: ensemble)
            return (0..<found.count).flatMap { Array(found[$0]) }
        }
        return all[0]
    }

    @Test(arguments: [FrozenCompute.bf16, .int8]) func embeddingsStayCloseOnAnyRanks(compute: FrozenCompute) throws {
        let plain = try embeddings(.fp32, world: 1)
        let rounded = try embeddings(compute, world: 1)
        let isFast = compute == .bf16 ? HalfProducts.best != nil : Int8Products.best != nil
        #expect((rounded != plain) == isFast)
        let largest = zip(plain, rounded).map { abs($0 - $1) }.max() ?? 0
        #expect(largest < 0.05 * (plain.map(abs).max() ?? 0), "\(largest)")
        // An element depends on its text alone.
        #expect(try embeddings(compute, world: 2) == rounded)
    }

    /// The line of an evaluation differs, those of training do not.
    @Test func trainingTakesNoNotice() throws {
        let scratch = try TemporaryDirectory()
        func run(_ compute: FrozenCompute) throws -> (training: [String], evaluations: [Double]) {
            var run = TinyRun.elevenSteps()
            run.evaluation = true
            (run.arguments.evalStrategy, run.arguments.evalSteps) = (.steps, 4)
            run.arguments.compute = compute
            run.arguments.loggingSteps = 1
            let output = scratch.path + "/\(compute)"
            _ = try run.train(output)
            return (
                timeless(try trainingLines(output)), try metricsLines(output).compactMap { $0["eval_loss"]?.double }
            )
        }
        let (plain, rounded) = (try run(.fp32), try run(.int8))
        #expect(plain.training == rounded.training && plain.training.count == 11)
        #expect((plain.evaluations != rounded.evaluations) == (Int8Products.best != nil))
        for (a, b) in zip(plain.evaluations, rounded.evaluations) { #expect(abs(a - b) <= 0.02 * a, "\(a), \(b)") }
    }
}
