// Gathers of rows in two levels: as those of the whole ensemble, and no row crosses a link twice.

import Synchronization
import TestSupport
import Testing
import TuttiEncoders
import TuttiEnsemble
import TuttiTraining

@Suite struct RowGatherTests {
    /// The node of each rank.
    static let layouts = [
        [0, 0], [0, 0, 0], [0, 1], [0, 0, 1, 1], [0, 0, 0, 1], [1, 0, 0, 0], [0, 1, 2], [0, 0, 1, 1, 1, 2],
        [4, 2, 4, 2], [0, 1, 2, 3],
    ]

    /// Floats of each rank: equal, rising, none on some, all on one, little enough for the way of the whole ensemble.
    private static func deals(_ ranks: Int) -> [[Int]] {
        [
            (0..<ranks).map { _ in 5000 }, (0..<ranks).map { 31 + 777 * $0 },
            (0..<ranks).map { $0 % 2 == 0 ? 0 : 300_001 }, (0..<ranks).map { $0 == ranks - 1 ? 700_000 : 0 },
            (0..<ranks).map { $0 == 0 ? 270_000 : 1 }, (0..<ranks).map { _ in 3 }, (0..<ranks).map { _ in 0 },
        ]
    }

    /// A rank's summand for one float of all.
    private static func summand(_ rank: Int, _ place: Int) -> Float {
        Float((place &* 7919 &+ rank &* 104_729) % 1009) / 1009 - 0.5
    }

    /// What the ranks have after a gather and its adjoint.
    private struct Rows: Equatable {
        var gathered: [Float]
        var own: [Float]
    }

    /// Several gathers and adjoints one after the other, without anything between them.
    private static func exchange(_ ranks: any Ensemble, _ deals: [[Int]]) throws -> [Rows] {
        try deals.map { deal in
            let (start, total) = (deal[..<ranks.rank].reduce(0, +), deal.reduce(0, +))
            let own = (0..<deal[ranks.rank]).map { Float(start + $0) }
            var rows = Rows(
                gathered: [Float](repeating: -1, count: total), own: [Float](repeating: -1, count: own.count))
            let (bytes, send) = (deal.map { $0 * 4 }, (0..<total).map { summand(ranks.rank, $0) })
            try bytes.withUnsafeBufferPointer { counts in
                try own.withUnsafeBytes { own in
                    try rows.gathered.withUnsafeMutableBytes { try ranks.allGather(own, counts: counts, into: $0) }
                }
            }
            try deal.withUnsafeBufferPointer { counts in
                try send.withUnsafeBufferPointer { send in
                    try rows.own.withUnsafeMutableBufferPointer {
                        try ranks.reduceScatterSum(send, counts: counts, into: $0)
                    }
                }
            }
            return rows
        }
    }

    /// The ranks of a run on these nodes, for its losses.
    private static func twoLevels(_ ensemble: any Ensemble) throws -> any Exchange {
        var layout = ParameterLayout()
        layout.append(TensorSpecification("weight", [10, 10]))
        return try ExchangeChoice.auto.make(
            ParameterStore(layout: layout), stateCount: 0, wire: .fp32, among: ensemble
        ).exchange
    }

    @Test(arguments: layouts)
    func rowsAndSumsAreThoseOfTheWholeEnsemble(_ nodes: [Int]) throws {
        let deals = Self.deals(nodes.count)
        let plain = try LocalEnsemble.run(nodes: nodes) { try Self.exchange($0, deals) }
        for talking in [Talking.never, .always] {
            let all = try LocalEnsemble.run(nodes: nodes, talking: talking) { ensemble in
                let exchange = try Self.twoLevels(ensemble)
                return try withExtendedLifetime(exchange) { try Self.exchange(exchange.ranks, deals) }
            }
            for (rank, rows) in all.enumerated() {
                for (number, deal) in deals.enumerated() {
                    let (mine, wanted) = (rows[number], plain[rank][number])
                    #expect(mine.gathered == wanted.gathered, "deal \(number)")
                    let start = deal[..<rank].reduce(0, +)
                    let largest = zip(mine.own.indices, mine.own).reduce(0.0) { largest, own in
                        let exact = nodes.indices.reduce(0.0) { $0 + Double(Self.summand($1, start + own.0)) }
                        return max(largest, abs(Double(own.1) - exact))
                    }
                    #expect(largest <= 3e-7 * Double(nodes.count), "deal \(number): \(largest)")
                    // One node, or one rank a node, adds in the order of ranks as threads do.
                    if Set(nodes).count == 1 || Set(nodes).count == nodes.count { #expect(mine.own == wanted.own) }
                }
            }
        }
    }

    /// The control: a summand that is left out is noticed.
    @Test func aMissingSummandIsNoticed() throws {
        let all = try LocalEnsemble.run(nodes: [0, 0, 1]) { ensemble in
            let exchange = try Self.twoLevels(ensemble)
            return try withExtendedLifetime(exchange) { try Self.exchange(exchange.ranks, [[900, 900, 900]])[0].own }
        }
        let without = (0..<900).map { place in (0..<2).reduce(0.0) { $0 + Double(Self.summand($1, place)) } }
        #expect(zip(all[0], without).contains { abs(Double($0) - $1) > 0.1 })
    }

    /// Each node receives the rows of the others once, and of gradients what the others have for its rows.
    @Test(arguments: layouts)
    func aRowCrossesALinkOnceANode(_ nodes: [Int]) throws {
        for deal in Self.deals(nodes.count) where deal.reduce(0, +) * 4 >= 1024 {
            let counted = try LocalEnsemble.run(nodes: nodes) { ensemble in
                let counting = CountingEnsemble(ensemble)
                let exchange = try Self.twoLevels(counting)
                counting.received.store(0, ordering: .relaxed)
                _ = try withExtendedLifetime(exchange) { try Self.exchange(exchange.ranks, [deal]) }
                return counting.received.load(ordering: .relaxed)
            }
            let total = 4 * deal.reduce(0, +)
            let others = Set(nodes).count - 1
            for node in Set(nodes) {
                let ranks = nodes.indices.filter { nodes[$0] == node }
                let own = ranks.reduce(0) { $0 + 4 * deal[$1] }
                let received = ranks.reduce(0) { $0 + counted[$1] }
                #expect(received == (total - own) + others * own, "node \(node) of \(nodes), deal \(deal)")
            }
        }
    }
}

/// Counts the bytes that a rank's conversations receive.
private final class CountingEnsemble: MessagePassing, @unchecked Sendable {
    let received = Atomic<Int>(0)
    private let inner: any MessagePassing

