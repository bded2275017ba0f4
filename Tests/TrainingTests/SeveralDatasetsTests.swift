// Runs over two data sets with two losses: the number of ranks, a stop and a resume change nothing; each loss trains
// in its own steps only; metrics and the model card name the data sets.

import Foundation
import Glibc
import TestSupport
import Testing
import TuttiCorpus
import TuttiEnsemble
import TuttiFormats
import TuttiGround
import TuttiModels
import TuttiObjectives
import TuttiReports
import TuttiTraining

/// Triplets under MultipleNegativesRankingLoss and pairs under a loss with a parameter, of a golden run's rows.
private struct TwoDatasets {
    let tiny = TinyRun("bert-sgd")
    var arguments = TrainingArguments()
    var names: (String?, String?) = ("triplets", "pairs")
    var bothOwn = false

    init() {
        arguments.optim = "sgd"
        arguments.learningRate = 0.2
        arguments.globalTrainBatchSize = 11
        arguments.gradientAccumulationSteps = 2
        arguments.maxSteps = 10
        arguments.loggingSteps = 1
        arguments.evalStrategy = .steps
        arguments.evalSteps = 5
        arguments.saveStrategy = .no
    }

    func inputs(_ output: String) throws -> TrainingInputs {
        let model = try SentenceEncoder.load(
            tiny.modelPath,
            configOverrides: ["hidden_dropout_prob": .number(0.1), "attention_probs_dropout_prob": .number(0.1)])
        let rows = tiny.folder + "/rows.jsonl"
        let triplets = try loadTable(DatasetSpecification(path: rows))
        let pairs = try loadTable(DatasetSpecification(path: rows, columns: ["negative_1", "anchor"]))
        let first =
            bothOwn
            ? ConfiguredLoss(OffsetLoss()) : try LossRegistry.make(name: "MultipleNegativesRankingLoss")
        var inputs = TrainingInputs(
            model: model, arguments: arguments,
            trainDatasets: [
                TrainingDataset(triplets, name: names.0, loss: 0), TrainingDataset(pairs, name: names.1, loss: 1),
            ],
            losses: [
                TrainingLoss(first, dataset: names.0), TrainingLoss(ConfiguredLoss(OffsetLoss()), dataset: names.1),
            ], outputDirectory: output)
        inputs.evalDatasets = inputs.trainDatasets
        return inputs
    }

    @discardableResult
    func train(
        _ output: String, ensemble: any Ensemble = LocalEnsemble.single(),
        report: (any Report)? = nil
    ) throws -> (outcome: TrainingOutcome, weights: [Float]) {
        var inputs = try inputs(output)
        if let asking = report as? any AsksToStop { inputs.stop = asking.stop }
        let outcome = try Trainer(inputs, ensemble: ensemble, reports: report.map { [$0] } ?? []).train()
        return (outcome, parameterValues(inputs.model))
    }
}

/// Keeps what a run says, and may ask it to stop after a step.
private final class Listener: Report, AsksToStop {
    let stop = StopRequest()
    private(set) var notices: [String] = []
    private let stopAfter: Int?
    init(stopAfter: Int? = nil) { self.stopAfter = stopAfter }
    func stepped(_ progress: StepProgress) {
        if progress.step == stopAfter { stop.ask(.saveAndStop) }
    }
    func notice(_ text: String) { notices.append(text) }
}

@Suite(.serialized) struct SeveralDatasetsTests {
    private func distance(_ a: [Float], _ b: [Float]) -> Double {
        zip(a, b).reduce(0.0) { $0 + Double($1.0 - $1.1) * Double($1.0 - $1.1) }.squareRoot()
    }

    private func bytes(_ path: String) throws -> [UInt8] { [UInt8](try Data(contentsOf: URL(fileURLWithPath: path))) }

    private func offsets(_ folder: String) throws -> [String: [Float]] {
        let file = try SafetensorsFile(path: folder + "/loss.safetensors")
        var tensors: [String: [Float]] = [:]
        for info in file.tensors { tensors[info.name] = try file.floats(info.name) }
        return tensors
    }

    /// Clock times of every data set left out too.
    private func lines(_ output: String) throws -> [String] {
        timeless(
            try metricsLines(output).map { line in
                var kept = line
                let times = line.keys.filter { $0.hasSuffix("_runtime") || $0.hasSuffix("_per_second") }
                for key in times { kept.remove(key) }
                return kept
            })
    }

