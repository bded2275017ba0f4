// Models with a Router trained: eight steps against the reference (Golden/router.py), any number of ranks against one,
// chunks against whole batches, a run that was stopped against one that was not; and what a run refuses.

import Foundation
import TestSupport
import Testing
import TuttiEnsemble
import TuttiFormats
import TuttiGround
import TuttiModels
import TuttiReports
import TuttiTraining

@Suite(.serialized) struct RouterTrainingTests {
    static let models = ["asymmetric", "late", "shared"]

    private func expected(_ name: String) throws -> JSONObject {
        try #require(try JSONValue.parse(file: Goldens.path("router/\(name)/expected.json")).object)
    }

    private func inputs(
        _ name: String, _ output: String, loss: JSONObject = ["name": .string("MultipleNegativesRankingLoss")],
        args changes: JSONObject = JSONObject(), dropout: Double = 0, model: String? = nil
    ) throws -> TrainingInputs {
        let expected = try expected(name)
        var args = JSONObject()
        for key in ["learning_rate", "router_mapping"] { args[key] = try #require(expected[key]) }
        for (key, value) in changes { args[key] = value }
        var more = JSONObject()
        if dropout > 0 {
            more["config_overrides"] = .object([
                "hidden_dropout_prob": .number(dropout), "attention_probs_dropout_prob": .number(dropout),
            ])
        }
        let configuration = try GoldenRun.configuration(
            model: model ?? Goldens.path("router/\(name)/model"), output, args: args, loss: .object(loss), more: more)
        return try TrainingInputs(configuration, ensemble: LocalEnsemble.single())
    }

    @Test(arguments: models)
    func eightStepsEqualTheReference(_ name: String) throws {
        let (expected, output) = (try expected(name), try TemporaryDirectory())
        _ = try GoldenRun.train(try inputs(name, output.path + "/run"))
        try GoldenRun.expectSteps(expected["steps"], in: output.path + "/run")
        try GoldenRun.expectMovement(expected["movement"])
        try GoldenRun.expectEnd(output.path + "/run/final", golden: Goldens.path("router/\(name)"), moreThan: 1000)
    }

    @Test(arguments: models)
    func ranksAndChunksChangeNothing(_ name: String) throws {
        let output = try TemporaryDirectory()
        let root = output.path
        let alone = try GoldenRun.train(try inputs(name, root + "/1", dropout: 0.1))
        let chunks: JSONObject = [
            "name": .string("CachedMultipleNegativesRankingLoss"), "mini_batch_size": .integer(5),
        ]
        let chunked = try GoldenRun.train(try inputs(name, root + "/chunks", loss: chunks, dropout: 0.1))
        #expect(
            shareOfMovement(chunked.end, alone) <= 1e-5,
            "chunks: \(shareOfMovement(chunked.end, alone)) of the movement")
        for world in 2...4 {
            let ends = try LocalEnsemble.run(world: world) { ensemble in
                try GoldenRun.train(try inputs(name, root + "/\(world)", dropout: 0.1), ensemble: ensemble).end
            }
            #expect(ends.allSatisfy { $0 == ends[0] }, "ranks have drifted apart")
            #expect(
                shareOfMovement(ends[0], alone) <= 1e-5,
                "W = \(world): \(shareOfMovement(ends[0], alone)) of the movement")
        }
        // Negative controls: other masks, and texts by the other route, are other runs.
        let masks = try GoldenRun.train(try inputs(name, root + "/masks", dropout: 0.11))
        #expect(shareOfMovement(masks.end, alone) > 1e-3)
        let mapping = try #require(try expected(name)["router_mapping"]?.object)
        let swapped: JSONObject = [
            "router_mapping": .object(["anchor": mapping["positive"] ?? .null, "positive": mapping["anchor"] ?? .null])
        ]
        let other = try GoldenRun.train(try inputs(name, root + "/swapped", args: swapped, dropout: 0.1))
        #expect(shareOfMovement(other.end, alone) > 1e-3)
    }

    @Test func aResumedRunHasTheSameBits() throws {
        let output = try TemporaryDirectory()
        func inputs(_ run: String) throws -> TrainingInputs {
            try self.inputs(
                "asymmetric", output.path + "/" + run,
                args: ["optim": .string("adamw_torch"), "learning_rate": .number(1e-3), "weight_decay": .number(0.01)],
                dropout: 0.1)
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

    /// The columns of a data set choose the routes, by data set or for all; patterns of learning rates know the
    /// reference's names.
    @Test func mappingsAndLearningRates() throws {
        let output = try TemporaryDirectory()
        let still = try GoldenRun.train(
            try inputs(
                "asymmetric", output.path + "/rates",
                args: [
                    "learning_rate_mapping": .object([
                        #"^model\.0\.sub_modules\.document\.0\.(auto_)?model\."#: .number(0),
                        #"sub_modules\.query\.1\.linear\.bias$"#: .number(0),
                    ])
                ]))
        let model = try SentenceEncoder.load(Goldens.path("router/asymmetric/model"))
        for entry in model.encoder.layout.entries {
            let moved = still.start[entry.elements] != still.end[entry.elements]
            let isStill = entry.name.hasPrefix("document_0_Transformer.") || entry.name == "query_1_Dense.linear.bias"
            #expect(moved != isStill, "\(entry.name)")
        }
        let names = model.referenceNames
        #expect(
            names["query_0_StaticEmbedding.embedding.weight"]
                == ParameterNames(["model.0.sub_modules.query.0.embedding.weight"]))
        #expect(Set(names.keys) == Set(model.encoder.layout.entries.map(\.name)))
    }

    @Test(arguments: [
        (#"{}"#, "is missing, and the model has a Router"), (#"{"anchr": "query"}"#, "no text column of this name"),
        (#"{"anchor": "qery"}"#, "'qery' has no route"),
        (#"{"pairs": {"anchor": "query"}}"#, "no data set of this name"),
        (#"{"anchor": 3}"#, "a task"), (#""query""#, "a mapping"),
    ])
    func mappingsThatMeanNothingAreRefused(_ mapping: String, _ word: String) throws {
        let output = try TemporaryDirectory()
        let json = try JSONValue.parse(mapping, source: "test")
        let error = #expect(throws: TuttiError.self) {
            try inputs("asymmetric", output.path + "/run", args: ["router_mapping": json])
        }
        #expect(error?.kind == .usage && "\(error?.description ?? "")".contains(word), "\(String(describing: error))")
    }

    @Test func lossesThatLookInsideOneEncoderAreRefused() throws {
        let output = try TemporaryDirectory()
        let inner: JSONObject = ["name": .string("MultipleNegativesRankingLoss")]
        let inputs = try inputs(
            "asymmetric", output.path + "/run", loss: ["name": .string("AdaptiveLayerLoss"), "loss": .object(inner)])
        let error = #expect(throws: TuttiError.self) {
            try Trainer(inputs, ensemble: LocalEnsemble.single()).train()
        }
        #expect(error?.kind == .usage && error?.problem.contains("Router") == true, "\(String(describing: error))")
    }
}
