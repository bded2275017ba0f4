// The two threads of the heartbeat: rank zero collects and answers beats, every other rank sends them.
//
// Both sleep nearly always, wait neither for MPI nor for the main thread, and allocate nothing until something is wrong.

import Synchronization
import TuttiEnsemble
import TuttiNet

/// What a job's ranks agree on.
package struct HeartbeatPlan: Sendable, Codable {
    /// Where rank zero listens.
    package var addresses: [String] = []
    package var port: UInt16 = 0
    /// What its packets carry.
    package var key = BeatKey(first: 0, second: 0)
    /// Seconds of silence after which a rank is lost; 0 = there is no heartbeat.
    package var limit = 10.0
    /// Seconds of waiting after which the late rank is named.
    package var report = 60.0
    /// Why there is none, if not asked for.
    var obstacle = ""

    package init() {}

    /// Seconds between two beats.
    var interval: Double { min(1, limit / 5) }
    /// Seconds between two looks at the socket of `ranks` ranks: the system keeps a few hundred packets in between.
    func tick(ranks: Int) -> Double { min(0.2, interval / 4, 40 / Double(ranks)) }
    /// A clock that takes a longer pause for a suspension.
    var clock: ListeningClock { ListeningClock(longestGap: min(1, limit / 4)) }
}

/// What happens when something is wrong; called from the heartbeat's thread.
package struct HeartbeatAlarm: Sendable {
    /// Says something worth a line.
    var say: @Sendable (String) -> Void
    /// Ranks are lost: ends the job.
    var end: @Sendable (String) -> Void

    package init(say: @escaping @Sendable (String) -> Void, end: @escaping @Sendable (String) -> Void) {
        (self.say, self.end) = (say, end)
    }
}

/// Runs `turn` every few moments on a thread of its own, until it is stopped or `turn` returns false.
final class HeartbeatThread: Sendable {
    private let stopped = Mutex(false)
    private let lock = SleepLock()
    private let thread = Mutex(RankThread?.none)

    /// Starts the thread; without one (the system has none left) nothing is watched.
    func start(every seconds: Double, _ turn: @escaping @Sendable () -> Bool, last: @escaping @Sendable () -> Void) {
        let period = UInt64(seconds * 1e9)
        thread.withLock {
            $0 = RankThread(stackBytes: 512 << 10) { [self] in
                while !stopped.withLock({ $0 }) {
                    if !turn() { return }
                    lock.locked {
                        if !stopped.withLock({ $0 }) { _ = lock.wait(until: monotonicNanoseconds() + period) }
                    }
                }
                last()
            }
        }
    }

    /// Ends the thread and waits for it; a second call does nothing.
    func stop() {
        lock.locked {
            stopped.withLock { $0 = true }
            lock.wakeAll()
        }
        let ended = thread.withLock { thread in
            defer { thread = nil }
            return thread
        }
        ended?.join()
    }
}

/// Rank zero's side. Used by its thread alone once it runs.
package final class BeatCollector: @unchecked Sendable {
    private let plan: HeartbeatPlan
    private let socket: DatagramSocket
    private let activity: RankActivity
    private let alarm: HeartbeatAlarm
    private var clock: ListeningClock
    private var ledger: HeartbeatLedger
    private var lookAt = 0.0
    private let packet = UnsafeMutableRawBufferPointer.allocate(byteCount: Beat.size, alignment: 8)

    package init(
        _ plan: HeartbeatPlan, hosts: [String], socket: DatagramSocket, activity: RankActivity, alarm: HeartbeatAlarm
    ) {
        (self.plan, self.socket, self.activity, self.alarm) = (plan, socket, activity, alarm)
        clock = plan.clock
        ledger = HeartbeatLedger(limit: plan.limit, report: plan.report, hosts: hosts)
    }

    deinit { packet.deallocate() }

    /// Answers what has come and judges what has not; false once ranks are lost.
    package func turn(now: Double) -> Bool {
        clock.tick(now)
        // What strangers may send is bounded: a flood of theirs must not keep this thread.
        for _ in 0..<(4 * ledger.hosts.count + 64) {
            guard let count = socket.receive(into: packet) else { break }
            guard count == Beat.size, var beat = Beat(UnsafeRawBufferPointer(packet), key: plan.key),
                beat.kind == .beat, beat.rank > 0
            else { continue }
            ledger.note(beat.rank, beat.activity, at: clock.seconds)
            beat.kind = .echo
            beat.write(to: packet, key: plan.key)
            socket.answer(UnsafeRawBufferPointer(packet))
        }
        guard clock.seconds >= lookAt else { return true }
        lookAt = clock.seconds + plan.interval / 2
        ledger.note(0, activity.now, at: clock.seconds)
        if let loss = ledger.loss(at: clock.seconds) {
            alarm.end(loss)
            return false
        }
        if let line = ledger.unheard(at: clock.seconds) { alarm.say(line) }
        if let line = ledger.stall(at: clock.seconds) { alarm.say(line) }
        return true
    }
}

