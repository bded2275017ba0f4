// group_by_label in a run: batches are planned over the whole job, so ranks that share one change nothing.

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

/// Keeps what a run says.
private final class Notes: Report {
    private(set) var lines: [String] = []
    func notice(_ text: String) { lines.append(text) }
}

@Suite struct LabelledBatchesTests {
    /// Trains on `ensemble` and returns the weights.
    private static func train(
        _ output: String, rows: Int = 10, ensemble: any Ensemble = LocalEnsemble.single(),
        report: (any Report)? = nil
    ) throws -> [Float] {
        let tiny = TinyRun("bert-sgd")
        let texts = try loadTable(DatasetSpecification(path: tiny.folder + "/rows.jsonl"))
        // 50 rows of one label; 12, 11 and 11 of the others.
        let table = try Table(
            columns: [("a", texts.texts(column: 0)), ("b", texts.texts(column: 1))],
            labels: (0..<texts.rowCount).map { .integer($0 < 50 ? 7 : $0 % 3) })
        var arguments = TrainingArguments()
        arguments.optim = "sgd"
        arguments.learningRate = 0.2
        arguments.globalTrainBatchSize = rows
        arguments.batchSampler = GroupByLabelBatchSampler()
        arguments.numTrainEpochs = 2
        arguments.loggingSteps = 1
        arguments.saveStrategy = .no
        let inputs = TrainingInputs(
            model: try SentenceEncoder.load(tiny.modelPath), arguments: arguments, trainDataset: table,
            loss: ConfiguredLoss(OffsetLoss()), outputDirectory: output)
        _ = try Trainer(inputs, ensemble: ensemble, reports: report.map { [$0] } ?? []).train()
        return parameterValues(inputs.model)
    }

    @Test func batchesAreTheSameOnAnyNumberOfRanks() throws {
        let scratch = try TemporaryDirectory()
        let notes = Notes()
        let alone = try Self.train(scratch.path + "/1", report: notes)
        let losses = try trainingLines(scratch.path + "/1").map { try #require($0["loss"]?.double) }
        #expect(losses.count == 2 * 5, "six pairs of two labels, five of two: 44 rows, the last batch of four is kept")
        #expect(
            notes.lines.contains(
                "Epoch 1 leaves out 40 of 84 rows: a batch of group_by_label holds pairs of rows of one label, of two "
                    + "labels or more."), "\(notes.lines)")
        let output = scratch.path + "/3"
        let all = try LocalEnsemble.run(world: 3) { try Self.train(output, ensemble: $0) }
        let start = parameterValues(try SentenceEncoder.load(TinyRun("bert-sgd").modelPath))
        let moved = distance(Array(alone.prefix(start.count)), start)
        #expect(moved > 0 && all.allSatisfy { distance($0, alone) <= 1e-5 * moved })
        for (line, loss) in zip(try trainingLines(output), losses) {
            #expect(abs((line["loss"]?.double ?? .nan) - loss) <= 2e-6 * max(1, abs(loss)))
        }
    }

    @Test func anOddGlobalBatchIsRefusedOnAnyRank() throws {
        let scratch = try TemporaryDirectory()
        let output = scratch.path
        for world in [1, 2] {
            do {
                _ = try LocalEnsemble.run(world: world) { try Self.train(output, rows: 7, ensemble: $0) }
                Issue.record("seven rows are no pairs")
            } catch {
                #expect("\(error)".contains("the global batch has 7 rows"), "\(error)")
            }
        }
    }

    private func distance(_ a: [Float], _ b: [Float]) -> Double {
        zip(a, b).reduce(0.0) { $0 + Double($1.0 - $1.1) * Double($1.0 - $1.1) }.squareRoot()
    }
}
