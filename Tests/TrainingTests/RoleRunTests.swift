// Whole runs of losses with several roles: each guide reads the texts by its own tokenizer.

import TestSupport
import Testing
import TuttiGround
import TuttiObjectives

@Suite(.serialized) struct RoleRunTests {
    private func gist(_ model: String) -> LossSpecification {
        LossSpecification(
            name: "GISTEmbedLoss",
            options: ["guide": .string(TinyRun(model).modelPath), "temperature": .number(0.2)])
    }

    /// The parts of the loss of the first step.
    private func firstLine(_ loss: LossSpecification, _ output: String) throws -> JSONObject {
        var run = TinyRun("bert-sgd")
        run.loss = loss
        run.arguments.globalTrainBatchSize = 12
        run.arguments.maxSteps = 2
        run.arguments.loggingSteps = 1
        run.arguments.saveStrategy = .no
        _ = try run.train(output)
        return try #require(try trainingLines(output).first)
    }

    @Test func twoGuidesReadTheSameBatch() throws {
        let scratch = try TemporaryDirectory()
        let both = LossSpecification(
            name: "Sum", options: ["losses": .array([.loss(gist("bert-sgd")), .loss(gist("mpnet-sgd"))])])
        let line = try firstLine(both, scratch.path + "/both")
        let alone = try ["bert-sgd", "mpnet-sgd"].map {
            try #require(try firstLine(gist($0), scratch.path + "/" + $0)["loss"]?.double)
        }
        #expect(abs(alone[0] - alone[1]) > 1e-4, "the guides say the same: it proves nothing")
        #expect(abs(try #require(line["GISTEmbedLoss"]?.double) - alone[0]) <= 2e-6)
        #expect(abs(try #require(line["GISTEmbedLoss_2"]?.double) - alone[1]) <= 2e-6)
    }
}
