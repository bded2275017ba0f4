// TwoLevel: several nodes, each with one copy of the values and of the optimizer's state for its ranks.
//
// First each rank sums its shard over the arenas of its node, in memory (SharedNode). Then the ranks that have the same
// chunks on all nodes sum them over nodes by messages (Streams), each on its own connection. Then each updates its shard
// in the memory of its node: the nodes hold the same bits. A message never passes between two ranks of one node.
//
// With `optimizer_sharding: all` the nodes keep the state together: a node has that of the chunks that it adds up. Then sums
// stay with the adder, who updates, and the new values travel instead, as many floats (those of the whole word table, which
// an optimizer moves everywhere). Sums, updates and values have the same bits either way.
//
// The layers before the word table may be exchanged beside the backward pass (`early`), each parcel as soon as all ranks
// of the node have finished it. The rest follows at its end (`late`): of the word table only touched rows, which are
// known then.

import TuttiEncoders
import TuttiEnsemble
import TuttiKernels

/// The sum of all ranks' gradients: in memory on each node, by messages between nodes.
package final class TwoLevel: Exchange {
    package let placement: Placement
    package let summary: String
    package var ranks: any Ensemble { node.ranks }

    private let parameters: ParameterStore
    private let whole: any MessagePassing
    private let node: SharedNode
    private let marks: MarksOfNodes
    private let early: Streams?  // nil where nothing runs beside the backward pass
    private let late: Streams
    private let values: PostedMessages?  // where only the adder updates a chunk: its new values
    private let elsewhere: [Int]  // the chunks that other nodes add up, in that case
    private let across: (any Ensemble)?  // one rank of each node, in that case
    private let denseCount: Int  // floats before the word table
    private var trial: OverlapTrial
    private var earlyCount = 0  // floats that `early` sums in this step, once it has begun
    private var finishedCount = 0
    private var failure: (any Error)?

    /// The bytes of each region that it takes from a node's memory.
    static func regions(
        _ parameters: ParameterStore, stateCount: Int, ranks: Int, table: NodeTable, sharding: OptimizerSharding
    ) -> [Int] {
        let own = stored(parameters, table, sharding)
        return SharedNode.regions(parameters, stateCount: sharding == .all ? 0 : stateCount, ranks: ranks)
            + [parameters.touched.marks.count * 4]
            + (sharding == .all ? Array(repeating: own.floats * 4, count: stateCount) : [])
    }

    /// Lays everything into the `memory` of each node. Collective.
    init(
        _ parameters: ParameterStore, stateCount: Int, in memory: NodeMemory, table: NodeTable, wire: Wire,
        isTree: Bool, sharding: OptimizerSharding, nodes: NodeEnsembles, among whole: any MessagePassing
    ) throws {
        (self.parameters, self.whole) = (parameters, whole)
        let isSharded = sharding == .all
        let node = try SharedNode(
            parameters, stateCount: isSharded ? 0 : stateCount, in: memory, isTree: isTree, table: table,
            among: nodes.own, of: whole)
        marks = MarksOfNodes(
            parameters.touched, count: table.count, nodes: nodes,
            union: memory.take(Float.self, parameters.touched.marks.count))
        if isSharded {
            let own = Self.stored(parameters, table, sharding)
            placement = Self.sharded(
                node, (0..<stateCount).map { _ in StateArena(own, memory.take(Float.self, own.floats)) }, table)
            values = Self.values(parameters, node, table)
            elsewhere = (0..<node.chunks.count).filter { table.adder(of: $0) != table.node }
            across = nodes.across
        } else {
            (placement, values, elsewhere, across) = (node.placement, nil, [], nil)
        }
        self.node = node
        let words = parameters.touched.table
        denseCount = words.isEmpty ? parameters.layout.count : words.lowerBound
        func streams(isEarly: Bool) -> Streams {
            Streams(
                parameters, node: node, table: table, wire: wire, isEarly: isEarly, isTree: isTree,
                returnsSums: !isSharded)
        }
        early = whole.talking == .never ? nil : streams(isEarly: true)
        early?.prepare(0..<denseCount)
        late = streams(isEarly: false)
        trial = OverlapTrial(whole.talking)
        let dense = (parameters.layout.count - words.count) * wire.bytes
        let returned = isSharded ? parameters.layout.count * 4 : dense
        let sent = (table.count - 1) * (dense + returned) / table.count
        summary =
            "summed in shared memory on each of \(table.count) nodes and by \(wire.rawValue) messages between them; "
            + "a node sends \(sizeInWords(sent)) a step"
            + (words.isEmpty ? "" : ", and the touched rows of the word table")
    }

    /// Tells the ranks of the node; the first slice of a step begins the exchange beside the backward pass.
    package func finished(_ slice: Range<Int>) {
        guard slice.lowerBound <= finishedCount else { return }
        if finishedCount == 0 { begin() }
        finishedCount = max(finishedCount, slice.upperBound)
        node.report(finished: finishedCount)
    }

    package func sum() throws -> GradientNorms {
        if finishedCount == 0 { begin() }  // a rank without rows has nothing to report
        if earlyCount > 0 {
            node.report(finished: parameters.layout.count)
            if let failure { throw failure }
            try whole.finishAllReduces()
        }
        try marks.collect(try node.meet())
        node.sumShard(from: earlyCount)
        late.prepare(earlyCount..<parameters.layout.count)
        try whole.begin(late)
        try whole.finishAllReduces()
        (earlyCount, finishedCount) = (0, 0)
        let norms = try node.norms(of: placement.shard, elsewhere: elsewhere, across: across)
        try trial.end(among: whole)
        return norms
    }

    package func publish() throws {
        if let values {
            try whole.begin(values)
            try whole.finishAllReduces()
        }
        try node.publish()
    }

    package func bringSum(of range: Range<Int>) { node.bringSum(of: range) }

    package func takeNotice() -> String? { trial.takeNotice() }

    private func begin() {
        trial.begin()
        guard trial.runsBeside, let early else { return }
        earlyCount = denseCount
        do { try whole.begin(early) } catch { failure = error }  // backward cannot throw; sum() reports it
    }

    // ---- optimizer_sharding: all -------------------------------------------------------------------------------------

    /// The chunks whose state this node stores.
    private static func stored(
        _ parameters: ParameterStore, _ table: NodeTable, _ sharding: OptimizerSharding
    ) -> StoredChunks {
        StoredChunks(of: ArenaChunks(parameters.layout)) { sharding == .node || table.adder(of: $0) == table.node }
    }

    /// The placement of state of which each node stores what it adds up.
    private static func sharded(_ node: SharedNode, _ state: [StateArena], _ table: NodeTable) -> Placement {
        var placement = node.placement
        placement.state = state
        placement.shard.removeAll { table.adder(of: $0.lowerBound / OptimizerKernels.chunk) != table.node }
        let first = table.nodes[0]
        placement.holders = (0..<node.chunks.count).map { table.adder(of: $0) == first ? 0 : table.owner(of: $0) }
        return placement
    }

    /// The messages that bring the values of every chunk from the rank that updates it to all nodes.
    private static func values(_ parameters: ParameterStore, _ node: SharedNode, _ table: NodeTable) -> PostedMessages {
        let messages = PostedMessages(tag: ExchangeTag.values)
        for range in node.placement.shard {  // the same chunks on all ranks that have one of them
            let chunk = range.lowerBound / OptimizerKernels.chunk
            let bytes = UnsafeMutableRawBufferPointer(UnsafeMutableBufferPointer(rebasing: parameters.values[range]))
            if table.adder(of: chunk) != table.node {
                messages.receive(bytes, from: table.owner(of: chunk))
                continue
            }
            for other in 0..<table.count where other != table.node {
                messages.send(bytes, to: table.rank(of: other, group: chunk % table.period))
            }
        }
        return messages
    }
}
