// Losses that need nothing but texts, trained on one text column: pairs, noise and masks are functions of rows and
// places, so that any number of ranks gives the same run; what a decoder starts from; which decoders are refused.

import Foundation
import TestSupport
import Testing
import TuttiCorpus
import TuttiEncoders
import TuttiEnsemble
import TuttiFormats
import TuttiGround
import TuttiModels
import TuttiObjectives
import TuttiTraining

@Suite(.serialized) struct SingleTextTests {
    private static let folder = Goldens.path("losses")

    /// The loss, and the rate at which it moves the tiny model by some per cent.
    static let cases: [(loss: LossSpecification, rate: Double)] = [
        (LossSpecification(name: "ContrastiveTensionLoss", options: ["pos_neg_ratio": .integer(3)]), 0.002),
        (LossSpecification(name: "ContrastiveTensionLossInBatchNegatives", options: ["scale": .number(8)]), 0.1),
        (LossSpecification(name: "DenoisingAutoEncoderLoss"), 0.3),
        (
            LossSpecification(
                name: "DenoisingAutoEncoderLoss",
                options: [
                    "tie_encoder_decoder": .bool(false), "decoder_name_or_path": .string(folder + "/decoder"),
                    "del_ratio": .number(0.3),
                ]), 0.5
        ),
    ]

    private func inputs(
        _ loss: LossSpecification, rate: Double = 0.1, model: String = folder + "/model", output: String = "",
        change: (inout TrainingArguments) -> Void = { _ in }
    ) throws -> TrainingInputs {
        var arguments = TrainingArguments()
        arguments.optim = "sgd"
        arguments.learningRate = rate
        arguments.schedulerType = "constant"
        arguments.globalTrainBatchSize = 11
        arguments.gradientAccumulationSteps = 2
        arguments.maxSteps = 6
        arguments.loggingSteps = 1
        arguments.saveStrategy = .no
        change(&arguments)
        let table = try loadTable(
            DatasetSpecification(path: Self.folder + "/data/denoise.jsonl", columns: ["original"]))
        let encoder = try SentenceEncoder.load(
            model,
            configOverrides: ["hidden_dropout_prob": .number(0.1), "attention_probs_dropout_prob": .number(0.1)])
        var inputs = TrainingInputs(
            model: encoder, arguments: arguments, trainDataset: table, loss: try LossRegistry.make(loss),
            outputDirectory: output)
        inputs.evalDataset = table
        return inputs
    }

    private func train(
        _ loss: LossSpecification, rate: Double, output: String, ensemble: any Ensemble = LocalEnsemble.single(),
        change: (inout TrainingArguments) -> Void = { _ in }
    ) throws -> [Float] {
        let inputs = try inputs(loss, rate: rate, output: output, change: change)
        guard try Trainer(inputs, ensemble: ensemble).train() == .finished else {
            throw TuttiError(.data, "train", output, "did not finish")
        }
        return Array(inputs.model.encoder.parameters.values)
    }

