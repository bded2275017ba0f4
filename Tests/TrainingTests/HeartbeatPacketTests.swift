// The heartbeat over real packets on the loopback, with both sides in one process.

import Foundation
import Synchronization
import Testing
import TuttiEnsemble
import TuttiNet
import TuttiTraining

/// Both sides of a job of two ranks, whose time is the test's: a turn of each is a tenth of a second.
private final class TwoRanks {
    let activities = [RankActivity(), RankActivity()]
    let collector: BeatCollector
    let sender: BeatSender
    let port: UInt16
    private var now = 0.0

    init(limit: Double = 10, addresses: [String] = ["127.0.0.1"], senderKey: BeatKey? = nil) throws {
        let (root, other) = (try DatagramSocket(onlyThisHost: true), try DatagramSocket(onlyThisHost: true))
        var plan = HeartbeatPlan()
        (plan.limit, plan.port, plan.addresses) = (limit, root.port, addresses)
        plan.key = BeatKey(first: 1, second: 2)
        port = root.port
        let (said, ended) = (Box(), Box())
        (self.said, self.ended) = (said, ended)
        let alarm = HeartbeatAlarm(say: { said.add($0) }, end: { ended.add($0) })
        collector = BeatCollector(
            plan, hosts: ["node01", "node02"], socket: root, activity: activities[0], alarm: alarm)
        if let senderKey { plan.key = senderKey }
        sender = BeatSender(
            plan, rank: 1, hosts: ["node01", "node02"], socket: other, activity: activities[1], alarm: alarm)
    }

    final class Box: Sendable {
        private let lines = Mutex<[String]>([])
        func add(_ line: String) { lines.withLock { $0.append(line) } }
        var all: [String] { lines.withLock { $0 } }
    }

    let said: Box
    let ended: Box

    /// Lets both, or one of them, run for `seconds` of their time.
    func run(_ seconds: Double, collector runsCollector: Bool = true, sender runsSender: Bool = true) {
        for _ in 0..<Int((seconds * 10).rounded()) {
            now += 0.1
            if runsSender, !sender.turn(now: now) { return }
            usleep(200)  // packets on the loopback are there at once, or nearly
            if runsCollector, !collector.turn(now: now) { return }
        }
    }

    /// Time passes for nobody.
    func suspend(_ seconds: Double) { now += seconds }
}

@Suite struct HeartbeatPacketTests {
    @Test func nothingIsSaidWhileBothAnswer() throws {
        let ranks = try TwoRanks()
        ranks.run(60)
        ranks.suspend(3600)
        ranks.run(30)
        #expect(ranks.said.all.isEmpty && ranks.ended.all.isEmpty)
    }

    @Test func rankZeroNamesARankThatStops() throws {
        let ranks = try TwoRanks()
        ranks.activities[1].begin(step: 812)
        ranks.activities[1].enter("backward")
        ranks.run(5)
        ranks.run(9, sender: false)
        #expect(ranks.ended.all.isEmpty)
        ranks.run(6, sender: false)
        #expect(ranks.ended.all.count == 1)
        let line = try #require(ranks.ended.all.first)
        #expect(line.hasPrefix("rank 1 on node02 does not answer since 1") && line.hasSuffix("step 812, backward"))
    }

    @Test func theOthersNameRankZero() throws {
        let ranks = try TwoRanks()
        ranks.run(5)
        ranks.run(9, collector: false)
        #expect(ranks.ended.all.isEmpty)
        ranks.run(6, collector: false)
        #expect(ranks.ended.all.first?.hasPrefix("rank 0 on node01 does not answer since 1") == true)
    }

    @Test func aShortStopIsNoFault() throws {
        let ranks = try TwoRanks()
        for _ in 0..<5 {
            ranks.run(5)
            ranks.run(4, sender: false)
            ranks.run(5)
            ranks.run(4, collector: false)
        }
        #expect(ranks.said.all.isEmpty && ranks.ended.all.isEmpty)
    }

    /// With the wrong key nobody hears anybody: that is said by both, and ends nothing.
    @Test func strangersAreIgnored() throws {
        let ranks = try TwoRanks(senderKey: BeatKey(first: 1, second: 3))
        ranks.run(60)
        #expect(ranks.ended.all.isEmpty)
        #expect(ranks.said.all.count == 2)
        #expect(ranks.said.all.contains { $0.contains("rank 1 on node02 has arrived") })
        #expect(ranks.said.all.contains { $0.contains("hears no echo") })
    }

    @Test func garbageHarmsNobody() throws {
        let ranks = try TwoRanks()
        let stranger = try DatagramSocket(onlyThisHost: true)
        let address = try #require(NetworkAddress("127.0.0.1", port: ranks.port))
        for length in [0, 1, 143, 144, 145, 2000] {
            let bytes = (0..<length).map { _ in UInt8.random(in: 0...255) }
            bytes.withUnsafeBytes { _ = stranger.send($0, to: address) }
            ranks.run(1)
        }
        ranks.run(20)
        #expect(ranks.said.all.isEmpty && ranks.ended.all.isEmpty)
    }

    /// Rank zero's host has addresses that lead elsewhere; the one that is answered is found.
    @Test func theAddressThatLeadsThereIsFound() throws {
        let ranks = try TwoRanks(addresses: ["127.0.0.9", "::1", "127.0.0.1"])
        ranks.run(30)
        #expect(ranks.said.all.isEmpty && ranks.ended.all.isEmpty)
    }

    @Test func aGoodbyeEndsTheWatch() throws {
        let ranks = try TwoRanks()
        ranks.run(5)
        ranks.sender.last()
        ranks.run(100, sender: false)
        #expect(ranks.ended.all.isEmpty)
    }
}
