// The laws of ensembles that are part of others, on threads; tutti-world checks them over MPI.

import Synchronization
import Testing
import TestSupport
import TuttiEnsemble
import TuttiGround

@Suite struct SplitTests {
    /// Colors of up to four ranks, even and uneven; a world of W takes the first W.
    static let patterns = [[0, 0, 0, 0], [0, 1, 1, 1], [5, 0, 5, 2], [3, 2, 1, 0], [1, 1, 1, 9]]

    /// What is wrong with `part` as the ensemble of the ranks whose color is that of this rank; nil = nothing.
    static func fault(of part: any Ensemble, in whole: any Ensemble, colors: [Int]) throws -> String? {
        let members = (0..<whole.size).filter { colors[$0] == colors[whole.rank] }
        var faults: [String] = []
        func require(_ holds: Bool, _ what: String) { if !holds { faults.append(what) } }
        require(part.size == members.count, "\(part.size) ranks of \(members.count)")
        require(members.indices.contains(part.rank) && members[part.rank] == whole.rank, "rank \(part.rank)")
        var sum = [Float](repeating: Float(1 << whole.rank), count: 1001)
        try sum.withUnsafeMutableBufferPointer { try part.allReduceSum($0) }
        require(sum == [Float](repeating: Float(members.reduce(0) { $0 + 1 << $1 }), count: 1001), "sum")
        var largest = [Double(whole.rank)]
        try largest.withUnsafeMutableBufferPointer { try part.allReduceMax($0) }
        require(largest == [Double(members.max() ?? -1)], "maximum \(largest)")
        let all = try part.gather(Array("rank \(whole.rank)".utf8)).map { String(decoding: $0, as: UTF8.self) }
        require(all == members.map { "rank \($0)" }, "gathered \(all)")
        let word = try part.broadcast("from \(whole.rank)", root: part.size - 1)
        require(word == "from \(members.last ?? -1)", "broadcast \(word)")
        var bucket = [Float](repeating: 1, count: 77)
        try bucket.withUnsafeMutableBufferPointer {
            try part.beginAllReduceSum($0)
            try part.finishAllReduces()
        }
        require(bucket.allSatisfy { $0 == Float(members.count) }, "bucket")
        var before = [Int](repeating: -1, count: 1)
        try [whole.rank].withUnsafeBytes { own in
            try before.withUnsafeMutableBytes { try part.rotate(own, into: $0) }
        }
        require(before[0] == members[(part.rank + members.count - 1) % members.count], "rotation \(before)")
        return faults.isEmpty ? nil : faults.joined(separator: ", ")
    }

    @Test func eachColorIsAnEnsembleOfItsOwn() throws {
        for colors in Self.patterns {
            try withEvery(world: 1...4) { ensemble in
                let part = try ensemble.split(color: colors[ensemble.rank])
                #expect(try Self.fault(of: part, in: ensemble, colors: colors) == nil, "colors \(colors)")
                // The whole still plays, and may be split again.
                #expect(try ensemble.agree(code: Int32(ensemble.rank)) == Int32(ensemble.size - 1))
                let same = try ensemble.split(color: 0)
                #expect(same.rank == ensemble.rank && same.size == ensemble.size)
            }
        }
    }

    /// The law is no empty one: where all ranks get the whole ensemble, or one of other colors, it objects.
    @Test func anotherEnsembleThanThatOfTheColorIsNoticed() throws {
        for colors in Self.patterns.dropFirst() {
            let faults = try LocalEnsemble.run(world: 4) { ensemble in
                [
                    try Self.fault(of: ensemble, in: ensemble, colors: colors),
                    try Self.fault(of: try ensemble.split(color: ensemble.rank / 2), in: ensemble, colors: colors),
                ]
            }
            #expect(faults.contains { $0[0] != nil } && faults.contains { $0[1] != nil })
        }
    }

    /// The ensembles of two colors know nothing of each other: any number of calls, in any order, of any kind.
    @Test func colorsDoNotWaitForEachOther() throws {
        let sums = try LocalEnsemble.run(world: 4) { ensemble in
            let color = ensemble.rank == 3 ? 1 : 0
            let part = try ensemble.split(color: color)
            var value = [Float(1)]
            for _ in 0..<(color == 0 ? 10 : 3) {
                try value.withUnsafeMutableBufferPointer { try part.allReduceSum($0) }
                if color == 1 { try part.barrier() }
            }
            return value[0]
        }
        #expect(sums == [59049, 59049, 59049, 1])
    }

