// Shares of ranks, their batches, and the prefetcher's order, bound, errors and end.

import Foundation
import TestSupport
import Testing
import TuttiCorpus

@Suite struct ShardsAndPrefetchTests {
    @Test func sharesAreContiguousAndBalanced() {
        for count in 0..<40 {
            for world in 1...9 {
                let shares = (0..<world).map { Shard.rows(of: count, rank: $0, world: world) }
                #expect(shares.flatMap { Array($0) } == Array(0..<count))
                let sizes = shares.map(\.count)
                #expect((sizes.max() ?? 0) - (sizes.min() ?? 0) <= 1)
            }
        }
    }

    @Test func sharesByCostAreContiguousAndAsEvenAsRowsAllow() {
        var random = TinyRandom(5)
        for count in 0..<40 {
            let costs = (0..<count).map { _ in Int.random(in: 1...50, using: &random) }
            let total = costs.reduce(0, +)
            for world in 1...9 {
                let shares = (0..<world).map { Shard.rows(costing: costs, rank: $0, world: world) }
                #expect(shares.flatMap { Array($0) } == Array(0..<count))
                // A cut is off by half of a row at most.
                for share in shares {
                    let cost = costs[share].reduce(0, +)
                    #expect(abs(cost * world - total) <= (costs.max() ?? 0) * world)
                }
            }
        }
        #expect((0..<3).map { Shard.rows(costing: [1, 1, 100, 1, 1], rank: $0, world: 3) } == [0..<2, 2..<3, 3..<5])
        #expect((0..<2).map { Shard.rows(costing: [0, 0, 0], rank: $0, world: 2) }.last?.upperBound == 3)
    }

    @Test func aBatchIsDealtByBytesOfWhichLongTextsCountSoMany() throws {
        let texts = [String(repeating: "a", count: 4000), String(repeating: "b", count: 90)] + ["c", "d", "e", "f"]
        let table = try Table(columns: [("text", texts)])
        let rows = planEpoch(SequentialBatchSampler(), table, globalBatchSize: 6, epoch: 0, seed: 0, dropLast: false)
            .batch(0)
        func first(_ longestText: Int?) -> [Int32] {
            TextBatch(table: table, globalRows: rows, world: 2, longestText: longestText).rows
        }
        #expect(first(nil) == [0, 1, 2])
        #expect(first(5000) == [0])
        #expect(first(1) == [0, 1, 2])
        #expect(first(60) == [0])
        let second = TextBatch(table: table, globalRows: rows, rank: 1, world: 2, longestText: 5000)
        #expect(second.rows == [1, 2, 3, 4, 5] && second.slots == 1..<6)
    }

    @Test(arguments: 1...4)
    func ranksTogetherHaveTheGlobalBatch(world: Int) throws {
        let table = try Table(
            columns: [("a", (0..<23).map { "a\($0)" }), ("b", (0..<23).map { "b\($0)" })],
            labels: (0..<23).map { .integer($0) })
        let plan = planEpoch(DefaultBatchSampler(), table, globalBatchSize: 7, epoch: 0, seed: 3, dropLast: false)
        #expect(plan.batchCount == 4)
        for index in 0..<plan.batchCount {
            let whole = TextBatch(table: table, globalRows: plan.batch(index))
            #expect(whole.slots == 0..<plan.batch(index).count && whole.globalCount == whole.rows.count)
            #expect(whole.columns[1] == plan.batch(index).map { "b\($0)" })
            #expect(whole.labels == plan.batch(index).map { .integer(Int($0)) })
            let parts = (0..<world).map {
                TextBatch(table: table, globalRows: plan.batch(index), rank: $0, world: world)
            }
            #expect(parts.flatMap(\.rows) == whole.rows)
            #expect(parts.flatMap { Array($0.slots) } == Array(whole.slots))
            #expect(parts.flatMap { $0.columns[0] } == whole.columns[0])
            #expect(parts.flatMap(\.labels) == whole.labels)
            #expect(parts.allSatisfy { $0.globalCount == whole.globalCount })
        }
    }

    private struct Broken: Error {}

    /// A number that threads may change.
    private final class Counter: @unchecked Sendable {
        private let lock = NSLock()
        private var number = 0
        func increase() { lock.withLock { number += 1 } }
        var value: Int { lock.withLock { number } }
    }

    @Test func elementsComeInOrder() throws {
        let prefetcher = Prefetcher<Int> { $0 < 2000 ? $0 * $0 : nil }
        var found: [Int] = []
        while let element = try prefetcher.next() { found.append(element) }
        #expect(found == (0..<2000).map { $0 * $0 })
        #expect(try prefetcher.next() == nil)
    }

    @Test func errorsComeInTheirPlace() throws {
        let prefetcher = Prefetcher<Int>(depth: 5) { index in
            if index == 3 { throw Broken() }
            return index
        }
        for expected in 0..<3 { #expect(try prefetcher.next() == expected) }
        #expect(throws: Broken.self) { try prefetcher.next() }
        #expect(throws: Broken.self) { try prefetcher.next() }
    }

    @Test func noMoreThanTheDepthIsMadeAhead() throws {
        let made = Counter()
        let prefetcher = Prefetcher<Int>(depth: 2) { index in
            made.increase()
            return index
        }
        #expect(try prefetcher.next() == 0)
        Thread.sleep(forTimeInterval: 0.1)
        #expect(made.value == 3)
    }

    @Test func cancellingEndsTheThread() throws {
        let made = Counter()
        var prefetcher: Prefetcher<Int>? = Prefetcher { index in
            made.increase()
            return index
        }
        #expect(try prefetcher?.next() == 0)
        prefetcher?.cancel()
        #expect(try prefetcher?.next() == nil)
        prefetcher = nil
        Thread.sleep(forTimeInterval: 0.05)
        let after = made.value
        Thread.sleep(forTimeInterval: 0.05)
        #expect(made.value == after && after <= 4)
    }

    @Test func goingAwayReleasesTheProducer() {
        final class Token: Sendable {}
        weak var watched: Token?
        do {
            let token = Token()
            watched = token
            let prefetcher = Prefetcher<Int> { [token] index in withExtendedLifetime(token) { index } }
            _ = try? prefetcher.next()
        }
        for _ in 0..<200 where watched != nil { Thread.sleep(forTimeInterval: 0.01) }
        #expect(watched == nil)
    }
}
