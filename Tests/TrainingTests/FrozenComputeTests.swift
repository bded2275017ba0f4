// Encoding of rounded operands: what the processor has decides, and training takes no notice.

import Foundation
import TestSupport
import Testing
import TuttiEnsemble
import TuttiEvaluation
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

    /// A teacher computes as its evaluator says, else as evaluations of the run do, on any ranks.
    @Test(arguments: [1, 2]) func teachersComputeAsTheyAreTold(world: Int) throws {
        let model = TinyRun("bert-sgd")
        func metric(_ own: FrozenCompute?, ofRun run: FrozenCompute) throws -> Double {
            var evaluator: JSONObject = [
                "name": .string("MSEEvaluator"), "path": .string(model.folder + "/rows.jsonl"),
                "columns": .array([.string("anchor")]), "teacher_model": .string(TinyRun("bert-adamw").modelPath),
                "write_csv": .bool(false),
            ]
            evaluator["compute"] = own?.optionJSON
            let configuration = try TrainingConfiguration(
                [
                    "model": .string(model.modelPath), "output_dir": .string("unused"),
                    "loss": .string("MultipleNegativesRankingLoss"),
                    "train_dataset": .string(model.folder + "/rows.jsonl"), "evaluators": .array([.object(evaluator)]),
                    "args": .object(["compute": run.optionJSON]),
                ], places: ConfigurationPlaces(file: "run.yaml"), purpose: .training
            ) { _ in }
            let all = try LocalEnsemble.run(world: world) { ensemble in
                let encoder = try SentenceEncoder.load(model.modelPath)
                let evaluator = try configuration.makeEvaluators(model: encoder).evaluators[0]
                return try evaluator.evaluate(model: encoder, ensemble: ensemble, context: EvaluationContext())
                    .map(\.value)
            }
            return try #require(all[0].first)
        }
        let plain = try metric(nil, ofRun: .fp32)
        for (compute, isFast) in [(FrozenCompute.bf16, HalfProducts.best != nil), (.int8, Int8Products.best != nil)] {
            let rounded = try metric(compute, ofRun: .fp32)
            #expect((rounded != plain) == isFast && rounded.isFinite, "\(compute): \(rounded), \(plain)")
            #expect(try metric(nil, ofRun: compute) == rounded)
            #expect(try metric(.fp32, ofRun: compute) == plain)
        }
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