    @Test func aPartCanBeSplitAgain() throws {
        let answers = try LocalEnsemble.run(world: 4) { ensemble in
            let half = try ensemble.split(color: ensemble.rank % 2)  // {0, 2}, {1, 3}
            let single = try half.split(color: half.rank)
            return try (half.gatherCounts(ensemble.rank), single.size)
        }
        #expect(answers.map(\.0) == [[0, 2], [1, 3], [0, 2], [1, 3]] && answers.allSatisfy { $0.1 == 1 })
    }

    /// Rows and columns: sums over the node and then across nodes are sums over all, where nodes are equally large.
    @Test func nodesSplitIntoRowsAndColumns() throws {
        for nodes in [[7, 7, 7, 7], [0, 0, 1, 1], [4, 2, 4, 2], [0, 1, 2, 3], [0, 0, 0, 1], [2, 1, 1, 1], [0]] {
            let places = nodes.indices.map { rank in nodes[..<rank].count { $0 == nodes[rank] } }
            _ = try LocalEnsemble.run(nodes: nodes) { ensemble in
                let split = try ensemble.splitByNode()
                let (rank, place) = (ensemble.rank, places[ensemble.rank])
                let own = try split.own.gatherCounts(rank)
                #expect(own == nodes.indices.filter { nodes[$0] == nodes[rank] } && split.own.rank == place)
                let across = try split.across.gatherCounts(rank)
                #expect(across == nodes.indices.filter { places[$0] == place })
                #expect(split.own.sharesNode == (own.count > 1))
                #expect(
                    !split.across.sharesNode && ensemble.sharesNode == (nodes.count > 1 && own.count == nodes.count))
                guard Set(Set(nodes).map { node in nodes.count { $0 == node } }).count == 1 else { return }
                var sum = [Float(1 << rank)]
                try sum.withUnsafeMutableBufferPointer {
                    try split.own.allReduceSum($0)
                    try split.across.allReduceSum($0)
                }
                #expect(sum == [Float(1 << ensemble.size - 1)])
            }
        }
    }

    // MARK: When something goes wrong

    private struct Oops: Error, CustomStringConvertible {
        var description: String { "no milk" }
    }

    /// A rank that fails ends the run for all, also for those who wait where it would never have come.
    @Test func aFailureReachesEveryPart() throws {
        let seen = Mutex<[Int: TuttiError]>([:])
        #expect(throws: Oops.self) {
            _ = try LocalEnsemble.run(world: 4) { ensemble in
                let part = try ensemble.split(color: ensemble.rank == 3 ? 1 : 0)
                if ensemble.rank == 3 { throw Oops() }
                do {
                    while true { try part.barrier() }
                } catch let error as TuttiError {
                    seen.withLock { $0[ensemble.rank] = error }
                    throw error
                }
            }
        }
        let errors = seen.withLock { $0 }
        #expect(errors.keys.sorted() == [0, 1, 2])
        for error in errors.values { #expect(error.rank == 3 && error.problem.contains("no milk")) }
    }

    /// A rank that returns is missed by its own part, under its number in the run, and by no other.
    @Test func aRankThatHasFinishedIsMissedByItsPartAlone() throws {
        let seen = Mutex<TuttiError?>(nil)
        let rounds = try LocalEnsemble.run(world: 4) { ensemble in
            let part = try ensemble.split(color: ensemble.rank / 2)  // {0, 1}, {2, 3}
            if ensemble.rank == 3 { return 0 }
            if ensemble.rank == 2 {
                do {
                    while true { try part.barrier() }
                } catch let error as TuttiError {
                    seen.withLock { $0 = error }
                }
                return 0
            }
            for _ in 0..<1000 { try part.barrier() }
            return 1000
        }
        #expect(rounds == [1000, 1000, 0, 0])
        let error = seen.withLock { $0 }
        #expect(error?.rank == 3 && error?.problem.contains("finished") == true)
    }

    @Test func ranksOfAPartThatCallDifferentThingsAreNamedByTheRun() throws {
        var found: TuttiError?
        do {
            _ = try LocalEnsemble.run(world: 4) { ensemble in
                let part = try ensemble.split(color: ensemble.rank / 2)
                if ensemble.rank == 3 { return try part.barrier() }
                _ = try part.agree(code: 1)
            }
        } catch { found = error as? TuttiError }
        #expect(found?.rank == 3 && found?.problem.contains("while rank 2 calls") == true)
    }
}
