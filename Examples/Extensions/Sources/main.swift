// Trains a model with a loss and a report of one's own, registered before the run and then used by name.
//
//     swift run -c release --package-path Examples/Extensions Extensions MODEL [OUTPUT]

import Foundation
import Tutti

/// Pairs of made-up sentences: those about one colour are similar, the others are not.
func makePairs() throws -> Dataset {
    let colours = ["red", "green", "blue", "grey"]
    let things = ["a car", "the house", "my hat"]
    var (firsts, seconds, scores): ([String], [String], [Label]) = ([], [], [])
    for (place, colour) in colours.enumerated() {
        for (shift, thing) in things.enumerated() {
            let other = colours[(place + shift) % colours.count]
            firsts.append("\(thing) is \(colour)")
            seconds.append("there is \(other) paint on \(thing)")
            scores.append(.float(other == colour ? 1 : 0))
        }
    }
    return try Dataset(columns: [("sentence1", firsts), ("sentence2", seconds)], labels: scores)
}

/// Trains the model at `path`; the losses that the report wrote, first and last.
func train(_ path: String, into output: String) throws -> (first: Double, last: Double) {
    LossRegistry.add(HuberSimilarityLoss.entry)
    ReportRegistry.add(TableReport.entry)

    var arguments = SentenceTransformerTrainingArguments()
    arguments.maxSteps = 20
    arguments.perDeviceTrainBatchSize = 12
    arguments.learningRate = 2e-3
    arguments.loggingSteps = 5
    arguments.saveStrategy = .no
    arguments.reportTo = ["table"]
    let loss = try LossRegistry.make(name: "HuberSimilarityLoss", options: ["delta": .number(0.5)])
    let trainer = try SentenceTransformerTrainer(
        model: .load(path), arguments: arguments, trainDataset: makePairs(), loss: loss.loss, outputDirectory: output)
    try trainer.train()

    let lines = try String(contentsOfFile: output + "/losses.csv", encoding: .utf8).split(separator: "\n").dropFirst()
    let losses = lines.compactMap { $0.split(separator: ",").last.flatMap { Double($0) } }
    guard let first = losses.first, let last = losses.last, losses.count == 4 else {
        throw TuttiError(.data, "read the report", output + "/losses.csv", "does not hold four lines of losses")
    }
    return (first, last)
}

guard (2...3).contains(CommandLine.arguments.count) else {
    print("usage: Extensions MODEL [OUTPUT]")
    exit(TuttiError.Kind.usage.rawValue)
}
do {
    let output =
        CommandLine.arguments.count > 2
        ? CommandLine.arguments[2] : FileManager.default.temporaryDirectory.path + "/tutti-\(UUID().uuidString)"
    let (first, last) = try train(CommandLine.arguments[1], into: output)
    print("loss of steps 1-5: \(first), of steps 16-20: \(last)")
    guard last < first else { throw TuttiError(.diverged, "train", output, "the loss did not fall") }
} catch {
    print("\(TuttiError(error))")
    exit(TuttiError.exitCode(of: error))
}
