// NodeTable: which rank of each node sums which chunk of the arenas, and which node completes the sum.
//
// On every node chunk c belongs to the rank at place c mod (ranks of that node), as in SharedNode. The ranks that have
// the same chunk exchange it; one of them, the adder, adds up all contributions and hands out the sum. The nodes take
// turns as adders, so that each completes an equal part. Nodes may have different numbers of ranks.

/// The ranks of every node, and the position of this rank.
struct NodeTable: Sendable, Equatable {
    /// The ranks of every node; nodes in the order of their lowest rank.
    let ranks: [[Int]]
    /// This rank's node, an index of `ranks`, and its place there.
    let (node, place): (Int, Int)
    /// The same of every rank.
    let (nodes, places): ([Int], [Int])
    /// After so many chunks every node deals them in the same way again.
    let period: Int

    /// - Parameters:
    ///   - nodes: the node of every rank, any numbers.
    ///   - rank: this rank.
    init(nodes: [Int], rank: Int) {
        var order: [Int] = []
        for node in nodes where !order.contains(node) { order.append(node) }
        ranks = order.map { node in nodes.indices.filter { nodes[$0] == node } }
        var (numbers, places) = ([Int](repeating: 0, count: nodes.count), [Int](repeating: 0, count: nodes.count))
        for (number, members) in ranks.enumerated() {
            for (place, member) in members.enumerated() { (numbers[member], places[member]) = (number, place) }
        }
        (self.nodes, self.places) = (numbers, places)
        (node, place) = (numbers[rank], places[rank])
        period = ranks.reduce(1) { Self.leastCommonMultiple($0, $1.count) }
    }

    /// Nodes.
    var count: Int { ranks.count }

    /// Whether the sums over each node, added along a tree, are the sum over all ranks along a tree.
    var isTree: Bool {
        let perNode = ranks[0].count
        return perNode & (perNode - 1) == 0 && count & (count - 1) == 0
            && ranks.enumerated().allSatisfy { $1 == Array($0 * perNode..<($0 + 1) * perNode) }
    }

    /// The rank of `node` that has the chunks of `group`: those whose number is `group` modulo `period`.
    func rank(of node: Int, group: Int) -> Int { ranks[node][group % ranks[node].count] }

    /// The node that adds up a chunk.
    func adder(of chunk: Int) -> Int { chunk / period % count }

    /// The rank that adds up a chunk.
    func owner(of chunk: Int) -> Int { rank(of: adder(of: chunk), group: chunk % period) }

    /// The rank of `node` that exchanges rows with `rank` of another node.
    func partner(of rank: Int, on node: Int) -> Int { ranks[node][places[rank] % ranks[node].count] }

    /// The groups of this rank, ascending.
    var groups: StrideTo<Int> { stride(from: place, to: period, by: ranks[node].count) }

    private static func leastCommonMultiple(_ a: Int, _ b: Int) -> Int {
        var (x, y) = (a, b)
        while y != 0 { (x, y) = (y, x % y) }
        return a / x * b
    }
}
