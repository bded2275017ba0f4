// Watchdog: reports a wait that lasts too long, because nothing else does: a stopped or stuck rank leaves its peers
// spinning in MPI forever, and mpirun does not notice.
//
// Every rank has its own. Waiting ranks report; the one that does not is the one to look at, and the call number shows
// how far each got.

import Foundation
import Synchronization

/// A thread that watches one wait at a time and reports when it passes a limit. Entering and leaving never allocate.
package final class Watchdog: Sendable {
    private let state: WatchdogState
    private let thread: RankThread?

    /// Starts watching.
    ///
    /// - Parameters:
    ///   - limit: seconds of one wait until it is reported, again after each doubling; not positive = never.
    ///   - abortLimit: seconds after which `onAbort` is called; nil = never.
    ///   - report: called from the watchdog's thread with one line of `who`, operation, call number and seconds.
    ///   - onAbort: called once, from the watchdog's thread, with the same kind of line.
    package init(
        who: String, limit: Double, abortLimit: Double? = nil, report: @escaping @Sendable (String) -> Void,
        onAbort: @escaping @Sendable (String) -> Void = { _ in }
    ) {
        let state = WatchdogState(who: who, limit: limit, abortLimit: abortLimit, report: report, onAbort: onAbort)
        self.state = state
        let watches = limit > 0 || abortLimit != nil
        thread = watches ? RankThread(stackBytes: 512 << 10) { state.watch() } : nil
    }

    deinit {
        state.stop()
        thread?.join()
    }

    /// This rank starts waiting in `operation`.
    package func enter(_ operation: StaticString) {
        state.calls.wrappingAdd(1, ordering: .relaxed)
        state.operation.store(UInt(bitPattern: operation.utf8Start), ordering: .relaxed)
        state.since.store(monotonicNanoseconds(), ordering: .releasing)
    }

    /// The wait is over.
    package func leave() { state.since.store(0, ordering: .releasing) }

    /// Waits started so far.
    package var calls: UInt64 { state.calls.load(ordering: .relaxed) }

    /// The wait under way: its operation, nil if there is none, since when, and which it is.
    var wait: (operation: UnsafePointer<UInt8>?, since: UInt64, calls: UInt64) {
        let since = state.since.load(ordering: .acquiring)
        let operation = since == 0 ? 0 : state.operation.load(ordering: .relaxed)
        return (UnsafePointer(bitPattern: operation), since, calls)
    }

    /// Reports nothing from now on; `onAbort` is called as before.
    func keepQuiet() { state.isQuiet.store(true, ordering: .relaxed) }
}

private final class WatchdogState: Sendable {
    let since = Atomic<UInt64>(0)  // nanoseconds; zero = not waiting
    let calls = Atomic<UInt64>(0)
    let operation = Atomic<UInt>(0)  // address of a StaticString's bytes
    let isQuiet = Atomic<Bool>(false)
    private let stopped = Atomic<Bool>(false)
    private let lock = SleepLock()
    private let who: String
    private let limit: Double
    private let abortLimit: Double?
    private let report: @Sendable (String) -> Void
    private let onAbort: @Sendable (String) -> Void

    init(
        who: String, limit: Double, abortLimit: Double?, report: @escaping @Sendable (String) -> Void,
        onAbort: @escaping @Sendable (String) -> Void
    ) {
        self.who = who
        self.limit = limit
        self.abortLimit = abortLimit
        self.report = report
        self.onAbort = onAbort
    }

    func stop() {
        lock.locked {
            stopped.store(true, ordering: .relaxed)
            lock.wakeAll()
        }
    }

    func watch() {
        let shortest = min(limit > 0 ? limit : .infinity, abortLimit ?? .infinity)
        let period = UInt64(max(0.01, min(shortest / 4, 5)) * 1e9)
        var reportedCall: UInt64 = 0
        var next = limit
        var aborted = false
        while !stopped.load(ordering: .relaxed) {
            lock.locked {
                if !stopped.load(ordering: .relaxed) { _ = lock.wait(until: monotonicNanoseconds() + period) }
            }
            let began = since.load(ordering: .acquiring)
            if began == 0 { continue }
            let now = monotonicNanoseconds()
            let waited = now > began ? Double(now - began) / 1e9 : 0
            let call = calls.load(ordering: .relaxed)
            if call != reportedCall { (reportedCall, next) = (call, limit) }
            if limit > 0, waited >= next {
                if !isQuiet.load(ordering: .relaxed) {
                    report(line(call, waited) + "; the rank that does not say so is the one that is late")
                }
                next *= 2
            }
            if let abortLimit, waited >= abortLimit, !aborted {
                aborted = true
                onAbort(line(call, waited))
            }
        }
    }

    private func line(_ call: UInt64, _ waited: Double) -> String {
        let name = UnsafePointer<UInt8>(bitPattern: operation.load(ordering: .relaxed)).map { String(cString: $0) }
        return "\(who) has waited \(Int(waited.rounded())) s in \(name ?? "a collective"), its call \(call)"
    }
}
