// Laws of sub-ensembles: each color works independently, and nodes split into rows and columns.

import TuttiEnsemble

let splitLaws: [Law] = [
    Law(name: "split: each color is its own ensemble, including uneven ones and single ranks") {
        ensemble, findings in
        for (name, color) in colorings {
            let colors = (0..<ensemble.size).map { color($0, ensemble.size) }
            let part = try ensemble.split(color: colors[ensemble.rank])
            try compare(part, with: ensemble, colors: colors, findings, "\(name): ")
            try ensemble.barrier()  // the whole still works
        }
    },
    .control("an ensemble of other ranks than those of the color") { ensemble, findings in
        let colors = (0..<ensemble.size).map { $0 % 2 }
        let wrong = try ensemble.split(color: ensemble.rank == 0 ? 1 : ensemble.rank % 2)
        try compare(wrong, with: ensemble, colors: colors, findings, "")
    },
    Law(name: "split: colors do not wait for each other") { ensemble, findings in
        let part = try ensemble.split(color: ensemble.rank % 2)
        let rounds = ensemble.rank % 2 == 0 ? 50 : 7
        var value = [Double(1)]
        for _ in 0..<rounds {
            value[0] = 1
            try value.withUnsafeMutableBufferPointer { try part.allReduceSum($0) }
        }
        findings.require(value[0] == Double(part.size), "the sum of \(part.size) ranks is \(value[0])")
    },
    Law(name: "split: many parts, and parts of parts, keep working") { ensemble, findings in
        var parts: [any Ensemble] = []
        for round in 0..<20 {
            let part = try ensemble.split(color: (ensemble.rank + round) % 2)
            parts.append(try part.split(color: part.rank / 2))
        }
        for part in parts {
            let counted = try part.gatherCounts(1).count
            findings.require(counted == part.size && part.size <= 2, "\(counted) ranks of \(part.size)")
        }
    },
    Law(name: "split by node: rows and columns cover every rank once, and their sums are sums over all") {
        ensemble, findings in
        let split = try ensemble.splitByNode()
        let nodes = try ensemble.gatherCounts(ensemble.node)
        let own = try split.own.gatherCounts(ensemble.rank)
        findings.require(own == nodes.indices.filter { nodes[$0] == ensemble.node }, "ranks of the node: \(own)")
        let places = try ensemble.gatherCounts(split.own.rank)
        let across = try split.across.gatherCounts(ensemble.rank)
        findings.require(across == places.indices.filter { places[$0] == split.own.rank }, "ranks across: \(across)")
        // The sum of each node on its first rank, added up across nodes, is the sum over all.
        var sum = [weight(ensemble.rank)]
        try sum.withUnsafeMutableBufferPointer {
            try split.own.allReduceSum($0)
            if split.own.isRoot { try split.across.allReduceSum($0) }
        }
        let wanted = (0..<ensemble.size).reduce(Float(0)) { $0 + weight($1) }
        findings.require(!split.own.isRoot || sum[0] == wanted, "the sum over nodes is \(sum[0]), not \(wanted)")
    },
]

/// A number of a rank: its neighbors have others, and sums over 64 ranks are exact.
private func weight(_ rank: Int) -> Float { Float(1 << (rank % 16)) }

/// Ways to color ranks.
private let colorings: [(name: String, color: @Sendable (_ rank: Int, _ size: Int) -> Int)] = [
    ("one color", { _, _ in 4 }), ("a color each", { rank, size in size - rank }),
    ("odd and even", { rank, _ in rank % 2 }), ("the first alone", { rank, _ in rank == 0 ? 9 : 3 }),
    ("the last alone", { rank, size in rank == size - 1 ? 0 : 1 }),
]

/// Finds what is wrong with `part` as the ensemble of the ranks with this rank's color.
private func compare(
    _ part: any Ensemble, with whole: any Ensemble, colors: [Int], _ findings: Findings, _ name: String
) throws {
    let members = colors.indices.filter { colors[$0] == colors[whole.rank] }
    let place = members.prefix { $0 < whole.rank }.count
    findings.require(part.size == members.count && part.rank == place, "\(name)rank \(part.rank) of \(part.size)")
    for count in [1, 1000, 100_003] {
        var sum = [Float](repeating: weight(whole.rank), count: count)
        try sum.withUnsafeMutableBufferPointer { try part.allReduceSum($0) }
        let wanted = members.reduce(Float(0)) { $0 + weight($1) }
        findings.require(sum.allSatisfy { $0 == wanted }, "\(name)sum \(sum[0]), not \(wanted)")
    }
    var bucket = [Float](repeating: 2, count: 3000)
    try bucket.withUnsafeMutableBufferPointer {
        try part.beginAllReduceSum($0)
        try part.finishAllReduces()
    }
    findings.require(bucket.allSatisfy { $0 == Float(2 * members.count) }, "\(name)bucket \(bucket[0])")
    let gathered = try part.gatherCounts(whole.rank)
    findings.require(gathered == members, "\(name)ranks \(gathered), not \(members)")
    let word = try part.broadcast("\(whole.rank)", root: part.size - 1)
    findings.require(word == "\(members.last ?? -1)", "\(name)broadcast of rank \(word)")
    let lengths = (0..<part.size).map { $0 % 3 }  // some slices are empty
    var own = [Float](repeating: -1, count: 2)
    let send = [Float](repeating: Float(whole.rank + 1), count: lengths.reduce(0, +))
    try send.withUnsafeBufferPointer { send in
        try lengths.withUnsafeBufferPointer { lengths in
            try own.withUnsafeMutableBufferPointer { try part.reduceScatterSum(send, counts: lengths, into: $0) }
        }
    }
    let total = Float(members.reduce(0) { $0 + $1 + 1 })
    findings.require(own[..<lengths[part.rank]].allSatisfy { $0 == total }, "\(name)reduce-scatter \(own)")
    var before = -1
    try withUnsafeBytes(of: whole.rank) { own in
        try withUnsafeMutableBytes(of: &before) { try part.rotate(own, into: $0) }
    }
    let wanted = members[(place + members.count - 1) % members.count]
    findings.require(before == wanted, "\(name)got the number of rank \(before), not \(wanted)")
}