    init(_ inner: any Ensemble) {
        guard let inner = inner as? any MessagePassing else { preconditionFailure("an ensemble without messages") }
        self.inner = inner
    }

    var rank: Int { inner.rank }
    var size: Int { inner.size }
    var sharesNode: Bool { inner.sharesNode }
    var node: Int { inner.node }
    var talking: Talking { inner.talking }
    func split(color: Int) throws -> any Ensemble { try inner.split(color: color) }
    func barrier() throws { try inner.barrier() }
    func broadcast(_ bytes: UnsafeMutableRawBufferPointer, root: Int) throws { try inner.broadcast(bytes, root: root) }
    func allReduceSum(_ values: UnsafeMutableBufferPointer<Float>) throws { try inner.allReduceSum(values) }
    func allReduceSum(_ values: UnsafeMutableBufferPointer<Double>) throws { try inner.allReduceSum(values) }
    func allReduceMax(_ values: UnsafeMutableBufferPointer<Double>) throws { try inner.allReduceMax(values) }
    func allGather(
        _ own: UnsafeRawBufferPointer, counts: UnsafeBufferPointer<Int>, into: UnsafeMutableRawBufferPointer
    ) throws { try inner.allGather(own, counts: counts, into: into) }
    func reduceScatterSum(
        _ send: UnsafeBufferPointer<Float>, counts: UnsafeBufferPointer<Int>, into: UnsafeMutableBufferPointer<Float>
    ) throws { try inner.reduceScatterSum(send, counts: counts, into: into) }
    func rotate(_ own: UnsafeRawBufferPointer, into: UnsafeMutableRawBufferPointer) throws {
        try inner.rotate(own, into: into)
    }
    func beginAllReduceSum(_ values: UnsafeMutableBufferPointer<Float>) throws { try inner.beginAllReduceSum(values) }
    func finishAllReduces() throws { try inner.finishAllReduces() }
    func abort(code: Int32, message: String) -> Never { inner.abort(code: code, message: message) }
    func begin(_ conversation: any Conversation) throws { try inner.begin(Counted(conversation, self)) }

    private final class Counted: Conversation, @unchecked Sendable {
        private let inner: any Conversation
        private let owner: CountingEnsemble
        init(_ inner: any Conversation, _ owner: CountingEnsemble) { (self.inner, self.owner) = (inner, owner) }
        var slots: Int { inner.slots }
        func run(_ mailbox: any Mailbox) throws { try inner.run(CountingMailbox(mailbox, owner)) }
    }

    private final class CountingMailbox: Mailbox {
        private let inner: any Mailbox
        private let owner: CountingEnsemble
        init(_ inner: any Mailbox, _ owner: CountingEnsemble) { (self.inner, self.owner) = (inner, owner) }
        func send(_ bytes: UnsafeRawBufferPointer, to rank: Int, tag: Int, slot: Int) throws {
            try inner.send(bytes, to: rank, tag: tag, slot: slot)
        }
        func receive(_ bytes: UnsafeMutableRawBufferPointer, from rank: Int, tag: Int, slot: Int) throws {
            owner.received.wrappingAdd(bytes.count, ordering: .relaxed)
            try inner.receive(bytes, from: rank, tag: tag, slot: slot)
        }
        func completed(waits: Bool, _ body: (UnsafeBufferPointer<Int32>) throws -> Void) throws {
            try inner.completed(waits: waits, body)
        }
        func pause() { inner.pause() }
    }
}
