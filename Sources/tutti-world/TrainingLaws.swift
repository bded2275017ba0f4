// Laws of whole training runs: W ranks equal one process, and a faulty ensemble does not.
//
// Each rank first trains alone, then all train together on the same global batches: dropout on, clipping on, two
// micro-batches per step, rows that no number of ranks divides. The tiny models are in Tests/Golden/training, so run the
// program from the root of the repository. Laws about made-up nodes of two ranks need ranks that share memory; on several
// hosts the other laws have real nodes.

import Foundation
import TuttiCorpus
import TuttiEnsemble
import TuttiFormats
import TuttiGround
import TuttiModels
import TuttiObjectives
import TuttiReports
import TuttiTraining

let trainingLaws: [Law] =
    datasetLaws + routerLaws + partialLaws
    + ["bert-sgd", "mpnet-sgd"].flatMap { name in
        [
            Law(name: "\(name): ten steps, dropout on, equal one process") { ensemble, findings in
                try TinyTraining(name).compare(together: ensemble, ensemble, findings)
            },
            Law(name: "\(name): the same by messages, as between nodes", fewestRanks: 2) { ensemble, findings in
                let apart = AlteredEnsemble(ensemble, .nodesApart)
                try TinyTraining(name).compare(together: apart, ensemble, findings)
            },
            Law(name: "\(name): the same on nodes of two ranks", fewestRanks: 3, needsNode: true) {
                ensemble, findings in
                let pairs = AlteredEnsemble(ensemble, .pairsOfRanks)
                try TinyTraining(name).compare(together: pairs, ensemble, findings)
            },
            Law(name: "\(name): the same, talking beside the backward pass", fewestRanks: 3, needsNode: true) {
                ensemble, findings in
                let pairs = AlteredEnsemble(ensemble, .pairsOfRanks, talking: .always)
                try TinyTraining(name).compare(together: pairs, ensemble, findings)
            },
            Law(name: "\(name): the same with the optimizer's state over all ranks", fewestRanks: 2) {
                ensemble, findings in
                var training = TinyTraining(name)
                training.sharding = .all
                try training.compare(together: ensemble, ensemble, findings)
                let pairs = AlteredEnsemble(ensemble, .pairsOfRanks)
                if ensemble.sharesNode { try training.compare(together: pairs, ensemble, findings) }
            },
            .control("\(name): nodes that do not talk to each other", fewestRanks: 3, needsNode: true) {
                ensemble, findings in
                let silent = AlteredEnsemble(ensemble, .silentPairs)
                try TinyTraining(name).compare(together: silent, ensemble, findings)
            },
            Law(name: "\(name): deterministic: world_size has the bits of one process") { ensemble, findings in
                guard try isTree(ensemble) else { return }
                var training = TinyTraining(name)
                training.logicalShards = max(8, ensemble.size)
                try training.compare(together: ensemble, ensemble, findings)
            },
            .control("\(name): the bits of one process without deterministic: world_size") { ensemble, findings in
                let alone = try ensemble.together("train alone") {
                    try runInScratch(TinyTraining(name), LocalEnsemble.single(), path: temporaryFolder("bits-alone"))
                }
                let path = try ensemble.broadcast(temporaryFolder("bits"))
                let all = try runInScratch(TinyTraining(name), ensemble, path: path)
                findings.require(all == alone, "other bits")
            },
            .control("\(name): gradients divided by the number of ranks") { ensemble, findings in
                try TinyTraining.byMessages(name).compare(
                    together: AlteredEnsemble(ensemble, .dividedByRanks), ensemble, findings)
            },
            .control("\(name): the reduce-scatter of candidate gradients left out") { ensemble, findings in
                try TinyTraining.byMessages(name).compare(
                    together: AlteredEnsemble(ensemble, .droppedReduceScatter), ensemble, findings)
            },
            .control("\(name): masks that depend on the rank") { ensemble, findings in
                var training = TinyTraining(name)
                training.seedOfMasks = { 42 + UInt64($0) }
                try training.compare(together: ensemble, ensemble, findings)
            },
            .control("\(name): nobody waits before gradients in shared memory are read", needsNode: true) {
                ensemble, findings in
                let broken = AlteredEnsemble(ensemble, .noBarrier)
                try TinyTraining(name).compare(together: broken, ensemble, findings)
            },
        ]
    }

