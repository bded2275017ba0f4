// TwoLevel: several nodes, each with one copy of the values and of the optimizer's state for its ranks.
//
// First each rank sums its shard over the arenas of its node, in memory (SharedNode). Then the ranks that have the same
// chunks on all nodes sum them over nodes by messages (Streams), each on its own connection. Then each updates its shard
// in the memory of its node: the nodes hold the same bits. A message never passes between two ranks of one node.
//
// Which rows of the word table were touched on any node is exchanged first, a bit a row, by the first rank of each node.

import TuttiEncoders
import TuttiEnsemble

/// The sum of all ranks' gradients: in memory on each node, by messages between nodes.
package final class TwoLevel: Exchange {
    package let placement: Placement
    package let summary: String

    private let parameters: ParameterStore
    private let whole: any MessagePassing
    private let own: any Ensemble
    /// The first ranks of all nodes; others are in an ensemble that does nothing.
    private let firsts: any Ensemble
    private let node: SharedNode
    private let streams: Streams
    private let marks: UnsafeMutableBufferPointer<Float>  // of the rows touched on any node, in the node's memory
    private let onlyMarks: [UnsafeMutableBufferPointer<Float>]
    private var bits: [UInt64]  // [rows / 64], of this node
    private var bitsOfNodes: [UInt64]  // [nodes, rows / 64]
    private let counts: [Int]  // bytes of a node's bits, [nodes]

    /// The bytes of each region that it takes from a node's memory.
    static func regions(_ parameters: ParameterStore, stateCount: Int, ranks: Int) -> [Int] {
        SharedNode.regions(parameters, stateCount: stateCount, ranks: ranks) + [parameters.touched.marks.count * 4]
    }

    /// Lays everything into the `memory` of each node. Collective.
    ///
    /// - Parameter own: the ranks of this node.
    init(
        _ parameters: ParameterStore, stateCount: Int, in memory: NodeMemory, table: NodeTable, wire: Wire,
        own: any Ensemble, among whole: any MessagePassing
    ) throws {
        (self.parameters, self.whole, self.own) = (parameters, whole, own)
        node = try SharedNode(parameters, stateCount: stateCount, in: memory, among: own)
        placement = node.placement
        marks = memory.take(Float.self, parameters.touched.marks.count)
        onlyMarks = [marks]
        firsts = try whole.split(color: own.isRoot ? 0 : 1)
        streams = Streams(parameters, table: table, chunks: node.chunks, wire: wire)
        let words = (marks.count + 63) / 64
        bits = [UInt64](repeating: 0, count: words)
        bitsOfNodes = [UInt64](repeating: 0, count: words * table.count)
        counts = [Int](repeating: words * 8, count: table.count)
        let dense = parameters.layout.count - parameters.touched.table.count
        let megabytes = Double(2 * (table.count - 1) * dense * wire.bytes) / Double(table.count) / 1e6
        summary =
            "summed in shared memory on each of \(table.count) nodes and by \(wire.rawValue) messages between them; "
            + "a node sends \((megabytes * 10).rounded() / 10) MB a step"
            + (marks.isEmpty ? "" : ", and the touched rows of the word table")
    }

    /// Nothing: the sum begins when the backward pass has ended.
    package func finished(_ slice: Range<Int>) {}

    package func sum() throws -> GradientNorms {
        let marksOfRanks = try node.meet()
        try exchangeMarks(marksOfRanks)
        node.sumShard()
        streams.prepare(0..<parameters.layout.count)
        try whole.begin(streams)
        try whole.finishAllReduces()
        return try node.norms()
    }

    package func publish() throws { try node.publish() }

    /// Collects the rows that were touched on any node.
    private func exchangeMarks(_ marksOfRanks: [UnsafeMutableBufferPointer<Float>]) throws {
        if marks.isEmpty { return parameters.touched.collect(from: marksOfRanks) }
        if own.isRoot {
            for row in marks.indices where marksOfRanks.contains(where: { $0[row] > 0 }) {
                bits[row / 64] |= 1 << UInt64(row % 64)
            }
            try bits.withUnsafeBytes { own in
                try bitsOfNodes.withUnsafeMutableBytes { all in
                    try counts.withUnsafeBufferPointer { try firsts.allGather(own, counts: $0, into: all) }
                }
            }
            for row in marks.indices {
                let isTouched = stride(from: row / 64, to: bitsOfNodes.count, by: bits.count).contains {
                    bitsOfNodes[$0] >> UInt64(row % 64) & 1 == 1
                }
                marks[row] = isTouched ? 1 : 0
            }
            for word in bits.indices { bits[word] = 0 }
        }
        try own.barrier()
        parameters.touched.collect(from: onlyMarks)
    }
}
