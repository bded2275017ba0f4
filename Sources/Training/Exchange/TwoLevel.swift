// TwoLevel: several nodes, each with one copy of the values and of the optimizer's state for its ranks.
//
// First each rank sums its shard over the arenas of its node, in memory (SharedNode). Then the ranks that have the same
// chunks on all nodes sum them over nodes by messages (Streams), each on its own connection. Then each updates its shard
// in the memory of its node: the nodes hold the same bits. A message never passes between two ranks of one node.
//
// The layers before the word table may be exchanged beside the backward pass (`early`), each parcel as soon as all ranks
// of the node have finished it. The rest follows at its end (`late`): of the word table only touched rows, which are
// known then.

import TuttiEncoders
import TuttiEnsemble

/// The sum of all ranks' gradients: in memory on each node, by messages between nodes.
package final class TwoLevel: Exchange {
    package let placement: Placement
    package let summary: String

    private let parameters: ParameterStore
    private let whole: any MessagePassing
    private let node: SharedNode
    private let marks: MarksOfNodes
    private let early: Streams?  // nil where nothing runs beside the backward pass
    private let late: Streams
    private let denseCount: Int  // floats before the word table
    private var trial: OverlapTrial
    private var earlyCount = 0  // floats that `early` sums in this step, once it has begun
    private var finishedCount = 0
    private var failure: (any Error)?

    /// The bytes of each region that it takes from a node's memory.
    static func regions(_ parameters: ParameterStore, stateCount: Int, ranks: Int) -> [Int] {
        SharedNode.regions(parameters, stateCount: stateCount, ranks: ranks) + [parameters.touched.marks.count * 4]
    }

    /// Lays everything into the `memory` of each node. Collective.
    init(
        _ parameters: ParameterStore, stateCount: Int, in memory: NodeMemory, table: NodeTable, wire: Wire,
        isTree: Bool, nodes: NodeEnsembles, among whole: any MessagePassing
    ) throws {
        (self.parameters, self.whole) = (parameters, whole)
        node = try SharedNode(parameters, stateCount: stateCount, in: memory, isTree: isTree, among: nodes.own)
        placement = node.placement
        marks = MarksOfNodes(
            parameters.touched, count: table.count, nodes: nodes,
            union: memory.take(Float.self, parameters.touched.marks.count))
        let words = parameters.touched.table
        denseCount = words.isEmpty ? parameters.layout.count : words.lowerBound
        early =
            whole.talking == .never
            ? nil : Streams(parameters, node: node, table: table, wire: wire, isEarly: true, isTree: isTree)
        early?.prepare(0..<denseCount)
        late = Streams(parameters, node: node, table: table, wire: wire, isEarly: false, isTree: isTree)
        trial = OverlapTrial(whole.talking)
        let dense = parameters.layout.count - words.count
        let megabytes = Double(2 * (table.count - 1) * dense * wire.bytes) / Double(table.count) / 1e6
        summary =
            "summed in shared memory on each of \(table.count) nodes and by \(wire.rawValue) messages between them; "
            + "a node sends \((megabytes * 10).rounded() / 10) MB a step"
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
        let norms = try node.norms()
        try trial.end(among: whole)
        return norms
    }

    package func publish() throws { try node.publish() }

    package func takeNotice() -> String? { trial.takeNotice() }

    private func begin() {
        trial.begin()
        guard trial.runsBeside, let early else { return }
        earlyCount = denseCount
        do { try whole.begin(early) } catch { failure = error }  // backward cannot throw; sum() reports it
    }
}
