// Every exchange sums gradients alike, whatever the nodes: against sums in fp64, with negative controls.

import TestSupport
import Testing
import TuttiEncoders
import TuttiEnsemble
import TuttiGround
import TuttiTraining

@Suite struct ExchangeTests {
    /// The node of each rank: one rank a node, equal and unequal numbers, ranks of a node that are not neighbors.
    static let layouts = [
        [0, 1], [0, 0, 1, 1], [0, 0, 0, 1], [0, 1, 2], [0, 0, 1, 1, 1, 2], [4, 2, 4, 2], [0, 1, 2, 3],
    ]

    /// A table of 3000 rows, dense tensors around it that chunks of 64 K floats do not divide, a parameter of a loss.
    private static let layout: ParameterLayout = {
        var layout = ParameterLayout()
        layout.append(TensorSpecification("encoder.layer.0.weight", [300, 513]))
        layout.append(TensorSpecification("encoder.layer.0.bias", [77]))
        layout.append(TensorSpecification("embeddings.word_embeddings.weight", [3000, 49]))
        layout.append(TensorSpecification("embeddings.LayerNorm.weight", [401]))
        return layout.withLossParameters([TensorSpecification("classifier.weight", [3, 100])], alignment: 65_536)
    }()

    /// What a node holds after the sum, its shards put together, and the norms that each of its ranks got.
    private struct Held: Equatable {
        var sum: [Float]
        var norms: GradientNorms
    }

    /// The gradient of a rank in a step, and the rows of the table that it touched.
    private static func gradient(rank: Int, step: Int) -> (values: [Float], rows: [Int]) {
        var random = TinyRandom(UInt64(100 * step + rank))
        var values = [Float](repeating: 0, count: layout.count)
        var rows: [Int] = []
        for entry in layout.entries {
            guard entry.name.contains("word_embeddings") else {
                for place in entry.elements { values[place] = Float(random.normal()) }
                continue
            }
            for row in 0..<3000 where random.uniform() < 0.2 {
                rows.append(row)
                for column in 0..<49 {
                    values[entry.range.lowerBound + row * 49 + column] = Float(random.normal())
                }
            }
        }
        return (values, rows)
    }

    /// The sums of two steps on every node, in the order of their lowest ranks.
    private static func exchange(
        _ nodes: [Int], _ choice: ExchangeChoice, _ wire: Wire = .fp32, talking: Talking = .never, steps: Int = 2
    ) throws -> [[Held]] {
        let parts = try LocalEnsemble.run(nodes: nodes, talking: talking) { ensemble in
            let store = ParameterStore(layout: layout, wordTable: "embeddings.word_embeddings.weight")
            let exchange = try choice.make(store, stateCount: 1, wire: wire, among: ensemble).exchange
            return try (0..<steps).map { step in
                store.clearGradients()
                let (values, rows) = gradient(rank: ensemble.rank, step: step)
                _ = store.gradients.update(fromContentsOf: values)
                for row in rows { store.touched.marks[row] = 1 }
                // As a backward pass reports its layers, with the loss's own parameter first; a rank without rows may
                // report nothing.
                exchange.finished(layout.lossRange)
                var end = 0
                let isSilent = choice == .twoLevel && ensemble.rank == step % ensemble.size
                for entry in layout.entries where entry.owner == .model && !isSilent {
                    exchange.finished(end..<entry.range.upperBound)
                    end = entry.range.upperBound
                }
                let norms = try exchange.sum()
                let shard = exchange.placement.shard
                let part = (shard, shard.map { Array(store.gradients[$0]) }, norms)
                try exchange.publish()
                return part
            }
        }
        var order: [Int] = []
        for node in nodes where !order.contains(node) { order.append(node) }
        return order.map { node in
            (0..<steps).map { step in
                var held = Held(sum: Array(repeating: .nan, count: layout.count), norms: parts[0][step].2)
                for rank in nodes.indices where nodes[rank] == node {
                    let (shard, values, norms) = parts[rank][step]
                    for (range, values) in zip(shard, values) { held.sum.replaceSubrange(range, with: values) }
                    if norms != held.norms { held.norms.all = .nan }
                }
                return held
            }
        }
    }

