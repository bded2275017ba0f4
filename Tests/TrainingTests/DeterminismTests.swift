// deterministic: world_size: the same bits on any number of ranks and nodes, in chunks or not, with more threads.

import Foundation
import TestSupport
import Testing
import TuttiCorpus
import TuttiEnsemble
import TuttiGround
import TuttiKernels
import TuttiModels
import TuttiObjectives
import TuttiTraining

@Suite(.serialized) struct DeterminismTests {
    /// One way to run.
    struct Way: Sendable, CustomStringConvertible {
        var nodes: [Int]
        var talking = Talking.never
        var chunk: Int?
        var threads = 1

        var description: String { "nodes \(nodes), \(talking), chunk \(chunk ?? 0), threads \(threads)" }
    }

    static let ways = [
        Way(nodes: [0, 0]), Way(nodes: [0, 0, 0, 0]), Way(nodes: [0, 0, 0, 0, 0, 0, 0, 0]), Way(nodes: [0, 1]),
        Way(nodes: [0, 0, 1, 1], talking: .always), Way(nodes: [0, 1, 2, 3]), Way(nodes: [0], chunk: 3),
        Way(nodes: [0, 0], chunk: 5), Way(nodes: [0], threads: 2), Way(nodes: [5, 5, 2, 2]),
    ]

    /// Dropout on, clipping on, two micro-batches a step, a batch that no number of shards divides.
    private func run(_ name: String, deterministic: Determinism = .worldSize) -> TinyRun {
        var run = TinyRun(name)
        run.arguments.optim = "adamw_torch"
        run.arguments.learningRate = 1e-3
        run.arguments.globalTrainBatchSize = 11
        run.arguments.gradientAccumulationSteps = 2
        run.arguments.maxSteps = 5
        run.arguments.loggingSteps = 1
        run.arguments.saveStrategy = .no
        run.arguments.deterministic = deterministic
        run.overrides = ["hidden_dropout_prob": .number(0.1), "attention_probs_dropout_prob": .number(0.1)]
        return run
    }

    private func weights(_ model: SentenceEncoder) -> [Float] { Array(model.encoder.parameters.values) }

    /// The weights, and the logged lines without times, of a run in this way.
    private func end(_ run: TinyRun, _ way: Way, _ output: String) throws -> (weights: [Float], lines: [String]) {
        var run = run
        run.arguments.miniBatchSize = way.chunk
        let threads = Compute.process.threads
        Compute.process.threads = way.threads
        defer { Compute.process.threads = threads }
        let ranks = try LocalEnsemble.run(nodes: way.nodes, talking: way.talking) { [run] ensemble in
            weights(try run.train(output, ensemble: ensemble).model)
        }
        for rank in ranks { #expect(rank == ranks[0], "replicas differ: \(way)") }
        return (ranks[0], timeless(try metricsLines(output)))
    }

    @Test(arguments: ["bert-sgd", "mpnet-sgd"])
    func bitsDoNotDependOnRanks(_ name: String) throws {
        let scratch = try TemporaryDirectory()
        let alone = try end(run(name), Way(nodes: [0]), scratch.path + "/alone")
        for (number, way) in Self.ways.enumerated() {
            let other = try end(run(name), way, scratch.path + "/\(number)")
            #expect(other.weights == alone.weights, "\(way)")
            #expect(other.lines == alone.lines, "\(way)")
        }
    }

    /// Losses with labels, a guide, lower layers, parameters of their own.
    @Test(arguments: [
        LossSpecification(name: "CoSENTLoss"),
        LossSpecification(name: "SoftmaxLoss", options: ["num_labels": .integer(3)]),
        LossSpecification(name: "AdaptiveLayerLoss", options: ["loss": .string("MultipleNegativesRankingLoss")]),
        LossSpecification(name: "GISTEmbedLoss", options: ["guide": .string(TinyRun("bert-sgd").modelPath)]),
    ])
    func everyKindOfLoss(_ loss: LossSpecification) throws {
        let scratch = try TemporaryDirectory()
        var run = run("bert-sgd")
        run.loss = loss
        run.arguments.optim = "sgd"
        run.arguments.learningRate = 0.1
        let isLabelled = ["CoSENTLoss", "SoftmaxLoss"].contains(loss.name)
        run.change = { table in
            guard isLabelled else { return table }
            let rows = 0..<table.rowCount
            return try Table(
                columns: [0, 1].map { column in ("\(column)", rows.map { table.text(row: $0, column: column) }) },
                labels: rows.map { .integer($0 % 3) })
        }
        let alone = try end(run, Way(nodes: [0]), scratch.path + "/alone")
        for (number, nodes) in [[0, 0], [0, 1, 2, 3]].enumerated() {
            let other = try end(run, Way(nodes: nodes), scratch.path + "/\(number)")
            #expect(other.weights == alone.weights && other.lines == alone.lines, "\(nodes)")
        }
    }

    /// The control: without the mode two ranks have other bits than one, within the bounds of WorldTests.
    @Test func withoutItBitsDepend() throws {
        let scratch = try TemporaryDirectory()
        let run = run("bert-sgd", deterministic: .run)
        let alone = try end(run, Way(nodes: [0]), scratch.path + "/alone")
        #expect(try end(run, Way(nodes: [0, 0, 0, 0]), scratch.path + "/four").weights != alone.weights)
    }

    /// The mode changes the order of sums only.
    @Test func itIsTheSameRunUpToRounding() throws {
        let scratch = try TemporaryDirectory()
        var pair: [[Float]] = []
        for mode in Determinism.allCases {
            var run = run("bert-sgd", deterministic: mode)
            (run.arguments.optim, run.arguments.learningRate) = ("sgd", 0.2)
            pair.append(try end(run, Way(nodes: [0]), scratch.path + "/\(mode)").weights)
        }
        let start = weights(try SentenceEncoder.load(run("bert-sgd").modelPath))
        func distance(_ a: [Float], _ b: [Float]) -> Double {
            zip(a, b).reduce(0.0) { $0 + Double($1.0 - $1.1) * Double($1.0 - $1.1) }.squareRoot()
        }
        #expect(distance(pair[0], pair[1]) <= 1e-5 * distance(pair[0], start))
    }

    @Test func whatWouldDependOnRanksIsRefused() throws {
        let scratch = try TemporaryDirectory()
        let path = scratch.path + "/run"
        func refusal(_ nodes: [Int], _ change: (inout TinyRun) -> Void) -> String {
            var run = run("bert-sgd")
            change(&run)
            let error = #expect(throws: TuttiError.self) {
                try LocalEnsemble.run(nodes: nodes) { [run] ensemble in
                    _ = try run.train(path, ensemble: ensemble)
                }
            }
            #expect(error?.kind == .usage)
            return error.map { "\($0)" } ?? ""
        }
        #expect(refusal([0, 0, 0]) { _ in }.contains("3 ranks"))
        #expect(refusal([0, 0]) { $0.arguments.deterministicShards = 6 }.contains("6 logical shards"))
        #expect(refusal([0, 0]) { $0.arguments.deterministicShards = 1 }.contains("2 ranks"))
        #expect(refusal([0, 0]) { $0.arguments.globalTrainBatchSize = nil }.contains("per_device_train_batch_size"))
        #expect(refusal([0, 0]) { $0.arguments.exchange = .messages }.contains("messages"))
        #expect(refusal([0, 1, 0, 1]) { _ in }.contains("neighboring"))
        #expect(refusal([0, 0, 0, 1]) { _ in }.contains("equal powers of two"))
    }
}
