// MarksOfNodes: which rows of the word table any rank of any node has touched, agreed on a bit a row.
//
// The first rank of each node collects the marks of its node, exchanges them with the first ranks of the other nodes, and
// writes the union where all ranks of its node read it.

import TuttiEncoders
import TuttiEnsemble

/// The touched rows of all nodes.
final class MarksOfNodes {
    private let touched: TouchedRows
    private let nodes: NodeEnsembles
    private let union: [UnsafeMutableBufferPointer<Float>]  // one, [rows], in the node's memory
    private var bits: [UInt64]  // [rows / 64], of this node
    private var bitsOfNodes: [UInt64]  // [nodes, rows / 64]
    private let counts: [Int]  // bytes of a node's bits, [nodes]

    /// - Parameters:
    ///   - count: nodes.
    ///   - union: memory of the node, [rows].
    init(
        _ touched: TouchedRows, count: Int, nodes: NodeEnsembles,
        union: UnsafeMutableBufferPointer<Float>
    ) {
        (self.touched, self.nodes, self.union) = (touched, nodes, [union])
        let length = (union.count + 63) / 64
        bits = [UInt64](repeating: 0, count: length)
        bitsOfNodes = [UInt64](repeating: 0, count: length * count)
        counts = [Int](repeating: length * 8, count: count)
    }

    /// Collects the touched rows, given the marks of this node's ranks, which have met. Collective.
    func collect(_ marksOfRanks: [UnsafeMutableBufferPointer<Float>]) throws {
        if bits.isEmpty { return touched.collect(from: marksOfRanks) }
        if nodes.own.isRoot { try unite(marksOfRanks) }
        try nodes.own.barrier()
        touched.collect(from: union)
    }

    private func unite(_ marksOfRanks: [UnsafeMutableBufferPointer<Float>]) throws {
        let marks = union[0]
        for word in bits.indices { bits[word] = 0 }
        for row in marks.indices where marksOfRanks.contains(where: { $0[row] > 0 }) {
            bits[row / 64] |= 1 << UInt64(row % 64)
        }
        try bits.withUnsafeBytes { own in
            try bitsOfNodes.withUnsafeMutableBytes { all in
                try counts.withUnsafeBufferPointer { try nodes.across.allGather(own, counts: $0, into: all) }
            }
        }
        for row in marks.indices {
            var isTouched = false
            for word in stride(from: row / 64, to: bitsOfNodes.count, by: bits.count) {
                isTouched = isTouched || bitsOfNodes[word] >> UInt64(row % 64) & 1 == 1
            }
            marks[row] = isTouched ? 1 : 0
        }
    }
}