    /// The largest difference from the sum in fp64, relative to the sum of magnitudes; infinite where floats are missing.
    private static func difference(_ sum: [Float], step: Int, ranks: Int) -> Double {
        let all = (0..<ranks).map { gradient(rank: $0, step: step).values }
        var largest = 0.0
        for place in sum.indices {
            let exact = all.reduce(0.0) { $0 + Double($1[place]) }
            let size = all.reduce(1e-30) { $0 + abs(Double($1[place])) }
            let difference = abs(Double(sum[place]) - exact) / size
            largest = max(largest, difference.isNaN ? .infinity : difference)
        }
        return largest
    }

    @Test(arguments: layouts)
    func nodesHoldTheSumOverAllRanks(_ nodes: [Int]) throws {
        let held = try Self.exchange(nodes, .twoLevel)
        for step in 0..<2 {
            #expect(Self.difference(held[0][step].sum, step: step, ranks: nodes.count) <= 3e-7)
            #expect(held.allSatisfy { $0[step] == held[0][step] }, "nodes hold different bits")
            let exact = held[0][step].sum[..<Self.layout.modelCount].reduce(0.0) { $0 + Double($1) * Double($1) }
            #expect(abs(held[0][step].norms.model - exact.squareRoot()) <= 1e-9 * exact.squareRoot())
        }
        // The first step's sum is not the second's: nothing is left over.
        #expect(Self.difference(held[0][0].sum, step: 1, ranks: nodes.count) > 0.1)
    }

    @Test(arguments: layouts)
    func halvesOnTheWireAreWithinTheirRounding(_ nodes: [Int]) throws {
        let held = try Self.exchange(nodes, .twoLevel, .bf16)
        for step in 0..<2 {
            let difference = Self.difference(held[0][step].sum, step: step, ranks: nodes.count)
            #expect(difference <= 0x1p-7 && difference > 0x1p-12, "\(difference)")
            #expect(held.allSatisfy { $0[step] == held[0][step] }, "nodes hold different bits")
        }
    }

    /// Parcels that travel while other ranks of the node still compute have the bits of those that wait.
    @Test(arguments: layouts)
    func talkingBesideTheBackwardPassChangesNoBit(_ nodes: [Int]) throws {
        let after = try Self.exchange(nodes, .twoLevel, steps: 10)
        #expect(try Self.exchange(nodes, .twoLevel, talking: .always, steps: 10) == after)
        #expect(try Self.exchange(nodes, .twoLevel, talking: .whenFaster, steps: 10) == after)
    }

    /// One rank a node adds in the order of ranks, as messages between threads do.
    @Test func oneRankANodeGivesTheBitsOfMessages() throws {
        for nodes in [[0, 1], [0, 1, 2], [0, 1, 2, 3]] {
            #expect(try Self.exchange(nodes, .twoLevel)[0] == Self.exchange(nodes, .messages)[0])
        }
    }

    /// The control: a contribution that is not sent is noticed.
    @Test func aMissingContributionIsNoticed() throws {
        let held = try Self.exchange([0, 0, 1], .twoLevel)
        #expect(Self.difference(held[0][0].sum, step: 0, ranks: 2) > 0.1)
    }

    @Test func anExchangeThatCannotBeHadIsRefused() throws {
        for (nodes, choice, words) in [
            ([0, 0], ExchangeChoice.twoLevel, "all ranks are on one node"), ([0, 1], .sharedNode, "2 nodes"),
            ([0], .twoLevel, "one rank"),
        ] {
            let error = #expect(throws: TuttiError.self) { try Self.exchange(nodes, choice) }
            #expect(error?.kind == .usage && error?.description.contains(words) == true, "\(String(describing: error))")
        }
        let error = #expect(throws: TuttiError.self) { try Self.exchange([0, 1], .messages, .bf16) }
        #expect(error?.description.contains("args.wire: bf16") == true)
    }

    /// A rank that fails releases those that wait for its messages.
    @Test func aRankThatFailsEndsTheExchange() throws {
        let error = #expect(throws: TuttiError.self) {
            try LocalEnsemble.run(nodes: [0, 1]) { ensemble in
                let store = ParameterStore(layout: Self.layout, wordTable: "embeddings.word_embeddings.weight")
                let exchange = try ExchangeChoice.auto.make(store, stateCount: 0, wire: .fp32, among: ensemble).exchange
                if ensemble.rank == 1 { throw TuttiError(.data, "read", "rows.csv", "is broken") }
                _ = try exchange.sum()
            }
        }
        #expect(error?.description.contains("rows.csv") == true)
    }
}
