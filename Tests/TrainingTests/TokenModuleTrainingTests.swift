// Models of words and with modules over tokens trained: eight steps against the reference (Golden/token_modules.py), any
// number of ranks against one, a run that was stopped against one that was not; and what a run refuses.

import Foundation
import TestSupport
import Testing
import TuttiEnsemble
import TuttiFormats
import TuttiGround
import TuttiModels
import TuttiReports
import TuttiTraining

@Suite(.serialized) struct TokenModuleTrainingTests {
    static let models = ["words", "weights", "bow", "counts", "wrapper", "cnn", "lstm", "forwards", "layers"]

    private func inputs(
        _ name: String, _ output: String, loss: JSONObject = ["name": .string("MultipleNegativesRankingLoss")],
        args changes: JSONObject = JSONObject()
    ) throws -> TrainingInputs {
        let expected = try JSONValue.parse(file: Goldens.path("token-modules/\(name)/expected.json"))
        var args: JSONObject = ["learning_rate": try #require(expected["learning_rate"])]
        for (key, value) in changes { args[key] = value }
        let configuration = try GoldenRun.configuration(
            model: Goldens.path("token-modules/\(name)/model"), output, args: args, loss: .object(loss))
        return try TrainingInputs(configuration, ensemble: LocalEnsemble.single())
    }

    @Test(arguments: models)
    func eightStepsEqualTheReference(_ name: String) throws {
        let output = try TemporaryDirectory()
        let folder = Goldens.path("token-modules/\(name)")
        let expected = try JSONValue.parse(file: folder + "/expected.json")
        _ = try GoldenRun.train(try inputs(name, output.path + "/run"))
        try GoldenRun.expectSteps(expected["steps"], in: output.path + "/run")
        try GoldenRun.expectMovement(expected["movement"])
        try GoldenRun.expectEnd(output.path + "/run/final", golden: folder, moreThan: 100)
    }

    @Test(arguments: ["weights", "lstm", "cnn"])
    func ranksAndChunksChangeNothing(_ name: String) throws {
        let output = try TemporaryDirectory()
        let root = output.path
        let alone = try GoldenRun.train(try inputs(name, root + "/1"))
        let chunks: JSONObject = [
            "name": .string("CachedMultipleNegativesRankingLoss"), "mini_batch_size": .integer(5),
        ]
        let chunked = try GoldenRun.train(try inputs(name, root + "/chunks", loss: chunks))
        #expect(
            shareOfMovement(chunked.end, alone) <= 1e-5,
            "chunks: \(shareOfMovement(chunked.end, alone)) of the movement")
        for world in 2...4 {
            let ends = try LocalEnsemble.run(world: world) { ensemble in
                try GoldenRun.train(try inputs(name, root + "/\(world)"), ensemble: ensemble).end
            }
            #expect(ends.allSatisfy { $0 == ends[0] }, "ranks have drifted apart")
            #expect(
                shareOfMovement(ends[0], alone) <= 1e-5,
                "W = \(world): \(shareOfMovement(ends[0], alone)) of the movement")
        }
        // Negative control: another batch is another run.
        let other = try GoldenRun.train(
            try inputs(name, root + "/other", args: ["global_train_batch_size": .integer(5)]))
        #expect(shareOfMovement(other.end, alone) > 1e-3)
    }

    @Test(arguments: ["weights", "lstm"])
    func aResumedRunHasTheSameBits(_ name: String) throws {
        let output = try TemporaryDirectory()
        func inputs(_ run: String) throws -> TrainingInputs {
            try self.inputs(
                name, output.path + "/" + run,
                args: ["optim": .string("adamw_torch"), "learning_rate": .number(1e-3), "weight_decay": .number(0.01)])
        }
        let whole = try GoldenRun.train(try inputs("whole"))
        let asking = AskAfter(step: 3)
        var first = try inputs("parts")
        first.stop = asking.stop
        let stopped = try Trainer(first, ensemble: LocalEnsemble.single(), reports: [asking]).train()
        #expect(stopped == .preempted(step: 3))
        #expect(try GoldenRun.train(try inputs("parts")).end == whole.end)
        #expect(whole.start != whole.end)
    }

    @Test func whatCannotBeTrainedIsRefused() throws {
        let output = try TemporaryDirectory()
        let inner: JSONObject = ["name": .string("MultipleNegativesRankingLoss")]
        let adaptive = try inputs(
            "cnn", output.path + "/run", loss: ["name": .string("AdaptiveLayerLoss"), "loss": .object(inner)])
        let error = #expect(throws: TuttiError.self) {
            try Trainer(adaptive, ensemble: LocalEnsemble.single()).train()
        }
        #expect(
            error?.kind == .usage && error?.problem.contains("lower layers") == true, "\(String(describing: error))")
        // A frozen table and pooling leave nothing to train.
        let folder = output.path + "/still"
        try FileManager.default.copyItem(atPath: Goldens.path("token-modules/words/model"), toPath: folder)
        let text = try String(contentsOfFile: folder + "/modules.json", encoding: .utf8)
        var modules = try #require(try JSONValue.parse(text, source: "modules").array)
        modules.removeLast()
        try AtomicWrite.file(path: folder + "/modules.json", text: JSONValue.array(modules).serialized())
        var still = try inputs("words", output.path + "/other")
        still.model = try SentenceEncoder.load(folder)
        let nothing = #expect(throws: TuttiError.self) { try Trainer(still, ensemble: LocalEnsemble.single()).train() }
        #expect(nothing?.kind == .usage && nothing?.problem.contains("no parameters") == true)
    }
}
