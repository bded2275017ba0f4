// The heartbeat's rules with made-up clocks: who is lost, who is only late, and what is no fault at all.

import Foundation
import Testing
import TuttiEnsemble
import TuttiGround
import TuttiTraining

private func activity(
    _ phase: StaticString, step: Int = 0, calls: UInt64 = 0, waitsIn: StaticString? = nil
) -> RankActivity.Snapshot {
    var activity = RankActivity.Snapshot()
    (activity.step, activity.phase, activity.calls) = (step, ShortName(phase), calls)
    if let waitsIn { (activity.operation, activity.waitSeconds) = (ShortName(waitsIn), 0.5) }
    return activity
}

@Suite struct HeartbeatTests {
    private let hosts = ["node01", "node01", "node02", "node02"]

    /// A ledger in which every rank was heard at second 0.
    private func ledger(report: Double = 60) -> HeartbeatLedger {
        var ledger = HeartbeatLedger(limit: 10, report: report, hosts: hosts)
        for rank in 0..<4 { ledger.note(rank, activity("backward", step: 812), at: 0) }
        return ledger
    }

    @Test func aSilentRankIsNamedWithHostStepAndPhase() {
        var ledger = ledger()
        for second in 1...11 {
            for rank in [0, 1, 2] { ledger.note(rank, activity("exchange", step: 812), at: Double(second)) }
            if second <= 10 { #expect(ledger.loss(at: Double(second)) == nil, "second \(second)") }
        }
        #expect(
            ledger.loss(at: 11) == "rank 3 on node02 does not answer since 11 s: last seen in step 812, backward")
        ledger.note(3, activity("exchange", step: 812), at: 11.5)
        #expect(ledger.loss(at: 12) == nil)
    }

