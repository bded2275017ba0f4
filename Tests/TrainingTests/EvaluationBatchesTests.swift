// The loss on evaluation data: batches of the sampler that training uses, the parts of the loss by name.
//
// With a learning rate of zero and no dropout, the steps of the first epoch have the very losses of an evaluation of
// the same data in batches of the same size.

import Foundation
import TestSupport
import Testing
import TuttiCorpus
import TuttiEnsemble
import TuttiGround
import TuttiModels
import TuttiObjectives
import TuttiTraining

@Suite struct EvaluationBatchesTests {
    /// Texts in order of their class: 12 of each of four.
    private static func labelled() throws -> Table {
        let rows = try loadTable(DatasetSpecification(path: TinyRun("bert-sgd").folder + "/rows.jsonl"))
        return try Table(
            columns: [("text", Array(rows.texts(column: 0).prefix(48)))],
            labels: (0..<48).map { .integer($0 / 12) })
    }

    /// One epoch that moves nothing, evaluated at its end on the data that it trains on.
    private func inputs(
        _ output: String, loss: LossSpecification, _ change: (inout TrainingArguments) -> Void = { _ in }
    ) throws -> TrainingInputs {
        var arguments = TrainingArguments()
        arguments.learningRate = 0
        arguments.numTrainEpochs = 1
        arguments.globalTrainBatchSize = 8
        arguments.loggingSteps = 1
        arguments.evalStrategy = .epoch
        arguments.saveStrategy = .no
        change(&arguments)
        let model = try SentenceEncoder.load(
            TinyRun("bert-sgd").modelPath,
            configOverrides: ["hidden_dropout_prob": .number(0), "attention_probs_dropout_prob": .number(0)])
        var inputs = TrainingInputs(
            model: model, arguments: arguments, trainDataset: try Self.labelled(), loss: try LossRegistry.make(loss),
            outputDirectory: output)
        inputs.evalDataset = inputs.trainDataset
        return inputs
    }

    private func evaluation(_ output: String) throws -> JSONObject {
        try #require(try metricsLines(output).last { $0["eval_loss"] != nil })
    }

    /// The mean over the rows of the training batches, which all have 8 rows here.
    private func meanLoss(_ output: String, _ key: String = "loss") throws -> Double {
        let lines = try trainingLines(output)
        return try lines.reduce(0.0) { $0 + (try #require($1[key]?.double)) } / Double(lines.count)
    }

    @Test(arguments: ["batch_sampler", "group_by_label", "sequential"])
    func batchesAreThoseOfTheSampler(_ name: String) throws {
        let sampler = try BatchSamplerRegistry.sampler(named: name)
        let scratch = try TemporaryDirectory()
        let inputs = try inputs(scratch.path, loss: LossSpecification(name: "BatchAllTripletLoss")) {
            $0.batchSampler = sampler
        }
        _ = try Trainer(inputs, ensemble: LocalEnsemble.single()).train()
        let (wanted, found) = (try meanLoss(scratch.path), try evaluation(scratch.path)["eval_loss"]?.double ?? .nan)
        #expect(abs(found - wanted) <= 2e-6 * max(1, wanted), "\(name)")
        // In the order of the file nearly every batch has one class: no triplets, no loss.
        if name != "sequential" { #expect(found > 1) }
    }

    @Test func aShortBatchIsLeftOutWhereTrainingLeavesItOut() throws {
        for drops in [false, true] {
            let scratch = try TemporaryDirectory()
            let inputs = try inputs(scratch.path, loss: LossSpecification(name: "BatchAllTripletLoss")) {
                $0.globalTrainBatchSize = 20  // 48 rows: two batches of 20, one of 8
                $0.dataloaderDropLast = drops
            }
            _ = try Trainer(inputs, ensemble: LocalEnsemble.single()).train()
            let lines = try trainingLines(scratch.path).map { $0["loss"]?.double ?? .nan }
            let wanted = drops ? (lines[0] + lines[1]) / 2 : (20 * lines[0] + 20 * lines[1] + 8 * lines[2]) / 48
            let found = try evaluation(scratch.path)["eval_loss"]?.double ?? .nan
            #expect(abs(found - wanted) <= 2e-6 * max(1, wanted))
        }
    }

    @Test func partsOfALossAreLoggedAsInTraining() throws {
        for world in [1, 2] {
            let scratch = try TemporaryDirectory()
            let output = scratch.path
            _ = try withEvery(world: world...world) { ensemble in
                var inputs = try inputs(
                    output, loss: LossSpecification(name: "GlobalOrthogonalRegularizationLoss"))
                let labelled = inputs.trainDataset
                inputs.trainDataset = try Table(columns: [("text", labelled.texts(column: 0))])
                inputs.evalDataset = inputs.trainDataset
                _ = try Trainer(inputs, ensemble: ensemble).train()
            }
            let line = try evaluation(scratch.path)
            for part in ["gor_mean", "gor_second_moment"] {
                let wanted = try meanLoss(scratch.path, part)
                let found = try #require(line["eval_\(part)"]?.double)
                #expect(wanted > 0 && abs(found - wanted) <= 2e-6 * max(1, wanted), "\(part), \(world) ranks")
            }
        }
    }

    @Test func dataThatMakeNoEvaluationAreRefusedBeforeTheFirstStep() throws {
        let scratch = try TemporaryDirectory()
        var inputs = try inputs(scratch.path, loss: LossSpecification(name: "BatchAllTripletLoss")) {
            $0.dataloaderDropLast = true
            $0.globalEvalBatchSize = 64
        }
        let error = #expect(throws: TuttiError.self) { try Trainer(inputs, ensemble: LocalEnsemble.single()) }
        #expect(error?.kind == .data && error?.hint?.contains("dataloader_drop_last") == true)
        inputs.arguments.evalStrategy = .no  // never evaluated: nothing is wrong
        _ = try Trainer(inputs, ensemble: LocalEnsemble.single())
    }
}