    @Test(arguments: [DatasetMixing.proportional, .roundRobin, .temperature(4)])
    func anyNumberOfRanksGivesTheSameRun(_ mixing: DatasetMixing) throws {
        let scratch = try TemporaryDirectory()
        var run = TwoDatasets()
        run.arguments.datasetMixing = mixing
        let start = parameterValues(try run.inputs("").model)
        let alone = try run.train(scratch.path + "/1").weights
        let moved = distance(Array(alone.prefix(start.count)), start)
        #expect(moved >= 0.01 * distance(start, [Float](repeating: 0, count: start.count)))
        let wanted = try metricsLines(scratch.path + "/1")
        for world in [2, 4] {
            let output = scratch.path + "/\(world)"
            let all = try LocalEnsemble.run(world: world) { [run] ensemble in
                try run.train(output, ensemble: ensemble).weights
            }
            for rank in all { #expect(rank == all[0], "replicas must not drift") }
            #expect(distance(all[0], alone) <= 1e-5 * moved, "W = \(world)")
            let found = try metricsLines(output)
            #expect(found.count == wanted.count)
            for (line, same) in zip(found, wanted) {
                #expect(line.keys.filter { $0 != "balance" } == same.keys)  // one rank has nobody to compare with
                for key in ["loss", "eval_triplets_loss", "eval_pairs_loss"] {
                    guard let value = same[key]?.double else { continue }
                    let error = abs((line[key]?.double ?? .nan) - value)
                    #expect(error <= 2e-6 * max(1, abs(value)), "W = \(world) \(key)")
                }
            }
        }
    }

    @Test(arguments: [DatasetMixing.proportional, .temperature(4)])
    func aRunResumedInTheMiddleOfAnEpochHasTheSameBits(_ mixing: DatasetMixing) throws {
        let scratch = try TemporaryDirectory()
        var run = TwoDatasets()
        run.arguments.datasetMixing = mixing
        (run.arguments.optim, run.arguments.learningRate) = ("adamw_torch", 1e-3)
        run.arguments.saveStrategy = .steps
        run.arguments.loggingSteps = 3
        run.arguments.maxSteps = 14  // an epoch has eight steps
        let (whole, parts) = (scratch.path + "/whole", scratch.path + "/parts")
        #expect(try run.train(whole).outcome == .finished)
        for step in [5, 10] {
            #expect(try run.train(parts, report: Listener(stopAfter: step)).outcome == .preempted(step: step))
        }
        #expect(try run.train(parts).outcome == .finished)
        for name in ["model.safetensors", "loss.safetensors"] {
            #expect(try bytes(parts + "/final/" + name) == bytes(whole + "/final/" + name))
        }
        #expect(try lines(parts) == lines(whole))
    }

    /// In turns, with momentum: what one loss owns stays as it is while the other works, and updates are counted apart.
    @Test func aLossIsUpdatedInItsOwnStepsOnly() throws {
        let scratch = try TemporaryDirectory()
        let output = scratch.path + "/run"
        var run = TwoDatasets()
        run.bothOwn = true
        run.arguments.datasetMixing = .roundRobin
        (run.arguments.optim, run.arguments.learningRate) = ("adamw_torch", 1e-2)
        run.arguments.weightDecay = 0.1
        run.arguments.gradientAccumulationSteps = 1
        run.arguments.maxSteps = 6
        run.arguments.saveStrategy = .steps
        run.arguments.saveSteps = 1
        try run.train(output)
        var before: [String: [Float]] = [:]
        for step in 1...6 {
            let now = try offsets(output + "/checkpoint-\(step)")
            #expect(now.keys.sorted() == ["pairs.offset", "triplets.offset"])
            #expect(now["pairs.offset"] != now["triplets.offset"])
            if step > 1 {
                let (working, resting) = step % 2 == 1 ? ("triplets", "pairs") : ("pairs", "triplets")
                #expect(now["\(working).offset"] != before["\(working).offset"], "step \(step)")
                #expect(now["\(resting).offset"] == before["\(resting).offset"], "step \(step)")
            }
            before = now
        }
        let state = try JSONValue.parse(file: output + "/checkpoint-5/tutti_state.json").object?["state"]?.object
        #expect(state?["loss_updates"]?.array?.compactMap(\.int) == [3, 2])
    }

    @Test func metricsAreNamedByDataSet() throws {
        let scratch = try TemporaryDirectory()
        var run = TwoDatasets()
        run.arguments.maxSteps = 5
        run.arguments.metricForBestModel = "pairs_loss"
        run.arguments.saveStrategy = .best
        try run.train(scratch.path + "/run")
        let line = try #require(try metricsLines(scratch.path + "/run").first { $0["eval_pairs_loss"] != nil })
        let kinds = ["loss", "runtime", "samples_per_second", "steps_per_second"]
        let keys = ["triplets", "pairs"].flatMap { name in kinds.map { "eval_\(name)_\($0)" } }
        #expect(line.keys == ["step", "epoch"] + keys)
        #expect(FileManager.default.fileExists(atPath: scratch.path + "/run/checkpoint-5"))
        let card = try String(contentsOfFile: scratch.path + "/run/final/README.md", encoding: .utf8)
        for part in ["#### triplets", "#### pairs", "loss:OffsetLoss", "loss:MultipleNegativesRankingLoss"] {
            #expect(card.contains(part), "\(part)")
        }
        #expect(card.contains("| Epoch | Step | Training Loss | triplets loss | pairs loss |"))
        // There is no sum of the two.
        run.arguments.metricForBestModel = "eval_loss"
        do {
            try run.train(scratch.path + "/other")
            Issue.record("eval_loss is no metric of this run")
        } catch let error as TuttiError {
            #expect(error.kind == .usage && error.subject == "args.metric_for_best_model")
            for name in ["eval_triplets_loss", "eval_pairs_loss"] { #expect(error.hint?.contains(name) == true) }
        }
    }

    /// One data set with a name is the run without one, whatever the mixing, and its prompts are texts put in front.
    @Test func aNameChangesNothingAndPromptsAreText() throws {
        let scratch = try TemporaryDirectory()
        var tiny = TinyRun("bert-sgd")
        tiny.arguments.optim = "sgd"
        tiny.arguments.learningRate = 0.2
        tiny.arguments.maxSteps = 6
        tiny.arguments.saveStrategy = .no
        let plain = try tiny.inputs(scratch.path + "/plain")
        _ = try Trainer(plain, ensemble: LocalEnsemble.single()).train()
        let ends = parameterValues(plain.model)
        for mixing in [DatasetMixing.roundRobin, .temperature(3)] {
            tiny.arguments.datasetMixing = mixing
            var named = try tiny.inputs(scratch.path + "/\(mixing.name)")
            named.trainDatasets[0].name = "only"
            _ = try Trainer(named, ensemble: LocalEnsemble.single()).train()
            #expect(parameterValues(named.model) == ends)
        }
        let text = "{\"prompts\": {\"only\": {\"anchor\": \"baba \"}}}"
        var prompted = try tiny.inputs(scratch.path + "/prompted")
        prompted.arguments.prompts = try TrainingArguments(
            json: try #require(try JSONValue.parse(text).object), places: ConfigurationPlaces(file: "c")
        ) { _ in }.prompts
        prompted.trainDatasets[0].name = "only"
        _ = try Trainer(prompted, ensemble: LocalEnsemble.single()).train()
        var written = try tiny.inputs(scratch.path + "/written")
        let table = written.trainDataset
        written.trainDataset = try Table(
            columns: table.columnNames.enumerated().map { column, name in
                (name, table.texts(column: column).map { name == "anchor" ? "baba " + $0 : $0 })
            })
        _ = try Trainer(written, ensemble: LocalEnsemble.single()).train()
        let same = parameterValues(written.model)
        #expect(parameterValues(prompted.model) == same && same != ends)
    }

    @Test func columnsAreToldAndDoubtfulOnesToo() throws {
        let scratch = try TemporaryDirectory()
        var run = TwoDatasets()
        run.arguments.evalStrategy = .no
        run.arguments.datasetMixing = .roundRobin
        run.arguments.maxSteps = 9
        let listener = Listener()
        var inputs = try run.inputs(scratch.path + "/run")
        let texts = (0..<40).map { "t\($0)" }
        inputs.trainDatasets[1].table = try Table(columns: [("answer", texts), ("question", texts)])
        inputs.losses[1].configured = try LossRegistry.make(name: "CachedMultipleNegativesRankingLoss")
        inputs.evalDatasets = []
        _ = try Trainer(inputs, ensemble: LocalEnsemble.single(), reports: [listener]).train()
        #expect(
            listener.notices.prefix(3) == [
                "triplets, 84 rows, MultipleNegativesRankingLoss: anchor -> anchor, positive -> positive, "
                    + "negative_1 -> negative.",
                "pairs, 40 rows, CachedMultipleNegativesRankingLoss: answer -> anchor, question -> positive.",
                "pairs: 'question' is text column 2, and a column of this name usually is number 1. Losses go by the "
                    + "order, not by the names; columns: [question, answer] would change it.",
            ])
        #expect(
            listener.notices.contains(
                "Epoch 1 leaves out 40 of 84 rows of triplets: other data sets take their turn (round_robin)."))
    }

    @Test func aDataSetThatMakesNoBatchIsRefused() throws {
        let scratch = try TemporaryDirectory()
        var run = TwoDatasets()
        run.arguments.dataloaderDropLast = true
        var inputs = try run.inputs(scratch.path + "/run")
        inputs.trainDatasets[1].table = try Table(
            columns: [("a", ["x", "y"]), ("b", ["u", "v"])], source: "few.csv")
        do {
            _ = try Trainer(inputs, ensemble: LocalEnsemble.single())
            Issue.record("two rows make no batch of eleven")
        } catch let error as TuttiError {
            #expect(error.kind == .data && error.subject == "few.csv")
            #expect(error.problem.hasPrefix("2 rows make no batch of 11, and dataloader_drop_last"))
        }
    }
}
