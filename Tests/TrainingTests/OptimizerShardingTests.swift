// optimizer_sharding: all gives the bits of node, in a part of its memory, for saving and resuming too.

import Foundation
import TestSupport
import Testing
import TuttiEncoders
import TuttiEnsemble
import TuttiFormats
import TuttiGround
import TuttiKernels
import TuttiReports
import TuttiTraining

@Suite(.serialized) struct OptimizerShardingTests {
    // ---- exchanges -------------------------------------------------------------------------------------------------

    /// Nodes and the exchange that is asked for.
    struct Way: Sendable, CustomStringConvertible {
        var nodes: [Int]
        var choice = ExchangeChoice.auto
        var wire = Wire.fp32
        var talking = Talking.never

        var description: String { "nodes \(nodes), \(choice), \(wire), \(talking)" }
    }

    static let ways =
        [
            [0, 1], [0, 0, 1, 1], [0, 0, 0, 1], [0, 1, 2], [0, 0, 1, 1, 1, 2], [4, 2, 4, 2], [0, 1, 2, 3],
        ].flatMap { nodes in
            [
                Way(nodes: nodes), Way(nodes: nodes, wire: .bf16), Way(nodes: nodes, talking: .always),
                Way(nodes: nodes, choice: .messages),
            ]
        } + [Way(nodes: [0]), Way(nodes: [0, 0]), Way(nodes: [0, 0, 0])]

    /// Eleven chunks, the last of them short, with a table of which few rows are touched.
    private static let layout: ParameterLayout = {
        var layout = ParameterLayout()
        layout.append(TensorSpecification("encoder.layer.0.weight", [400, 1000]))
        layout.append(TensorSpecification("embeddings.word_embeddings.weight", [3000, 49]))
        layout.append(TensorSpecification("embeddings.LayerNorm.weight", [401]))
        return layout.withLossParameters([TensorSpecification("classifier.weight", [3, 20_000])], alignment: 65_536)
    }()

    /// What a rank has after some steps.
    private struct End: Equatable {
        var values: [Float]
        var norms: [GradientNorms]
        /// The state of its shard.
        var shard: [Range<Int>]
        var state: [[Float]]
        /// Floats of state that its memory stores.
        var stored: Int
        var isWriter: Bool
    }

    /// Steps of an optimizer with one arena of state; `publishes` = false leaves out that values are handed on.
    private static func steps(
        _ way: Way, _ sharding: OptimizerSharding, publishes: Bool = true
    ) throws -> [End] {
        try LocalEnsemble.run(nodes: way.nodes, talking: way.talking) { ensemble in
            let store = ParameterStore(layout: layout, wordTable: "embeddings.word_embeddings.weight")
            for place in store.values.indices { store.values[place] = Float(place % 1000) / 1000 }
            let exchange = try way.choice.make(
                store, stateCount: 1, wire: way.wire, sharding: sharding, among: ensemble
            ).exchange
            var norms: [GradientNorms] = []
            let placement = exchange.placement
            for step in 0..<3 {
                store.clearGradients()
                var random = TinyRandom(UInt64(100 * step + ensemble.rank))
                for entry in layout.entries where entry.name != "embeddings.word_embeddings.weight" {
                    for place in entry.elements { store.gradients[place] = Float(random.uniform() - 0.5) }
                }
                for row in 0..<3000 where random.uniform() < 0.2 {
                    store.touched.marks[row] = 1
                    let start = store.touched.table.lowerBound + row * 49
                    for place in start..<start + 49 { store.gradients[place] = Float(random.uniform() - 0.5) }
                }
                exchange.finished(layout.lossRange)
                var end = 0
                for entry in layout.entries where entry.owner == .model {
                    exchange.finished(end..<entry.range.upperBound)
                    end = entry.range.upperBound
                }
                norms.append(try exchange.sum())
                for range in placement.shard {
                    let momentum = placement.state[0][range]
                    for (place, float) in range.enumerated() {
                        momentum[place] = 0.5 * momentum[place] + store.gradients[float]
                        store.values[float] -= 0.1 * momentum[place]
                    }
                }
                if publishes { try exchange.publish() } else { try ensemble.barrier() }
            }
            return End(
                values: Array(store.values), norms: norms, shard: placement.shard,
                state: placement.shard.map { Array(placement.state[0][$0]) },
                stored: placement.state[0].stored.floats, isWriter: placement.isWriter)
        }
    }