/// Several data sets with a loss each: the ranks must use the same one at every step.
private let datasetLaws: [Law] = [
    Law(name: "two data sets with a loss each: ten steps, dropout on, equal one process") { ensemble, findings in
        var training = TinyTraining("bert-sgd")
        training.isOverTwoDatasets = true
        try training.compare(together: ensemble, ensemble, findings)
    },
    .control("two data sets with a loss each: gradients divided by the number of ranks") { ensemble, findings in
        var training = TinyTraining.byMessages("bert-sgd")
        training.isOverTwoDatasets = true
        try training.compare(together: AlteredEnsemble(ensemble, .dividedByRanks), ensemble, findings)
    },
]

/// Two encoders in one model: each rank has texts of both, or none.
private let routerLaws: [Law] = [
    Law(name: "a Router: ten steps of two encoders, dropout on, equal one process") { ensemble, findings in
        try TinyTraining.routed().compare(together: ensemble, ensemble, findings)
    },
    Law(name: "a Router: the same by messages, as between nodes", fewestRanks: 2) { ensemble, findings in
        try TinyTraining.routed().compare(together: AlteredEnsemble(ensemble, .nodesApart), ensemble, findings)
    },
    Law(name: "a Router: deterministic: world_size has the bits of one process") { ensemble, findings in
        guard try isTree(ensemble) else { return }
        var training = TinyTraining.routed()
        training.logicalShards = max(8, ensemble.size)
        try training.compare(together: ensemble, ensemble, findings)
    },
    .control("a Router: gradients divided by the number of ranks") { ensemble, findings in
        var training = TinyTraining.routed()
        training.exchange = .messages
        try training.compare(together: AlteredEnsemble(ensemble, .dividedByRanks), ensemble, findings)
    },
]

/// A part of the parameters is trained: upper layers, or an adapter.
private let partialLaws: [Law] =
    [TinyTraining.Part.upperLayers, .adapter].flatMap { part in
        return [
            Law(name: "\(part.rawValue): ten steps, dropout on, equal one process") { ensemble, findings in
                try TinyTraining.training(part).compare(together: ensemble, ensemble, findings)
            },
            Law(name: "\(part.rawValue): the same by messages, as between nodes", fewestRanks: 2) {
                ensemble, findings in
                try TinyTraining.training(part).compare(
                    together: AlteredEnsemble(ensemble, .nodesApart), ensemble, findings)
            },
            Law(name: "\(part.rawValue): the same on nodes of two ranks", fewestRanks: 3, needsNode: true) {
                ensemble, findings in
                let pairs = AlteredEnsemble(ensemble, .pairsOfRanks, talking: .always)
                try TinyTraining.training(part).compare(together: pairs, ensemble, findings)
            },
            .control("\(part.rawValue): masks that depend on the rank") { ensemble, findings in
                var other = TinyTraining.training(part)
                other.seedOfMasks = { 42 + UInt64($0) }
                try other.compare(together: ensemble, ensemble, findings)
            },
        ]
    }

/// A run of a tiny model on its golden rows.
struct TinyTraining {
    let folder: String
    private let rows: String
    private var routerMapping = RouterMapping()
    var seedOfMasks: (_ rank: Int) -> UInt64 = { _ in 42 }
    var sampler: any BatchSampler = DefaultBatchSampler()
    /// Logical shards, if the bits must be those of one process (`deterministic: world_size`).
    var logicalShards: Int?
    /// How gradients are summed.
    var exchange = ExchangeChoice.auto
    /// Which memory keeps which part of the optimizer's state; of momentum where it is not the default.
    var sharding = OptimizerSharding.node
    /// Triplets and pairs of the same rows, each with its own loss.
    var isOverTwoDatasets = false

