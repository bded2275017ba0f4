// Heartbeat: notices within seconds that a rank is stopped, dead or cut off, which MPI never tells.
//
// A rank that waits in MPI for a peer spins for ever, whether the peer is slow, stopped or gone with its host. So every
// rank sends rank zero a small UDP packet each second, beside MPI and from a thread of its own, and gets it back. A rank
// without beats is named by rank zero, rank zero without echoes by the others, and the job ends everywhere with code 75.
//
// Nothing happens between ranks that never heard each other (UDP may be blocked), and a suspension of the whole job is
// no silence (ListeningClock). TUTTI_HEARTBEAT = seconds of silence (10); 0 = no heartbeat. Rank zero's counts.

import Foundation
import TuttiEnsemble
import TuttiGround
import TuttiNet
import TuttiReports

/// The heartbeat of a job whose ranks are processes.
package final class Heartbeat: Sendable {
    private let activity: RankActivity
    private let thread = HeartbeatThread()

    private init(_ activity: RankActivity) { self.activity = activity }

    /// Starts it; nil where ranks are threads, where there is one, or where it is switched off. Collective.
    ///
    /// - Parameter phase: what the ranks do, until they say something else.
    /// - Throws: a usage error if TUTTI_HEARTBEAT is not a number of seconds.
    package static func start(_ ensemble: any Ensemble, doing phase: StaticString) throws -> Heartbeat? {
        guard let ensemble = ensemble as? any ProcessEnsemble else { return nil }
        ensemble.activity.enter(phase)
        guard ensemble.size > 1 else { return nil }
        let nodes = Set(try ensemble.gatherCounts(ensemble.node))
        let isOneHost = nodes.count == 1 && Set(ensemble.hosts).count == 1
        var socket: DatagramSocket?
        let plan = try ensemble.onRoot { () throws -> HeartbeatPlan in
            var plan = try settings(ProcessInfo.processInfo.environment)
            guard plan.limit > 0 else { return plan }
            do throws(TuttiError) {
                let own = try DatagramSocket(onlyThisHost: isOneHost)
                (plan.port, socket) = (own.port, own)
                plan.addresses = isOneHost ? ["127.0.0.1"] : NetworkAddress.ownTexts()
            } catch { (plan.limit, plan.obstacle) = (0, "\(error)") }
            return plan
        }
        let alarm = makeAlarm(ensemble)
        if !plan.obstacle.isEmpty, ensemble.isRoot { alarm.say("No heartbeat between the ranks: \(plan.obstacle)") }
        guard plan.limit > 0 else { return nil }
        let heartbeat = Heartbeat(ensemble.activity)
        do throws(TuttiError) {
            let socket = if let socket { socket } else { try DatagramSocket(onlyThisHost: isOneHost) }
            heartbeat.run(plan, socket, ensemble, alarm)
        } catch {
            alarm.say("No heartbeat of rank \(ensemble.rank): \(error)")
        }
        return heartbeat
    }

    /// The settings in the environment.
    package static func settings(_ environment: [String: String]) throws(TuttiError) -> HeartbeatPlan {
        var plan = HeartbeatPlan()
        plan.key = .random()
        func seconds(_ name: String) throws(TuttiError) -> Double? {
            guard let text = environment[name], !text.isEmpty else { return nil }
            guard let value = Double(text), value.isFinite, value < 1e6 else {
                throw TuttiError(.usage, "start the heartbeat", name, "\"\(text)\" is not a number of seconds")
            }
            return value
        }
        if let limit = try seconds("TUTTI_HEARTBEAT") {
            guard limit == 0 || limit >= 1 else {
                throw TuttiError(
                    .usage, "start the heartbeat", "TUTTI_HEARTBEAT", "\(limit) is neither 0 nor at least 1 second")
            }
            plan.limit = limit
        }
        if let report = try seconds("TUTTI_WAIT_REPORT") { plan.report = report }
        return plan
    }

    private func run(
        _ plan: HeartbeatPlan, _ socket: DatagramSocket, _ ensemble: any ProcessEnsemble, _ alarm: HeartbeatAlarm
    ) {
        activity.leaveReportsToOthers()
        if ensemble.isRoot {
            let collector = BeatCollector(
                plan, hosts: ensemble.hosts, socket: socket, activity: activity, alarm: alarm)
            thread.start(every: plan.tick(ranks: ensemble.size), { collector.turn(now: PhaseClock.now()) }, last: {})
        } else {
            let sender = BeatSender(
                plan, rank: ensemble.rank, hosts: ensemble.hosts, socket: socket, activity: activity, alarm: alarm)
            thread.start(every: plan.tick(ranks: 1), { sender.turn(now: PhaseClock.now()) }, last: sender.last)
        }
    }

    /// Lines go to standard error; a loss ends the job, even if nobody takes the line.
    private static func makeAlarm(_ ensemble: any ProcessEnsemble) -> HeartbeatAlarm {
        let code = TuttiError.Kind.retryable.rawValue
        return HeartbeatAlarm(
            say: { StandardStream.error.put("\($0)\n") },
            end: { line in
                let reaper = RankThread(stackBytes: 512 << 10) {
                    sleep(1)
                    ensemble.end(code: code)
                }
                StandardStream.error.put("\(line): the job ends\n")
                withExtendedLifetime(reaper) { ensemble.end(code: code) }
            })
    }

    /// This rank has done its work and only waits for the others to end: silence is no fault so soon.
    package func leave() { activity.enter(endingPhase) }

    /// Ends it for this rank.
    package func stop() { thread.stop() }

    deinit { stop() }
}
