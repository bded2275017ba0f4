// Fine-tunes a model on triplets of AllNLI: the script with which the documentation of sentence-transformers explains training,
// step by step in the same order.
//
//     swift run -c release --package-path Examples AllNLI MODEL TRAIN DEV TEST OUTPUT
//
// MODEL is a folder or an id of the hub, such as microsoft/mpnet-base. TRAIN, DEV and TEST are files with the columns anchor,
// positive and negative, or sentence-transformers/all-nli:triplet three times, whose splits are then train, dev and test.

import Foundation
import Tutti

func train(model path: String, train: String, dev: String, test: String, output: String) throws {
    let columns = ["anchor", "positive", "negative"]

    // 1. Load a model to fine-tune. A plain transformer gets mean pooling.
    let model = try SentenceTransformer.load(path)

    // 2. Load a data set to fine-tune on.
    func load(_ path: String, split: String) throws -> Dataset {
        try .load(path, columns: columns, split: FileManager.default.fileExists(atPath: path) ? nil : split)
    }
    let trainDataset = try load(train, split: "train").select(0..<100_000)
    let evalDataset = try load(dev, split: "dev")
    let testDataset = try load(test, split: "test")

    // 3. Define a loss function.
    let loss = try MultipleNegativesRankingLoss()

    // 4. Specify training arguments.
    var arguments = SentenceTransformerTrainingArguments()
    arguments.numTrainEpochs = 1
    arguments.perDeviceTrainBatchSize = 16
    arguments.perDeviceEvalBatchSize = 16
    arguments.learningRate = 2e-5
    arguments.warmupSteps = 0.1  // a share of all steps
    arguments.batchSampler = NoDuplicatesBatchSampler()  // this loss is better without duplicates in a batch
    arguments.evalStrategy = .steps
    arguments.evalSteps = 100
    arguments.saveStrategy = .steps
    arguments.saveSteps = 100
    arguments.saveTotalLimit = 2
    arguments.loggingSteps = 100
    arguments.runName = "all-nli-triplet"
    arguments.reportTo = ["html", "diagnosis"]  // a page, with where the model places a sample of the pairs

    // 5. Create an evaluator, and evaluate the base model.
    let devEvaluator = TripletEvaluator(
        anchors: try evalDataset["anchor"], positives: try evalDataset["positive"],
        negatives: try evalDataset["negative"], name: "all-nli-dev")
    let before = try devEvaluator(model)

    // 6. Describe the model for its card.
    var inputs = TrainingInputs(
        model: model, arguments: arguments, trainDataset: trainDataset, loss: ConfiguredLoss(loss),
        outputDirectory: output)
    inputs.evalDataset = evalDataset
    inputs.evaluators = [devEvaluator]
    inputs.card.languages = ["en"]
    inputs.card.license = "apache-2.0"
    inputs.card.modelName = "A model trained on AllNLI triplets"

    // 7. Create a trainer and train. OUTPUT/final is then the model's folder.
    try SentenceTransformerTrainer(inputs).train()

    // 8. Evaluate the trained model on the test set.
    let testEvaluator = TripletEvaluator(
        anchors: try testDataset["anchor"], positives: try testDataset["positive"],
        negatives: try testDataset["negative"], name: "all-nli-test")
    let (after, tested) = (try devEvaluator(model), try testEvaluator(model))
    let (dev, test) = ("all-nli-dev_cosine_accuracy", "all-nli-test_cosine_accuracy")
    print("dev accuracy \(before[dev] ?? .nan) before, \(after[dev] ?? .nan) after; test \(tested[test] ?? .nan)")

    // 9. Save it once more under a name of its own, and push it to the hub if there is a token.
    try model.savePretrained(output + "/all-nli-triplet")
    if ProcessInfo.processInfo.environment["HF_TOKEN"] != nil { try model.pushToHub("all-nli-triplet") }
}

let words = CommandLine.arguments
guard words.count == 6 else {
    print("usage: AllNLI MODEL TRAIN DEV TEST OUTPUT")
    exit(TuttiError.Kind.usage.rawValue)
}
do {
    try train(model: words[1], train: words[2], dev: words[3], test: words[4], output: words[5])
} catch {
    print("\(TuttiError(error))")
    exit(TuttiError.exitCode(of: error))
}
