// Trains a model with a loss, an evaluator and a report of one's own, registered before the run and then used by name.
//
//     swift run -c release --package-path Examples Extensions MODEL [OUTPUT]

import Foundation
import Tutti

/// Pairs of made-up sentences: those about one colour are similar, the others are not.
func makePairs() -> [(first: String, second: String, score: Int)] {
    let colours = ["red", "green", "blue", "grey"]
    let things = ["a car", "the house", "my hat"]
    var pairs: [(first: String, second: String, score: Int)] = []
    for (place, colour) in colours.enumerated() {
        for (shift, thing) in things.enumerated() {
            let other = colours[(place + shift) % colours.count]
            pairs.append(("\(thing) is \(colour)", "there is \(other) paint on \(thing)", other == colour ? 1 : 0))
        }
    }
    return pairs
}

/// Trains the model at `path`; the losses that the report wrote, and what the evaluator made of it, first and last.
func train(_ path: String, into output: String) throws -> (losses: [Double], gaps: [Double]) {
    LossRegistry.add(HuberSimilarityLoss.entry)
    EvaluatorRegistry.add(SimilarityGapEvaluator.entry)
    ReportRegistry.add(TableReport.entry)

    var arguments = SentenceTransformerTrainingArguments()
    arguments.maxSteps = 20
    arguments.perDeviceTrainBatchSize = 12
    arguments.learningRate = 2e-3
    arguments.loggingSteps = 5
    arguments.saveStrategy = .no
    arguments.evalStrategy = .steps
    arguments.evalSteps = 5
    arguments.reportTo = ["table"]
    let pairs = makePairs()
    let table = try Dataset(
        columns: [("sentence1", pairs.map(\.first)), ("sentence2", pairs.map(\.second))],
        labels: pairs.map { .float(Double($0.score)) })
    let rows = ["sentence1,sentence2,score"] + pairs.map { "\($0.first),\($0.second),\($0.score)" }
    let file = output + ".csv"
    try rows.joined(separator: "\n").write(toFile: file, atomically: true, encoding: .utf8)

    let model = try SentenceTransformer.load(path)
    let loss = try LossRegistry.make(name: "HuberSimilarityLoss", options: ["delta": .number(0.5)])
    let evaluator = try EvaluatorRegistry.make(
        name: "SimilarityGapEvaluator",
        options: EvaluatorOptions(
            place: "evaluators[0]", object: ["path": .string(file), "id": .string("colours"), "limit": .integer(1)],
            modelSimilarity: model.similarity))
    let trainer = try SentenceTransformerTrainer(
        model: model, arguments: arguments, trainDataset: table, loss: loss.loss, evaluators: [evaluator],
        outputDirectory: output)
    try trainer.train()
    return (
        try lastColumn(output + "/losses.csv"),
        try lastColumn(output + "/eval/similarity_gap_colours_results.csv")
    )
}

/// The numbers of the last column of the table at `path`, which must have four rows.
func lastColumn(_ path: String) throws -> [Double] {
    let lines = try String(contentsOfFile: path, encoding: .utf8).split(whereSeparator: \.isNewline).dropFirst()
    let values = lines.compactMap { $0.split(separator: ",").last.flatMap { Double($0) } }
    guard values.count == 4 else { throw TuttiError(.data, "read the results", path, "does not hold four rows") }
    return values
}

guard (2...3).contains(CommandLine.arguments.count) else {
    print("usage: Extensions MODEL [OUTPUT]")
    exit(TuttiError.Kind.usage.rawValue)
}
do {
    let output =
        CommandLine.arguments.count > 2
        ? CommandLine.arguments[2] : FileManager.default.temporaryDirectory.path + "/tutti-\(UUID().uuidString)"
    let (losses, gaps) = try train(CommandLine.arguments[1], into: output)
    print("loss of steps 1-5: \(losses[0]), of steps 16-20: \(losses[3])")
    print("gap at step 5: \(gaps[0]), at step 20: \(gaps[3])")
    guard losses[3] < losses[0] else { throw TuttiError(.diverged, "train", output, "the loss did not fall") }
    guard gaps[3] > gaps[0] else { throw TuttiError(.diverged, "train", output, "the gap did not grow") }
} catch {
    print("\(TuttiError(error))")
    exit(TuttiError.exitCode(of: error))
}