/// The side of every other rank. Used by its thread alone once it runs.
package final class BeatSender: @unchecked Sendable {
    private let plan: HeartbeatPlan
    private let rank: Int
    private let hosts: [String]
    private let socket: DatagramSocket
    private let addresses: [NetworkAddress]
    private let activity: RankActivity
    private let alarm: HeartbeatAlarm
    private var clock: ListeningClock
    private var silence = PeerSilence()
    private var sendAt = 0.0
    private var number: UInt64 = 0
    private var saidUnheard = false
    /// The address that the last echo came through.
    private var proven = 0
    private let packet = UnsafeMutableRawBufferPointer.allocate(byteCount: Beat.size, alignment: 8)

    package init(
        _ plan: HeartbeatPlan, rank: Int, hosts: [String], socket: DatagramSocket, activity: RankActivity,
        alarm: HeartbeatAlarm
    ) {
        (self.plan, self.rank, self.hosts, self.socket) = (plan, rank, hosts, socket)
        (self.activity, self.alarm) = (activity, alarm)
        addresses = plan.addresses.compactMap { NetworkAddress($0, port: plan.port) }
        clock = plan.clock
    }

    deinit { packet.deallocate() }

    /// Ranks do not notice all at once that rank zero is lost: the first to speak ends the job.
    private var limit: Double { plan.limit + plan.limit / 40 * Double(min(rank - 1, 8)) }

    /// Sends a beat if it is time, hears echoes; false once rank zero is lost.
    package func turn(now: Double) -> Bool {
        clock.tick(now)
        for _ in 0..<64 {
            guard let count = socket.receive(into: packet) else { break }
            guard count == Beat.size, let echo = Beat(UnsafeRawBufferPointer(packet), key: plan.key),
                echo.kind == .echo, echo.rank == rank
            else { continue }
            silence.heard(at: clock.seconds)
            if addresses.indices.contains(echo.address) { proven = echo.address }
        }
        if clock.seconds >= sendAt {
            sendAt = clock.seconds + plan.interval
            send(activity.now)
        }
        guard let age = silence.age(at: clock.seconds) else {
            if !saidUnheard, clock.seconds > limit {
                saidUnheard = true
                alarm.say(
                    "rank \(rank) on \(hosts[rank]) hears no echo of its heartbeats from rank 0 on \(hosts[0]): whether "
                        + "that is stopped or cut off will not be noticed here. Is UDP from there blocked?")
            }
            return true
        }
        guard age > limit else { return true }
        alarm.end(
            "rank 0 on \(hosts[0]) does not answer since \(Int(age.rounded())) s; rank \(rank) on \(hosts[rank]) is in "
                + place(activity.now))
        return false
    }

    /// Says goodbye, so that nobody waits for beats.
    package func last() {
        var end = activity.now
        end.phase = ended
        for _ in 0..<3 { send(end) }
    }

    private func send(_ activity: RankActivity.Snapshot) {
        var beat = Beat()
        number += 1
        (beat.rank, beat.number, beat.activity) = (rank, number, activity)
        // Any of them, until one has proved to lead there, and again as soon as it does no longer.
        let isProven = silence.age(at: clock.seconds).map { $0 < 2.5 * plan.interval } ?? false
        for place in addresses.indices where !isProven || place == proven {
            beat.address = place
            beat.write(to: packet, key: plan.key)
            socket.send(UnsafeRawBufferPointer(packet), to: addresses[place])
        }
    }
}