    /// What is trained.
    enum Part: String, Sendable { case all, upperLayers = "frozen layers", adapter = "an adapter" }
    var part = Part.all

    /// Optimizer steps of one epoch.
    let stepsOfEpoch: Int

    init(_ name: String) {
        folder = "Tests/Golden/training/" + name
        rows = folder + "/rows.jsonl"
        stepsOfEpoch = name == "bert-sgd" ? 4 : 3  // 84 and 60 rows, 11 per batch, two batches per step
    }

    /// A run of the model that encodes anchors by a StaticEmbedding and positives by a BERT.
    static func routed() -> TinyTraining {
        TinyTraining(
            folder: "Tests/Golden/router/asymmetric", rows: "Tests/Golden/families/rows/pairs.jsonl",
            tasks: ["anchor": "query", "positive": "document"], stepsOfEpoch: 3)  // 48 rows
    }

    /// A run of which a part is trained.
    static func training(_ part: Part) -> TinyTraining {
        var training = TinyTraining("bert-sgd")
        training.part = part
        return training
    }

    private init(folder: String, rows: String, tasks: [String: String], stepsOfEpoch: Int) {
        (self.folder, self.rows, self.stepsOfEpoch) = (folder, rows, stepsOfEpoch)
        routerMapping = RouterMapping(byColumn: tasks)
    }

    /// A run that uses the collectives of the ensemble for everything.
    static func byMessages(_ name: String) -> TinyTraining {
        var training = TinyTraining(name)
        training.exchange = .messages
        return training
    }

    /// Weights and losses of ten steps.
    struct Result {
        var start: [Float]
        var end: [Float]
        var losses: [Double]
    }

    /// Checks that the run on `together` equals the run of one process. `ensemble` is the correct world.
    func compare(together: any Ensemble, _ ensemble: any Ensemble, _ findings: Findings) throws {
        let scratch = temporaryFolder("run")
        defer { removeQuietly(scratch) }
        let alone = try ensemble.together("train alone") {
            try run(LocalEnsemble.single(), output: scratch + "-alone", seed: 42)
        }
        defer { removeQuietly(scratch + "-alone") }
        let output = try ensemble.broadcast(scratch)
        let all = try run(together, output: output, seed: seedOfMasks(ensemble.rank))
        let moved = distance(alone.start, alone.end)
        let size = distance(alone.start, [Float](repeating: 0, count: alone.start.count))
        findings.require(moved >= 0.01 * size, "the run hardly moves: it proves nothing")
        let apart = distance(all.end, alone.end)
        findings.require(logicalShards == nil || all.end == alone.end, "the bits are not those of one process")
        findings.require(apart <= 1e-5 * moved, "weights differ by \(apart / moved) of their movement")
        findings.require(alone.losses.count == 10 && all.losses.count == 10, "ten steps were to be logged")
        for (step, (loss, wanted)) in zip(all.losses, alone.losses).enumerated() {
            let difference = abs(loss - wanted)
            findings.require(
                difference <= 2e-6 * max(1, abs(wanted)), "loss of step \(step + 1) differs by \(difference)")
        }
        // Replicas hold the same bits.
        let bytes = all.end.withUnsafeBytes { Array($0) }
        let root = try ensemble.broadcast(bytes)
        findings.require(bytes == root, "this rank's weights are not rank zero's")
    }

