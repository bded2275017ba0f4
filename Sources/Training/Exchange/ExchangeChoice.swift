// ExchangeChoice: which exchange a run has: what the user asks for, or the best that all ranks can have.
//
// A new exchange is one file, one case here.

import TuttiEncoders
import TuttiEnsemble
import TuttiGround

/// The values of `args.exchange`.
public enum ExchangeChoice: String, Sendable, CaseIterable {
    /// `shared_node` on one node, `two_level` on several, `messages` where memory cannot be shared.
    case auto
    /// Every rank keeps memory of its own; gradients are summed by MPI_Allreduce.
    case messages
    /// The ranks of one node keep one copy of values and optimizer state, and sum in memory.
    case sharedNode = "shared_node"
    /// The same on each of several nodes, and messages between nodes.
    case twoLevel = "two_level"

    /// Makes the exchange of a run, which places the arenas. Collective.
    ///
    /// - Parameters:
    ///   - sharding: which memory keeps which part of the optimizer's state.
    ///   - isTree: whether ranks are added along a binary tree, rather than in their order.
    /// - Returns: the exchange, and why ranks of one node keep memory of their own ("" if they share it or need not).
    /// - Throws: a usage error if the exchange that was asked for cannot be had.
    package func make(
        _ parameters: ParameterStore, stateCount: Int, wire: Wire, sharding: OptimizerSharding = .node,
        isTree: Bool = false, among ensemble: any Ensemble
    ) throws -> (exchange: any Exchange, obstacle: String) {
        var obstacle = ""
        let sharding = stateCount > 0 ? sharding : .node  // without state only the messages of values would be left
        if ensemble.size > 1, self != .messages {
            let answer = try share(
                parameters, stateCount: stateCount, wire: wire, sharding: sharding, isTree: isTree, among: ensemble)
            if let exchange = answer.exchange { return (exchange, "") }
            obstacle = answer.obstacle
        }
        if self == .sharedNode || self == .twoLevel {
            let problem = ensemble.size == 1 ? "one rank has nothing to exchange" : obstacle
            throw TuttiError(
                .usage, "choose the exchange", "args.exchange: \(rawValue)", problem, hint: "Use exchange: auto.")
        }
        if isTree, ensemble.size > 1 {
            throw TuttiError(
                .usage, "choose the exchange", "args.deterministic: world_size",
                obstacle.isEmpty ? "exchange: messages adds in an order of MPI's own" : obstacle,
                hint: "The ranks of a node must share memory, and exchange be auto.")
        }
        if wire == .bf16, ensemble.size > 1 {
            throw TuttiError(
                .usage, "choose the exchange", "args.wire: bf16", "exchange: messages sends fp32",
                hint: obstacle.isEmpty ? "Use exchange: auto." : "two_level cannot be had: \(obstacle).")
        }
        if sharding == .all, ensemble.size > 1, !(ensemble is any MessagePassing) {
            throw TuttiError(
                .usage, "choose the exchange", "args.optimizer_sharding: all", "these ranks cannot send messages",
                hint: "Use optimizer_sharding: node.")
        }
        return (Messages(parameters, stateCount: stateCount, sharding: sharding, among: ensemble), obstacle)
    }

    /// An exchange in which ranks of a node share memory; nil on every rank, with the reason, if they cannot.
    private func share(
        _ parameters: ParameterStore, stateCount: Int, wire: Wire, sharding: OptimizerSharding, isTree: Bool,
        among ensemble: any Ensemble
    ) throws -> (exchange: (any Exchange)?, obstacle: String) {
        let nodes = try ensemble.gatherCounts(ensemble.node)
        let table = NodeTable(nodes: nodes, rank: ensemble.rank)
        if table.count == 1 {
            guard self != .twoLevel else { return (nil, "all ranks are on one node") }
            guard ensemble.sharesNode else { return (nil, "") }
            let regions = SharedNode.regions(parameters, stateCount: stateCount, ranks: ensemble.size)
            let answer = try NodeMemory.share(regions: regions, among: ensemble)
            let exchange = try answer.memory.map {
                try SharedNode(
                    parameters, stateCount: stateCount, in: $0, isTree: isTree, table: table, among: ensemble)
            }
            return (exchange, answer.obstacle)
        }
        guard self != .sharedNode else { return (nil, "the ranks are on \(table.count) nodes") }
        guard table.period <= Self.longestPeriod else {
            let ranks = table.ranks.map { "\($0.count)" }.joined(separator: ", ")
            return (nil, "the nodes have \(ranks) ranks, which deal too differently")
        }
        guard !isTree || table.isTree else {
            return (nil, "the nodes must have equal powers of two of neighboring ranks")
        }
        guard let whole = ensemble as? any MessagePassing else { return (nil, "") }
        let split = try ensemble.splitByNode()
        let isApart = split.own.size > 1 && !split.own.sharesNode
        guard try ensemble.agree(code: isApart ? 1 : 0) == 0 else { return (nil, "") }
        let regions = TwoLevel.regions(
            parameters, stateCount: stateCount, ranks: split.own.size, table: table, sharding: sharding)
        let answer = try NodeMemory.share(regions: regions, among: split.own)
        let obstacles = try ensemble.gather(Array(answer.obstacle.utf8))
        guard let memory = answer.memory, obstacles.allSatisfy(\.isEmpty) else {
            let node = obstacles.firstIndex { !$0.isEmpty } ?? 0
            return (nil, "on the node of rank \(node), \(String(decoding: obstacles[node], as: UTF8.self))")
        }
        let exchange = try TwoLevel(
            parameters, stateCount: stateCount, in: memory, table: table, wire: wire, isTree: isTree,
            sharding: sharding, nodes: split, among: whole)
        return (exchange, "")
    }

    /// Beyond it messages cannot be told apart by tags of 15 bits.
    private static let longestPeriod = 1000
}
