// A request to stop gives up an evaluation that is under way; the resumed run begins with it and ends with the same
// bits, the same lines and the same results, also where it was killed after the evaluation that it began with.

import Foundation
import TestSupport
import Testing
import TuttiEnsemble
import TuttiEvaluation
import TuttiFormats
import TuttiModels
import TuttiReports
import TuttiTraining

/// Encodes in two halves; asks for a stop between them at one step, once.
private final class StoppingEvaluator: Evaluator {
    static let className = "StoppingEvaluator"
    let name = "half"
    let primaryMetric = "half_norm"
    let metricKeys = ["half_norm"]
    let title = "Half"
    private let texts: [String]
    private let stop: StopRequest
    private var step: Int?
    private(set) var finished = 0

    init(_ texts: [String], stop: StopRequest, at step: Int?) {
        self.texts = texts
        self.stop = stop
        self.step = step
    }

    func evaluate(
        model: any SentenceEncoding, ensemble: any Ensemble, context: EvaluationContext
    ) throws -> [Metric] {
        let first = try model.encode(texts, prompt: nil, tokensPerBatch: 64, ensemble: ensemble)
        if context.step == step, ensemble.isRoot {
            step = nil
            stop.ask(.saveAndStop)
        }
        let second = try model.encode(texts, prompt: nil, tokensPerBatch: 64, ensemble: ensemble)
        finished += 1
        return [("half_norm", Double((first[0].first ?? 0) + (second[1].first ?? 0)))]
    }
}

/// Ends a run as it logs a training step, after the reports of every run have the line.
private final class Death: Report {
    struct Error: Swift.Error {}
    private let step: Int

    init(at step: Int) { self.step = step }

    func logged(_ line: LogLine) throws {
        if line.kind == .training, line.step == step { throw Error() }
    }
}

@Suite(.serialized) struct StopDuringEvaluationTests {
    private func train(
        _ output: String, world: Int, stopAt step: Int?, test: Bool, best: Bool, dieAt death: Int? = nil
    ) throws -> (outcome: TrainingOutcome, evaluations: Int) {
        try LocalEnsemble.run(world: world) { ensemble in
            var run = TinyRun("bert-sgd")
            run.arguments.globalTrainBatchSize = 8
            run.arguments.maxSteps = 6
            run.arguments.optim = "sgd"
            run.arguments.learningRate = 0.5
            run.arguments.loggingSteps = 2
            run.arguments.saveSteps = 3
            run.arguments.evalStrategy = .steps
            run.arguments.evalSteps = 2
            run.arguments.loadBestModelAtEnd = best
            if best { run.arguments.saveSteps = 2 }
            var inputs = try run.inputs(output)
            let texts = inputs.trainDataset.texts(column: 0)
            let evaluator = StoppingEvaluator(texts, stop: inputs.stop, at: step)
            let triplets = TripletEvaluator(
                anchors: texts, positives: texts, negatives: texts.reversed(), name: "rows")
            if test {
                inputs.testEvaluators = [evaluator]
                inputs.evalDataset = inputs.trainDataset
            } else {
                inputs.evaluators = [triplets, evaluator]
                if best { inputs.arguments.metricForBestModel = "half_norm" }
            }
            let reports = death.map { [Death(at: $0)] } ?? []
            let outcome = try Trainer(inputs, ensemble: ensemble, reports: reports).train()
            return (outcome, evaluator.finished)
        }[0]
    }

    @Test(arguments: [1, 2], [false, true])
    func theEvaluationIsGivenUpAndComesFirstAfterwards(world: Int, best: Bool) throws {
        let scratch = try TemporaryDirectory()
        let (whole, parts) = (scratch.path + "/whole", scratch.path + "/parts")
        #expect(try train(whole, world: world, stopAt: nil, test: false, best: best) == (.finished, 3))
        #expect(try train(parts, world: world, stopAt: 4, test: false, best: best) == (.preempted(step: 4), 1))
        #expect(try train(parts, world: world, stopAt: nil, test: false, best: best) == (.finished, 2))
        try expectSame(whole, parts)
    }

    @Test(arguments: [1, 2])
    func anEvaluationAfterTheLastStepIsGivenUpToo(world: Int) throws {
        let scratch = try TemporaryDirectory()
        let (whole, parts) = (scratch.path + "/whole", scratch.path + "/parts")
        #expect(try train(whole, world: world, stopAt: nil, test: true, best: false) == (.finished, 1))
        #expect(try train(parts, world: world, stopAt: 6, test: true, best: false) == (.preempted(step: 6), 0))
        #expect(try train(parts, world: world, stopAt: nil, test: true, best: false) == (.finished, 1))
        try expectSame(whole, parts)
    }

    /// The checkpoint of the stop says that the evaluation is due; the run that did it has none that says it is done.
    @Test(arguments: [1, 2])
    func aRunThatIsKilledAfterTheEvaluationThatWasDueLeavesOneLine(world: Int) throws {
        let scratch = try TemporaryDirectory()
        let (whole, parts) = (scratch.path + "/whole", scratch.path + "/parts")
        #expect(try train(whole, world: world, stopAt: nil, test: false, best: false) == (.finished, 3))
        #expect(try train(parts, world: world, stopAt: 4, test: false, best: false) == (.preempted(step: 4), 1))
        #expect(throws: (any Error).self) {
            try train(parts, world: world, stopAt: nil, test: false, best: false, dieAt: 6)
        }
        let steps = try metricsLines(parts).map { $0["step"]?.int }
        #expect(steps == [2, 2, 4, 4, 6], "the evaluation after step 4 was done")
        #expect(try train(parts, world: world, stopAt: nil, test: false, best: false) == (.finished, 2))
        try expectSame(whole, parts)
    }

    private func expectSame(_ a: String, _ b: String) throws {
        func weights(_ path: String) throws -> Data {
            try Data(contentsOf: URL(fileURLWithPath: path + "/final/model.safetensors"))
        }
        #expect(try weights(a) == weights(b))
        #expect(timeless(try metricsLines(a)) == timeless(try metricsLines(b)))
        func results(_ path: String) throws -> [String] {
            let folder = path + "/eval"
            guard FileManager.default.fileExists(atPath: folder) else { return [] }
            return try FileManager.default.contentsOfDirectory(atPath: folder).sorted().map {
                try String(contentsOfFile: folder + "/" + $0, encoding: .utf8)
            }
        }
        #expect(try results(a) == results(b))
    }
}