    @Test(arguments: ways)
    func valuesNormsAndStateHaveTheBitsOfWholeState(_ way: Way) throws {
        let (node, all) = (try Self.steps(way, .node), try Self.steps(way, .all))
        for end in all { #expect(end.values == node[0].values && end.norms == node[0].norms) }
        // Every chunk of state is on one rank, where it has the numbers that some rank has of whole state.
        var owners = [Int](repeating: 0, count: Self.layout.count)
        for end in all {
            for (range, values) in zip(end.shard, end.state) {
                for place in range { owners[place] += 1 }
                let equals = node.contains { whole in
                    zip(whole.shard, whole.state).contains { $0 == range && $1 == values }
                }
                #expect(equals, "state of \(range)")
            }
        }
        #expect(owners.allSatisfy { $0 == 1 })
    }

    /// What is allocated: each memory an equal part, to a few chunks, all of them together one arena.
    @Test(arguments: ways)
    func memoriesStoreAnEqualPartEach(_ way: Way) throws {
        let (node, all) = (try Self.steps(way, .node), try Self.steps(way, .all))
        let memories = all.filter(\.isWriter)  // one rank for memory of several
        let floats = Self.layout.count
        #expect(memories.reduce(0) { $0 + $1.stored } == floats)
        // Nodes take turns by as many chunks as it takes until all deal them to their ranks in the same way again.
        let turn = OptimizerKernels.chunk * (way.choice == .messages ? 1 : Self.period(way.nodes))
        let turns = (floats + turn - 1) / turn
        #expect(memories.allSatisfy { $0.stored <= (turns + memories.count - 1) / memories.count * turn })
        #expect(node.allSatisfy { $0.stored == floats })
        // Of a memory, each of its ranks updates what it stores, and no more.
        for end in all where way.choice == .messages { #expect(end.shard.reduce(0) { $0 + $1.count } == end.stored) }
    }

    /// The least common multiple of the numbers of ranks of the nodes.
    private static func period(_ nodes: [Int]) -> Int {
        let counts = Set(nodes).map { node in nodes.filter { $0 == node }.count }
        return (1...).first { period in counts.allSatisfy { period % $0 == 0 } } ?? 1
    }

    /// The control: values that are not handed on are noticed, wherever more than one memory has state.
    @Test(arguments: [Way(nodes: [0, 0, 1, 1]), Way(nodes: [0, 1, 2]), Way(nodes: [0, 1], choice: .messages)])
    func valuesThatAreNotHandedOnAreNoticed(_ way: Way) throws {
        let (node, all) = (try Self.steps(way, .node), try Self.steps(way, .all, publishes: false))
        #expect(all.allSatisfy { $0.values != node[0].values })
    }

    // ---- runs --------------------------------------------------------------------------------------------------------

    private func run(_ folder: String, _ sharding: OptimizerSharding, optimizer: String = "adamw_torch") -> TinyRun {
        var run = TinyRun("bert-adamw")
        run.model = folder
        run.arguments.optim = optimizer
        if optimizer == "sgd" { run.arguments.optimArgs = ["momentum": "0.5"] }
        run.arguments.learningRate = optimizer == "sgd" ? 0.05 : 1e-3
        run.arguments.weightDecay = 0.01
        run.arguments.globalTrainBatchSize = 12
        run.arguments.maxSteps = 9
        run.arguments.loggingSteps = 1
        run.arguments.saveSteps = 3
        run.arguments.optimizerSharding = sharding
        run.overrides = ["hidden_dropout_prob": .number(0.1), "attention_probs_dropout_prob": .number(0.1)]
        return run
    }

    private func bytes(_ path: String) throws -> [UInt8] { [UInt8](try Data(contentsOf: URL(fileURLWithPath: path))) }

    /// Trains on these nodes; all ranks must come to the same outcome.
    private func train(
        _ run: TinyRun, _ nodes: [Int], _ output: String, stopAfter step: Int? = nil
    ) throws -> TrainingOutcome {
        let outcomes = try LocalEnsemble.run(nodes: nodes) { ensemble in
            try run.train(output, ensemble: ensemble, report: step.map { StopAfter(step: $0) }).outcome
        }
        #expect(outcomes.allSatisfy { $0 == outcomes[0] })
        return outcomes[0]
    }

    /// Checkpoints, and what is logged, too.
    @Test(arguments: [[0, 1], [0, 0, 1, 1], [0, 0, 0, 1], [0, 1, 2], [0, 0]])
    func runsHaveTheBitsOfWholeState(_ nodes: [Int]) throws {
        let scratch = try TemporaryDirectory()
        let model = try WideModel.make(in: scratch.path)
        for (place, optimizer) in ["adamw_torch", "sgd"].enumerated() {
            for exchange in [ExchangeChoice.auto, .messages] {
                let paths = ["node", "all"].map { scratch.path + "/\($0)-\(place)-\(exchange)" }
                for (path, sharding) in zip(paths, [OptimizerSharding.node, .all]) {
                    var run = run(model, sharding, optimizer: optimizer)
                    run.arguments.exchange = exchange
                    #expect(try train(run, nodes, path) == .finished)
                }
                for file in ["final/model.safetensors", "checkpoint-6/optimizer.safetensors"] {
                    #expect(try bytes(paths[1] + "/" + file) == bytes(paths[0] + "/" + file), "\(file), \(exchange)")
                }
                #expect(try timeless(metricsLines(paths[1])) == timeless(metricsLines(paths[0])))
                let names = try FileManager.default.contentsOfDirectory(atPath: paths[1])
                #expect(!names.contains { $0.hasSuffix(".tmp") }, "left over: \(names)")
            }
        }
    }

    /// Whole state goes on as sharded state and the other way round, with the bits of a run that was never stopped.
    @Test func aRunGoesOnWithTheOtherSharding() throws {
        let scratch = try TemporaryDirectory()
        let model = try WideModel.make(in: scratch.path)
        let (whole, parts) = (scratch.path + "/whole", scratch.path + "/parts")
        let nodes = [0, 0, 0, 1]
        #expect(try train(run(model, .node), nodes, whole) == .finished)
        for (step, sharding) in [(2, OptimizerSharding.all), (5, .node), (7, .all)] {
            #expect(try train(run(model, sharding), nodes, parts, stopAfter: step) == .preempted(step: step))
        }
        #expect(try train(run(model, .all), nodes, parts) == .finished)
        #expect(try bytes(parts + "/final/model.safetensors") == bytes(whole + "/final/model.safetensors"))
        #expect(try timeless(metricsLines(parts)) == timeless(metricsLines(whole)))
    }

    /// State is dealt out to any number of ranks: 4, 2, then 3, as one process does.
    @Test func aRunGoesOnWithOtherRanks() throws {
        let scratch = try TemporaryDirectory()
        let model = try WideModel.make(in: scratch.path)
        let (alone, parts) = (scratch.path + "/alone", scratch.path + "/parts")
        let run = run(model, .all, optimizer: "sgd")
        #expect(try train(run, [0], alone) == .finished)
        #expect(try train(run, [0, 0, 1, 1], parts, stopAfter: 4) == .preempted(step: 4))
        #expect(try train(run, [0, 1], parts, stopAfter: 7) == .preempted(step: 7))
        #expect(try train(run, [0, 1, 2], parts) == .finished)
        for (loss, wanted) in zip(try trainingLines(parts), try trainingLines(alone)) {
            let (loss, wanted) = (try #require(loss["loss"]?.double), try #require(wanted["loss"]?.double))
            #expect(abs(loss - wanted) <= 2e-6 * max(1, abs(wanted)))
        }
        let start = try SafetensorsFile(path: model + "/model.safetensors")
        let files = try [alone, parts].map { try SafetensorsFile(path: $0 + "/final/model.safetensors") }
        var (moved, apart) = (0.0, 0.0)
        for info in files[0].tensors {
            let (a, b, s) = (
                try files[0].floats(info.name), try files[1].floats(info.name), try start.floats(info.name)
            )
            for place in a.indices {
                apart += Double(a[place] - b[place]) * Double(a[place] - b[place])
                moved += Double(a[place] - s[place]) * Double(a[place] - s[place])
            }
        }
        #expect(moved > 0 && apart.squareRoot() <= 1e-5 * moved.squareRoot(), "\(apart / moved)")
    }

    /// `deterministic: world_size` keeps its bits.
    @Test func theBitsOfOneProcessStayThose() throws {
        let scratch = try TemporaryDirectory()
        let model = try WideModel.make(in: scratch.path)
        var ends: [[UInt8]] = []
        for nodes in [[0], [0, 0], [0, 1], [0, 0, 1, 1]] {
            var run = run(model, .all)
            run.arguments.deterministic = .worldSize
            let path = scratch.path + "/\(ends.count)"
            #expect(try train(run, nodes, path) == .finished)
            ends.append(try bytes(path + "/final/model.safetensors"))
        }
        #expect(ends.allSatisfy { $0 == ends[0] })
    }

    /// A file that rank zero cannot write ends all ranks with its error; none waits for another.
    @Test func stateThatCannotBeWrittenEndsAllRanks() throws {
        let scratch = try TemporaryDirectory()
        let (model, path) = (try WideModel.make(in: scratch.path), scratch.path + "/run")
        let run = run(model, .all)
        let errors = try LocalEnsemble.run(nodes: [0, 1]) { ensemble in
            do {
                _ = try run.train(path, ensemble: ensemble, report: ObstructSaving(path: path))
                return ""
            } catch { return "\(error)" }
        }
        #expect(errors.allSatisfy { $0.contains("checkpoint-3-optimizer.tmp") }, "\(errors)")
    }

    @Test func theRunSaysHowMuchStateARankHas() throws {
        let scratch = try TemporaryDirectory()
        let path = scratch.path
        let model = try WideModel.make(in: path)
        for (sharding, optimizer, words) in [
            (OptimizerSharding.all, "adamw_torch", "Optimizer state: sharded over all ranks, at most"),
            (.all, "sgd_without_momentum", "keeps no state"), (.node, "adamw_torch", "Gradients of 2 ranks"),
        ] {
            var run = run(model, sharding, optimizer: optimizer.hasPrefix("sgd") ? "sgd" : optimizer)
            if optimizer == "sgd_without_momentum" { run.arguments.optimArgs = [:] }
            let said = try LocalEnsemble.run(nodes: [0, 1]) { [run] ensemble in
                let heard = Heard()
                _ = try run.train(path + "/\(sharding)-\(optimizer)", ensemble: ensemble, report: heard)
                return heard.lines.filter { $0.hasPrefix("Gradients of 2 ranks: ") }
            }
            #expect(said[0].count == 1 && said[0].first?.contains(words) == true, "\(said)")
            #expect(said[0].first?.contains("Optimizer state") == (words.hasPrefix("Optimizer state")))
        }
    }
}

/// Asks the run to save and stop after a step.
private final class StopAfter: Report, AsksToStop {
    let step: Int
    let stop = StopRequest()
    init(step: Int) { self.step = step }
    func stepped(_ progress: StepProgress) { if progress.step == step { stop.ask(.saveAndStop) } }
}

/// Puts a folder where the third step's state is to be written.
private final class ObstructSaving: Report {
    let path: String
    init(path: String) { self.path = path }
    func stepped(_ progress: StepProgress) {
        guard progress.step == 2 else { return }
        try? FileManager.default.createDirectory(
            atPath: path + "/checkpoint-3-optimizer.tmp", withIntermediateDirectories: true)
    }
}

/// Keeps what a run says.
private final class Heard: Report {
    private(set) var lines: [String] = []
    func notice(_ text: String) { lines.append(text) }
}
