// Laws of an exchange by itself: state sharded over all ranks, and gathers of rows in two levels, over the real transport.
//
// Each law uses the nodes that there are; on one node, made-up nodes of two ranks and ranks that share nothing too.

import TuttiEncoders
import TuttiEnsemble
import TuttiKernels
import TuttiTraining

let exchangeLaws: [Law] =
    placements.map { place in
        Law(
            name: "optimizer_sharding: all\(place.name): the bits of whole state in a part of its memory",
            fewestRanks: place.fewestRanks, needsNode: place.needsNode
        ) { ensemble, findings in try compareSharding(place.on(ensemble), ensemble, findings) }
    }
    + placements.filter(\.sharesMemory).map { place in
        Law(
            name: "rows gathered once a node\(place.name), and their adjoint",
            fewestRanks: place.fewestRanks, needsNode: place.needsNode
        ) { ensemble, findings in try compareRows(place.on(ensemble), ensemble, findings) }
    } + [
        .control("values of other shards that do not arrive") { ensemble, findings in
            try compareSharding(AlteredEnsemble(ensemble, .staleGather), ensemble, findings, choice: .messages)
        },
        .control("rows: nodes that do not talk to each other", fewestRanks: 3, needsNode: true) { ensemble, findings in
            try compareRows(AlteredEnsemble(ensemble, .silentPairs), ensemble, findings)
        },
        .control("rows: nobody waits before others' rows are read", needsNode: true) { ensemble, findings in
            try compareRows(AlteredEnsemble(ensemble, .noBarrier), ensemble, findings)
        },
    ]

/// Nodes on which a law is checked.
private struct Placing: Sendable {
    let name: String
    var fewestRanks = 1
    var needsNode = false
    var sharesMemory = true
    let on: @Sendable (any Ensemble) -> any Ensemble
}

private let placements = [
    Placing(name: "", on: { $0 }),
    Placing(name: ", by messages", fewestRanks: 2, sharesMemory: false, on: { AlteredEnsemble($0, .nodesApart) }),
    Placing(
        name: ", on nodes of two ranks", fewestRanks: 3, needsNode: true, on: { AlteredEnsemble($0, .pairsOfRanks) }),
]

/// Ten chunks, the last of them short, with a table of which few rows are touched.
private let layout: ParameterLayout = {
    var layout = ParameterLayout()
    layout.append(TensorSpecification("encoder.layer.0.weight", [450, 1000]))
    layout.append(TensorSpecification("embeddings.word_embeddings.weight", [3000, 49]))
    layout.append(TensorSpecification("embeddings.LayerNorm.weight", [401]))
    return layout
}()

/// Compares steps with sharded state over `used` with those with whole state. `plain` is the correct world.
private func compareSharding(
    _ used: any Ensemble, _ plain: any Ensemble, _ findings: Findings, choice: ExchangeChoice = .auto
) throws {
    let node = try steps(.node, choice, used)
    let all = try steps(.all, choice, used)
    findings.require(all.values == node.values, "other values than with whole state")
    findings.require(all.norms == node.norms, "norms \(all.norms), not \(node.norms)")
    findings.require(node.stored == layout.count, "whole state is \(node.stored) floats of \(layout.count)")
    // All memories together keep one arena, each an equal part of its chunks.
    let parts = try plain.gatherCounts(all.isWriter ? all.stored : 0).filter { $0 > 0 }
    let holders = try plain.gatherCounts(all.isWriter ? 1 : 0).reduce(0, +)
    let nodes = try plain.gatherCounts(used.node)
    let ranks = holders == plain.size ? [1] : nodes.map { node in nodes.filter { $0 == node }.count }
    let period = (1...).first { period in ranks.allSatisfy { period % $0 == 0 } } ?? 1
    let turn = OptimizerKernels.chunk * period  // nodes take turns by so many floats
    let most = ((layout.count + turn - 1) / turn + holders - 1) / holders * turn
    findings.require(
        parts.reduce(0, +) == layout.count && parts.allSatisfy { $0 <= most },
        "memories have \(parts) floats of \(layout.count)")
    let bytes = all.values.withUnsafeBytes { Array($0) }
    try findings.require(plain.broadcast(bytes) == bytes, "this rank's values are not rank zero's")
}

/// What three steps of an optimizer with one arena of state leave.
private func steps(
    _ sharding: OptimizerSharding, _ choice: ExchangeChoice, _ ensemble: any Ensemble
) throws -> (values: [Float], norms: [Double], stored: Int, isWriter: Bool) {
    let store = ParameterStore(layout: layout, wordTable: "embeddings.word_embeddings.weight")
    for place in store.values.indices { store.values[place] = Float(place % 1000) / 1000 }
    let exchange = try choice.make(store, stateCount: 1, wire: .fp32, sharding: sharding, among: ensemble).exchange
    let (placement, table) = (exchange.placement, store.touched.table)
    var norms: [Double] = []
    for step in 0..<3 {
        store.clearGradients()
        var numbers = Numbers(seed: UInt64(100 * step + ensemble.rank))
        let dense = numbers.next(layout.count)
        for place in store.gradients.indices where !table.contains(place) { store.gradients[place] = dense[place] }
        for row in stride(from: step + ensemble.rank, to: 3000, by: 7) {
            store.touched.marks[row] = 1
            for place in table.lowerBound + row * 49..<table.lowerBound + row * 49 + 49 {
                store.gradients[place] = dense[place]
            }
        }
        exchange.finished(0..<layout.count)
        norms.append(try exchange.sum().all)
        for range in placement.shard {
            let momentum = placement.state[0][range]
            for (place, float) in range.enumerated() {
                momentum[place] = 0.5 * momentum[place] + store.gradients[float]
                store.values[float] -= 0.1 * momentum[place]
            }
        }
        try exchange.publish()
    }
    return (Array(store.values), norms, placement.state[0].stored.floats, placement.isWriter)
}

/// Compares gathers and adjoints for the losses of a run on `used` with those of `plain`, the correct world.
private func compareRows(_ used: any Ensemble, _ plain: any Ensemble, _ findings: Findings) throws {
    let store = ParameterStore(layout: layout, wordTable: "embeddings.word_embeddings.weight")
    let exchange = try ExchangeChoice.auto.make(store, stateCount: 0, wire: .fp32, among: used).exchange
    try withExtendedLifetime(exchange) {
        for count in [700, 40_000, 600_001] {
            for deal in deals(of: count, to: plain.size) {
                var numbers = Numbers(seed: UInt64(plain.rank + 5))
                let own = numbers.next(deal[plain.rank])
                let gathered = try gather(own, deal, exchange.ranks)
                try findings.require(gathered == gather(own, deal, plain), "deal \(deal): other rows")
                // Whole numbers, whose sums are exact.
                let send = (0..<count).map { Float($0 % 500 + plain.rank) }
                let sums = try reduceScatter(send, deal, exchange.ranks)
                try findings.require(sums == reduceScatter(send, deal, plain), "deal \(deal): other sums")
            }
        }
    }
}

private func gather(_ own: [Float], _ deal: [Int], _ ensemble: any Ensemble) throws -> [Float] {
    var all = [Float](repeating: -1, count: deal.reduce(0, +))
    try own.withUnsafeBytes { own in
        try deal.map { $0 * 4 }.withUnsafeBufferPointer { counts in
            try all.withUnsafeMutableBytes { try ensemble.allGather(own, counts: counts, into: $0) }
        }
    }
    return all
}
