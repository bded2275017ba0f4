// Runs that would be very long, and runs that learn nothing.

import Foundation
import TestSupport
import Testing
import TuttiCorpus
import TuttiEnsemble
import TuttiFormats
import TuttiGround
import TuttiReports
import TuttiTraining

/// Keeps what a run says, and asks it to stop after a step.
private final class Watcher: Report, AsksToStop {
    let stop = StopRequest()
    private(set) var notices: [String] = []
    private(set) var totalSteps = 0
    private let stopAfter: Int
    init(stopAfter: Int) { self.stopAfter = stopAfter }
    func began(_ run: ReportedRun) { totalSteps = run.totalSteps }
    func stepped(_ progress: StepProgress) {
        if progress.step == stopAfter { stop.ask(.saveAndStop) }
    }
    func notice(_ text: String) { notices.append(text) }
}

@Suite(.serialized) struct LongRunTests {
    private func run() -> TinyRun {
        var run = TinyRun("bert-sgd")
        run.arguments.perDeviceTrainBatchSize = 8
        run.arguments.optim = "sgd"
        run.arguments.saveStrategy = .no
        return run
    }

    @Test func aBillionEpochsBeginAtOnce() throws {
        let scratch = try TemporaryDirectory()
        var run = run()
        run.arguments.batchSampler = NoDuplicatesBatchSampler()
        run.arguments.numTrainEpochs = 1e9
        let watcher = Watcher(stopAfter: 2)
        let began = Date()
        #expect(try run.train(scratch.path + "/run", report: watcher).outcome == .preempted(step: 2))
        #expect(Date().timeIntervalSince(began) < 60)
        #expect((9_000_000_000...20_000_000_000).contains(watcher.totalSteps), "\(watcher.totalSteps)")
        // More steps than a number holds are a mistake, whatever the sampler.
        for sampler: any BatchSampler in [NoDuplicatesBatchSampler(), DefaultBatchSampler()] {
            run.arguments.batchSampler = sampler
            run.arguments.numTrainEpochs = 1e300
            let error = #expect(throws: TuttiError.self) { try run.train(scratch.path + "/other") }
            #expect(error?.kind == .usage && error?.description.contains("num_train_epochs") == true)
        }
    }

    /// All embeddings equal: the gradient is finite and nothing else would say it.
    @Test func aRunThatIsNoBetterThanChanceIsSaid() throws {
        let scratch = try TemporaryDirectory()
        var run = run()
        run.arguments.numTrainEpochs = 1e6
        run.arguments.optim = "adamw_torch"
        run.arguments.learningRate = 1e6
        run.arguments.maxGradNorm = 0
        run.arguments.schedulerType = "constant"
        let lost = Watcher(stopAfter: 405)
        #expect(try run.train(scratch.path + "/lost", report: lost).outcome == .preempted(step: 405))
        #expect(lost.notices.filter { $0.contains("no better than chance") }.count == 1, "\(lost.notices)")
        // A run that learns is not told so.
        run.arguments.learningRate = 1e-3
        let learning = Watcher(stopAfter: 405)
        _ = try run.train(scratch.path + "/learning", report: learning)
        #expect(!learning.notices.contains { $0.contains("chance") }, "\(learning.notices)")
    }
}