    @Test func aLostHostIsOneLine() {
        var ledger = ledger()
        ledger.note(2, activity("data", step: 813), at: 1)
        for rank in [0, 1] { ledger.note(rank, activity("exchange", step: 813), at: 10.5) }
        #expect(
            ledger.loss(at: 10.5)
                == "ranks 2, 3 on node02 do not answer since 11 s: last seen in step 813, data")
    }

    /// UDP may be blocked: a rank that was never heard is no lost rank, and that is said once.
    @Test func whoWasNeverHeardIsNoFault() {
        var ledger = HeartbeatLedger(limit: 10, report: 60, hosts: hosts)
        for second in 0...100 {
            for rank in [0, 1, 3] { ledger.note(rank, activity("preparing"), at: Double(second)) }
            #expect(ledger.loss(at: Double(second)) == nil)
            let line = ledger.unheard(at: Double(second))
            #expect((line != nil) == (second == 11))
            if let line { #expect(line.contains("rank 2 on node02 has arrived"), "\(line)") }
        }
    }

    @Test func aRankThatHasEndedMayBeSilent() {
        var ledger = ledger()
        ledger.note(1, activity("ended"), at: 1)
        ledger.note(2, activity("the end"), at: 1)
        for rank in [0, 3] { ledger.note(rank, activity("saving"), at: 60) }
        #expect(ledger.loss(at: 60) == nil)
        for rank in [0, 3] { ledger.note(rank, activity("saving"), at: 62) }
        #expect(ledger.loss(at: 62)?.hasPrefix("rank 2 on node02 does not answer") == true)
    }

    /// A suspension of the whole job, and a thread that was not scheduled, are no silence of others.
    @Test func timeInWhichNobodyListenedDoesNotCount() {
        var clock = ListeningClock()
        clock.tick(1000)
        for second in 1...5 { clock.tick(1000 + Double(second)) }
        #expect(clock.seconds == 5)
        clock.tick(90_000)
        #expect(clock.seconds == 6)
        clock.tick(89_000)  // never backwards
        #expect(clock.seconds == 6)
        clock.tick(89_000.5)
        #expect(clock.seconds == 6.5)
    }

    @Test func aLongWaitNamesTheRankThatIsLate() {
        var ledger = ledger()
        var lines: [(Int, String)] = []
        for second in 1...250 {
            ledger.note(0, activity("evaluation", step: 800, calls: 40), at: Double(second))
            for rank in 1...3 {
                ledger.note(
                    rank, activity("between steps", step: 800, calls: 41, waitsIn: "broadcast"), at: Double(second))
            }
            #expect(ledger.loss(at: Double(second)) == nil)
            if let line = ledger.stall(at: Double(second)) { lines.append((second, line)) }
        }
        #expect(lines.map(\.0) == [61, 121, 241])
        #expect(
            lines[0].1 == "3 ranks wait since 60 s in broadcast for rank 0 on node01, in step 800, evaluation")
        // It goes on: the next wait is reported after its own 60 seconds.
        for second in 251...320 {
            for rank in 0...3 {
                ledger.note(
                    rank, activity("forward", step: 801, calls: 42, waitsIn: "allGather"), at: Double(second))
            }
            let line = ledger.stall(at: Double(second))
            #expect((line != nil) == (second == 311), "\(line ?? "")")
        }
    }

    @Test func ranksThatMakeProgressAreNotReported() {
        var ledger = ledger(report: 5)
        for second in 1...50 {
            for rank in 0...3 {
                ledger.note(
                    rank, activity("exchange", step: second / 4, calls: UInt64(second / 4), waitsIn: "barrier"),
                    at: Double(second))
            }
            #expect(ledger.stall(at: Double(second)) == nil)
        }
        var never = self.ledger(report: 0)
        never.note(1, activity("exchange", step: 812, waitsIn: "barrier"), at: 1)
        #expect(never.stall(at: 1e6) == nil)
    }

    @Test func packetsOfStrangersAreRefused() {
        let key = BeatKey(first: 1, second: 2)
        var beat = Beat()
        (beat.rank, beat.number, beat.address) = (7, 99, 3)
        beat.activity = activity("backward", step: 812, calls: 5, waitsIn: "allReduceSum")
        var bytes = [UInt8](repeating: 0, count: Beat.size)
        bytes.withUnsafeMutableBytes { beat.write(to: $0, key: key) }
        func read(_ bytes: [UInt8], _ key: BeatKey) -> Beat? { bytes.withUnsafeBytes { Beat($0, key: key) } }
        #expect(read(bytes, key) == beat)
        #expect(read(bytes, BeatKey(first: 1, second: 3)) == nil)
        #expect(read(Array(bytes.dropLast()), key) == nil)
        #expect(read(bytes + [0], key) == nil)
        for place in 0..<24 {
            var spoilt = bytes
            spoilt[place] ^= 1
            #expect(read(spoilt, key) == nil, "byte \(place)")
        }
        var spoilt = bytes
        spoilt[28] = 9  // an unknown kind
        #expect(read(spoilt, key) == nil)
        for word in [88, 128] {  // seconds that are not finite
            spoilt = bytes
            spoilt.replaceSubrange(word..<word + 8, with: [0, 0, 0, 0, 0, 0, 0xF8, 0x7F])
            #expect(read(spoilt, key) == nil)
        }
    }

    @Test func theSettingIsChecked() throws {
        #expect(try Heartbeat.settings([:]).limit == 10)
        #expect(try Heartbeat.settings(["TUTTI_HEARTBEAT": "0"]).limit == 0)
        #expect(try Heartbeat.settings(["TUTTI_HEARTBEAT": "20", "TUTTI_WAIT_REPORT": "5"]).report == 5)
        for text in ["ten", "-1", "0.5", "nan"] {
            #expect(throws: TuttiError.self, "\(text)") { try Heartbeat.settings(["TUTTI_HEARTBEAT": text]) }
        }
    }

    @Test func anActivityIsSeenByOthers() {
        let watchdog = Watchdog(who: "rank 0", limit: 0, report: { _ in })
        let activity = RankActivity(watchdog)
        activity.begin(step: 3)
        activity.enter("backward")
        #expect(activity.now.step == 3 && activity.now.phase.description == "backward")
        #expect(activity.now.waitSeconds == 0 && activity.now.operation.description.isEmpty)
        watchdog.enter("allReduceSum")
        #expect(activity.now.operation.description == "allReduceSum" && activity.now.waitSeconds > 0)
        watchdog.leave()
        #expect(activity.now.waitSeconds == 0 && activity.now.calls == 1)
        var clock = PhaseClock(activity)
        clock.enter(.forward)
        #expect(activity.now.phase.description == "forward")
        #expect(ShortName("a name that has many more bytes than fit").description.count == 31)
    }
}
