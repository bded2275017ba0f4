// Rows dealt to parts, such as train, dev and test, so that rows which share a text stay together: a text of one part
// is never seen in another.
//
// Groups are dealt largest first, those of one size in random order, each to the part that lacks most rows. The
// result is a function of rows, shares and seed.

import TuttiGround

/// The rows of each part of a table.
package struct GroupedSplit: Sendable {
    /// Row numbers of each part, ascending.
    package let parts: [[Int]]
    /// How many groups there are.
    package let groupCount: Int

    /// Deals the rows of `table` to `shares.count` parts.
    ///
    /// - Parameters:
    ///   - shares: how much of all rows each part is to have; they add up to 1.
    ///   - columns: text columns; rows with the same text in any of them are one group. Empty: each row is a group.
    ///   - seed: another seed deals otherwise.
    package init(_ table: Table, shares: [Double], columns: [Int], seed: UInt64) {
        precondition(!shares.isEmpty && shares.allSatisfy { $0 >= 0 }, "GroupedSplit: shares \(shares)")
        var sets = DisjointSets(count: table.rowCount)
        for column in columns {
            var first: [String: Int] = [:]
            for row in 0..<table.rowCount {
                let text = table.text(row: row, column: column)
                if let other = first[text] { sets.join(row, other) } else { first[text] = row }
            }
        }
        var groups: [Int: [Int]] = [:]
        for row in 0..<table.rowCount { groups[sets.root(of: row), default: []].append(row) }
        var order = groups.keys.sorted()
        var random = CounterRandom(seed: seed, epoch: 0, purpose: Self.purpose)
        order.shuffle(using: &random)
        let ranks = Dictionary(uniqueKeysWithValues: order.enumerated().map { ($1, $0) })
        func size(_ root: Int) -> Int { groups[root]?.count ?? 0 }
        order.sort { (size($1), ranks[$0] ?? 0) < (size($0), ranks[$1] ?? 0) }
        var parts = [[Int]](repeating: [], count: shares.count)
        let wanted = shares.map { $0 > 0 ? max(1, $0 * Double(table.rowCount)) : 0 }
        for root in order {
            let lacking = shares.indices.map { wanted[$0] - Double(parts[$0].count) }
            let part = lacking.indices.max { lacking[$0] < lacking[$1] } ?? 0
            parts[part] += groups[root] ?? []
        }
        self.parts = parts.map { $0.sorted() }
        groupCount = groups.count
    }

    /// The stream of random numbers: that of no other draw.
    private static let purpose: UInt32 = 0x73_70_6C_74
}

/// Sets of numbers that are joined (union-find, with path halving).
private struct DisjointSets {
    private var parents: [Int]

    init(count: Int) { parents = Array(0..<count) }

    mutating func root(of number: Int) -> Int {
        var number = number
        while parents[number] != number {
            parents[number] = parents[parents[number]]
            number = parents[number]
        }
        return number
    }

    mutating func join(_ a: Int, _ b: Int) {
        let (a, b) = (root(of: a), root(of: b))
        parents[max(a, b)] = min(a, b)
    }
}