    private func losses(_ output: String) throws -> [Double] {
        try trainingLines(output).map { try #require($0["loss"]?.double) }
    }

    @Test(arguments: 0..<cases.count)
    func anyNumberOfRanksGivesTheSameRun(_ index: Int) throws {
        let (loss, rate) = Self.cases[index]
        let scratch = try TemporaryDirectory()
        let alone = try train(loss, rate: rate, output: scratch.path + "/1")
        let wanted = try losses(scratch.path + "/1")
        let begin = try inputs(loss)
        _ = try Trainer(begin, ensemble: LocalEnsemble.single())
        let start = Array(begin.model.encoder.parameters.values)
        let moved = distance(alone, start)
        #expect(moved >= 0.01 * distance(start, [Float](repeating: 0, count: start.count)))
        #expect(Set(wanted).count == wanted.count)
        for (world, chunk) in [(2, nil), (4, 2)] as [(Int, Int?)] {
            let output = scratch.path + "/\(world)"
            let all = try LocalEnsemble.run(world: world) { ensemble in
                try train(loss, rate: rate, output: output, ensemble: ensemble) { $0.miniBatchSize = chunk }
            }
            for rank in all { #expect(rank == all[0], "replicas must not drift") }
            #expect(distance(all[0], alone) <= 1e-5 * moved, "W = \(world)")
            for (value, wanted) in zip(try losses(output), wanted) {
                #expect(abs(value - wanted) <= 2e-6 * max(1, abs(wanted)), "W = \(world)")
            }
        }
        let other = try train(loss, rate: rate, output: scratch.path + "/seed") {
            $0.dataSeed = $0.seed
            $0.seed += 1
        }
        #expect(distance(other, alone) > 1e-3 * moved, "pairs, noise and masks do not matter")
    }

    /// An evaluation gives the same loss whenever it is asked for, on any number of ranks.
    @Test(arguments: 0..<cases.count)
    func evaluationsRepeat(_ index: Int) throws {
        let scratch = try TemporaryDirectory()
        var seen: [Double] = []
        for world in [1, 3] {
            let output = scratch.path + "/\(world)"
            _ = try LocalEnsemble.run(world: world) { ensemble in
                try train(Self.cases[index].loss, rate: 0, output: output, ensemble: ensemble) {
                    $0.globalEvalBatchSize = 13
                    $0.maxSteps = 2
                    $0.evalStrategy = .steps
                    $0.evalSteps = 1
                }
            }
            let lines = try metricsLines(output).compactMap { $0["eval_loss"]?.double }
            #expect(lines.count >= 2)
            seen += lines
        }
        for value in seen { #expect(abs(value - seen[0]) <= 2e-6 * max(1, seen[0]), "\(seen)") }
    }

    // MARK: Noise

    @Test func wordsAreDeletedByRowAndEpoch() {
        let words = (0..<40).map { "w\($0)" }
        let text = words.joined(separator: " ")
        let deletion = WordDeletion(ratio: 0.6, seed: 7, epoch: 0)
        var kept = 0
        for row in 0..<200 as Range<Int32> {
            let left = deletion.damaged(text, row: row).split(separator: " ").map(String.init)
            #expect(left == words.filter(Set(left).contains) && !left.isEmpty, "the order of words stays")
            kept += left.count
        }
        #expect(abs(Double(kept) / 8000 - 0.4) < 0.02)
        #expect(deletion.damaged(text, row: 3) == WordDeletion(ratio: 0.6, seed: 7, epoch: 0).damaged(text, row: 3))
        #expect(deletion.damaged(text, row: 3) != deletion.damaged(text, row: 4))
        #expect(deletion.damaged(text, row: 3) != WordDeletion(ratio: 0.6, seed: 7, epoch: 1).damaged(text, row: 3))
        #expect(deletion.damaged(text, row: 3) != WordDeletion(ratio: 0.6, seed: 8, epoch: 0).damaged(text, row: 3))
    }

    @Test func oneWordStays() {
        let deletion = WordDeletion(ratio: 0.999, seed: 7, epoch: 0)
        let found = Set((0..<50 as Range<Int32>).map { deletion.damaged("a \u{A0}b\tc", row: $0) })
        #expect(found.isSuperset(of: ["a", "b", "c"]) && found.allSatisfy { $0.count == 1 })
        #expect(deletion.damaged("", row: 0) == "" && deletion.damaged("  ", row: 0) == "  ")
        #expect(WordDeletion(ratio: 0, seed: 7, epoch: 0).damaged("a b c", row: 0) == "a b c")
    }

    // MARK: Decoders

    @Test func aTiedDecoderOwnsCrossAttentionAndHead() throws {
        let inputs = try inputs(LossSpecification(name: "DenoisingAutoEncoderLoss"))
        _ = try Trainer(inputs, ensemble: LocalEnsemble.single())
        let store = inputs.model.encoder.parameters
        let own = store.layout.entries.filter { $0.owner == .loss }
        #expect(own.allSatisfy { $0.name.contains("crossattention") || $0.name.contains("cls.predictions") })
        #expect(own.count == 2 * 10 + 5)
        for entry in own {
            let values = store.values(of: entry)
            if entry.name.hasSuffix("LayerNorm.weight") {
                #expect(values.allSatisfy { $0 == 1 })
            } else if entry.name.hasSuffix("bias") {
                #expect(values.allSatisfy { $0 == 0 })
            } else {
                let deviation = (values.reduce(0) { $0 + $1 * $1 } / Float(values.count)).squareRoot()
                #expect(abs(deviation - 0.15) < 0.03, "\(entry.name): \(deviation)")  // its initializer_range
            }
        }
    }

    @Test func anUntiedDecoderStartsFromItsCheckpoint() throws {
        let inputs = try inputs(Self.cases[3].loss)
        _ = try Trainer(inputs, ensemble: LocalEnsemble.single())
        let store = inputs.model.encoder.parameters
        let file = try SafetensorsFile(path: Self.folder + "/decoder/model.safetensors")
        var compared = 0
        for entry in store.layout.entries where entry.owner == .loss {
            #expect(Array(store.values(of: entry)) == (try file.floats(String(entry.name.dropFirst("decoder.".count)))))
            compared += 1
        }
        #expect(compared == file.tensors.count)
    }

    /// The decoder reads the texts by its own tokenizer.
    @Test func anEncoderOfAnotherFamilyMayHaveADecoder() throws {
        let loss = LossSpecification(
            name: "DenoisingAutoEncoderLoss",
            options: [
                "tie_encoder_decoder": .bool(false), "decoder_name_or_path": .string(TinyRun("bert-sgd").modelPath),
            ])
        let scratch = try TemporaryDirectory()
        let inputs = try inputs(loss, model: TinyRun("mpnet-sgd").modelPath, output: scratch.path + "/run")
        let trainer = try Trainer(inputs, ensemble: LocalEnsemble.single())
        let store = inputs.model.encoder.parameters
        let name = "decoder.bert.encoder.layer.0.attention.self.value.weight"
        let own = try #require(store.layout.entry(named: name))
        let start = Array(store.values(of: own))
        #expect(try trainer.train() == .finished)
        let seen = try losses(scratch.path + "/run")
        #expect(seen.count == 6 && seen.allSatisfy(\.isFinite))
        #expect(Array(store.values(of: own)) != start)
    }

    /// MPNet has no causal language model with cross-attention, in transformers neither; widths must agree.
    @Test func decodersThatCannotBe() throws {
        func problem(_ loss: LossSpecification, model: String) throws -> TuttiError? {
            let inputs = try inputs(loss, model: model)
            do {
                _ = try Trainer(inputs, ensemble: LocalEnsemble.single())
                return nil
            } catch let error as TuttiError {
                return error
            }
        }
        let mpnet = TinyRun("mpnet-sgd").modelPath
        let tied = try problem(LossSpecification(name: "DenoisingAutoEncoderLoss"), model: mpnet)
        #expect(tied?.kind == .usage && tied?.problem.contains("mpnet") == true)
        let narrow = try problem(Self.cases[3].loss, model: TinyRun("bert-sgd").modelPath)
        #expect(narrow?.kind == .usage && narrow?.problem.contains("hidden_size 16") == true)
        #expect(throws: TuttiError.self) { try DenoisingAutoEncoderLoss(tieEncoderDecoder: false) }
        #expect(throws: TuttiError.self) { try DenoisingAutoEncoderLoss(deletionRatio: 1) }
        #expect(throws: TuttiError.self) {
            try DenoisingAutoEncoderLoss().check(LossSetting(width: 4, columns: ["a"], labels: .integers(0...1)))
        }
    }

    private func distance(_ a: [Float], _ b: [Float]) -> Double {
        zip(a, b).reduce(0.0) { $0 + Double($1.0 - $1.1) * Double($1.0 - $1.1) }.squareRoot()
    }
}