    /// Ten steps on `ensemble` (twenty without logging).
    func run(
        _ ensemble: any Ensemble, output: String, seed: UInt64, logs: Bool = true,
        report: (any Report)? = nil
    ) throws -> Result {
        var arguments = TrainingArguments()
        arguments.optim = "sgd"
        arguments.learningRate = 0.2
        arguments.globalTrainBatchSize = 11
        arguments.gradientAccumulationSteps = 2
        arguments.maxSteps = logs ? 10 : 20
        arguments.loggingSteps = 1
        arguments.loggingStrategy = logs ? .steps : .no
        arguments.batchSampler = sampler
        arguments.saveStrategy = .no
        arguments.seed = seed
        if let logicalShards {
            arguments.deterministic = .worldSize
            arguments.deterministicShards = logicalShards
        }
        (arguments.exchange, arguments.optimizerSharding) = (exchange, sharding)
        if sharding == .all { (arguments.optimArgs, arguments.learningRate) = (["momentum": "0.5"], 0.1) }
        arguments.dataSeed = 42
        let model = try SentenceEncoder.load(
            folder + "/model",
            configOverrides: ["hidden_dropout_prob": .number(0.1), "attention_probs_dropout_prob": .number(0.1)])
        switch part {
        case .all: break
        case .upperLayers:
            arguments.freeze = ["embeddings", "encoder.layer.0", "encoder.layer.1.attention.self.key"]
            try model.freeze(arguments.freeze)
        case .adapter:
            let settings: JSONObject = [
                "r": .integer(4), "lora_alpha": .integer(8), "lora_dropout": .number(0.1),
                "target_modules": .string("all-linear"), "init_lora_weights": .bool(false),
            ]
            _ = try model.addAdapter(AdapterConfiguration(settings, isSaved: false), seed: 42)
        }
        let start = Array(model.encoder.parameters.values)
        arguments.routerMapping = routerMapping
        var inputs = TrainingInputs(
            model: model, arguments: arguments, trainDataset: try loadTable(DatasetSpecification(path: rows)),
            loss: try LossRegistry.make(name: "MultipleNegativesRankingLoss"), outputDirectory: output)
        // Ranks whose settings differ would be refused before the control takes effect.
        inputs.configuration = .object(["law": .string(folder)])
        if isOverTwoDatasets {
            let pairs = try loadTable(DatasetSpecification(path: rows, columns: ["anchor", "positive"]))
            let loss = try LossRegistry.make(
                name: "CachedMultipleNegativesRankingLoss",
                options: ["mini_batch_size": .integer(4), "scale": .number(5)])
            inputs.trainDatasets[0].name = "triplets"
            inputs.trainDatasets.append(TrainingDataset(pairs, name: "pairs", loss: 1))
            inputs.losses[0].dataset = "triplets"
            inputs.losses.append(TrainingLoss(loss, dataset: "pairs"))
        }
        let losses = LossRecorder()
        _ = try Trainer(inputs, ensemble: ensemble, reports: [report ?? losses]).train()
        let shared = try ensemble.onRoot { losses.values }
        return Result(start: start, end: Array(model.encoder.parameters.values), losses: shared)
    }

    private func distance(_ a: [Float], _ b: [Float]) -> Double {
        zip(a, b).reduce(0.0) { $0 + Double($1.0 - $1.1) * Double($1.0 - $1.1) }.squareRoot()
    }

}

/// Whether `deterministic: world_size` can be had: powers of two of ranks, as many of them on every node, in order.
private func isTree(_ ensemble: any Ensemble) throws -> Bool {
    let nodes = try ensemble.gatherCounts(ensemble.node)
    let perNode = nodes.filter { $0 == nodes[0] }.count
    return nodes.count.nonzeroBitCount == 1 && perNode.nonzeroBitCount == 1
        && (Set(nodes).count == 1) == ensemble.sharesNode
        && stride(from: 0, to: nodes.count, by: perNode).allSatisfy { Set(nodes[$0..<$0 + perNode]).count == 1 }
}

/// The weights at the end of a run.
private func runInScratch(_ training: TinyTraining, _ ensemble: any Ensemble, path: String) throws -> [Float] {
    defer { removeQuietly(path) }
    return try training.run(ensemble, output: path, seed: 42).end
}

/// A path of this process for what a law writes.
func temporaryFolder(_ name: String) -> String {
    FileManager.default.temporaryDirectory.path + "/tutti-world-\(getpid())-\(name)"
}

func removeQuietly(_ path: String) {
    do { try FileManager.default.removeItem(atPath: path) } catch {}  // absent on all ranks but one
}

/// Records the losses that a run logs.
private final class LossRecorder: Report {
    private(set) var values: [Double] = []
    func logged(_ line: LogLine) { if let loss = line.values["loss"]?.double { values.append(loss) } }
}
