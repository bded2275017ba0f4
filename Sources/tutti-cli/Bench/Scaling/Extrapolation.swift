// Extrapolation: the fitted model on clusters that nobody has measured, with every assumption in words.
//
// Weak scaling of one measured world: its ranks a node, threads, rows and tokens a rank stay, nodes are added, and the
// network is the one that is named: its rate, latency and cost a message are assumed, not fitted.

import Foundation

/// A network between nodes.
struct Network: Sendable {
    /// Gigabits a second of a node's link, in each direction.
    var gigabits: Double
    /// Seconds from a message's start to its arrival.
    var latency = 20e-6
    /// Seconds of a core a message.
    var messageCost = 2e-6
    /// The fraction of the rate that carries payload.
    var payload = 0.92

    var secondsPerByte: Double { 8 / (gigabits * 1e9 * payload) }
}

/// A cluster that the model speaks of.
struct ExtrapolatedStep {
    let ranks: Int
    let nodes: Int
    let network: Network
    let parts: StepPrediction
    /// Seconds of gradients and of embeddings in messages; parts of `exchange` and `loss`.
    let gradientSeconds: Double
    let gatherSeconds: Double
    /// Seconds that go if the layers' gradients are sent beside the backward pass.
    let hidden: Double
    /// Tokens a second over those of as many single ranks, and over those of as many single nodes.
    let efficiency: Double
    let efficiencyOverNode: Double
}

/// Weak scaling of a measured world.
struct Extrapolation {
    static let rates: [Double] = [10, 25, 100, 200]
    static let sizes = [16, 64, 256, 1024, 4096, 10_000]
    /// The part of the backward pass beside which messages travel, of the time of work.
    static let overlap = 0.5

    let model: ScalingModel
    let base: WorldRecord
    let ranksPerNode: Int

    /// - Parameter ranksPerNode: nil = those of `base`.
    init(_ model: ScalingModel, base: WorldRecord, ranksPerNode: Int? = nil) {
        (self.model, self.base) = (model, base)
        self.ranksPerNode = max(1, ranksPerNode ?? base.ranksPerNode)
    }

    /// What a reader must know before believing a figure.
    var assumptions: [String] {
        let network = Network(gigabits: 1)
        let threads = "\(base.threads) thread\(base.threads == 1 ? "" : "s")"
        var lines = [
            "weak scaling of the world of \(base.title): \(Int(base.world.tokens)) tokens a rank and step, \(ranksPerNode) ranks of \(threads) a node",
            "networks: \(Int(network.latency * 1e6)) us a message, \(Int(network.messageCost * 1e6)) us of a core a message, \(Int(network.payload * 100)) % of the rate is payload, full bisection: no node disturbs another",
            "gradients: every parameter, the word table whole, \(base.wireBytes) bytes each: 2 (N - 1) / N of them a node; two message times",
            "embeddings of \(base.candidates) column\(base.candidates == 1 ? "" : "s") of \(base.width) floats are gathered from all ranks and their gradients returned, as losses with in-batch negatives do: similarities grow with the ranks",
            "a similarity takes at least its 6 D FLOPs at the rate of the model's products",
            "ranks vary independently, by \(String(format: "%.2f", 100 * model.spread)) % of their work: the slowest of W sets the pace",
            "hidden: gradients of all but the word table beside \(Int(Self.overlap * 100)) % of the work, at no cost to it",
        ]
        let known = StepShape(base, base.world, ranks: ranksPerNode, nodes: 1, busyRanks: ranksPerNode)
        let unseen = model.unseen(known)
        if !unseen.isEmpty {
            lines.append("taken as zero, since no measured world shows it: \(unseen.joined(separator: ", "))")
        }
        if base.isOversubscribed {
            lines.append("the measured world was oversubscribed: its ranks had less than a core a thread")
        }
        return lines
    }

    /// A step on `ranks` ranks over a network.
    func step(ranks: Int, over network: Network) -> ExtrapolatedStep {
        let nodes = (ranks + ranksPerNode - 1) / ranksPerNode
        // Inside a node the fit speaks; what crosses nodes is added by the network's figures.
        var parts = predict(ranks: ranks, nodes: nodes)
        var gradients = 0.0
        var gathered = 0.0
        if nodes > 1 {
            let peers = Double(nodes)
            let share = Double(base.parameters * base.wireBytes) / Double(ranksPerNode)
            let messages = 2 * max(peers - 1, (peers - 1) / peers * share / Double(52 << 10))
            let bytes = 2 * (peers - 1) / peers * Double(base.parameters * base.wireBytes)
            gradients = 2 * network.latency + messages * network.messageCost + bytes * network.secondsPerByte
            let received = 2 * Double(base.batchSize * ranks * base.candidates * base.width * 4) * (peers - 1) / peers
            gathered = 2 * log2(peers).rounded(.up) * network.latency + received * network.secondsPerByte
        }
        parts.exchange += gradients
        parts.loss += gathered
        let dense = base.parameters == 0 ? 0 : 1 - Double(base.wordTable) / Double(base.parameters)
        let one = predict(ranks: 1, nodes: 1)
        let node = predict(ranks: ranksPerNode, nodes: 1)
        return ExtrapolatedStep(
            ranks: ranks, nodes: nodes, network: network, parts: parts, gradientSeconds: gradients,
            gatherSeconds: gathered, hidden: min(gradients * dense, Self.overlap * parts.work),
            efficiency: one.step / parts.step, efficiencyOverNode: node.step / parts.step)
    }

    /// All sizes on all networks.
    var steps: [ExtrapolatedStep] {
        Self.rates.flatMap { rate in
            ([ranksPerNode] + Self.sizes.filter { $0 > ranksPerNode }).map {
                step(ranks: $0, over: Network(gigabits: rate))
            }
        }
    }

    /// A step without messages between nodes. Few ranks do not show what similarities cost: it is then what their
    /// FLOPs take.
    private func predict(ranks: Int, nodes: Int) -> StepPrediction {
        let shape = shape(ranks: ranks, nodes: nodes)
        var parts = model.predict(shape, crossesNodes: false)
        let least = model.leastSimilarity(shape, wordTable: base.wordTable)
        parts.loss += max(0, least - model.similarity) * shape.similarities
        return parts
    }

    private func shape(ranks: Int, nodes: Int) -> StepShape {
        StepShape(base, base.world, ranks: ranks, nodes: nodes, busyRanks: min(ranks, ranksPerNode))
    }
}
