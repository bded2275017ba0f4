// RankActivity: what a rank is doing, as a monitor on another thread sees it.
//
// The main thread says which step and phase it has begun; the watchdog knows whether it waits for other ranks. Telling
// is a few atomic stores and never allocates. A reader may see the step of one moment with the phase of the next: it is
// made for messages, not for decisions.

import Synchronization

/// An ensemble whose ranks are processes: they can be stopped, cut off or lost one by one, unlike threads.
package protocol ProcessEnsemble: Ensemble {
    /// What this rank is doing.
    var activity: RankActivity { get }
    /// The host of each rank, `[W]`.
    var hosts: [String] { get }
    /// The library that carries messages, with its version.
    var library: String { get }
    /// Ends the whole job, all ranks, with exit code `code`, from any thread; not collective.
    func end(code: Int32) -> Never
}

extension Ensemble {
    /// What this rank is doing, where ranks are processes.
    package var ownActivity: RankActivity? { (self as? any ProcessEnsemble)?.activity }

    /// The host of a rank of this ensemble, where ranks are processes.
    package func host(of rank: Int) -> String? {
        guard let hosts = (self as? any ProcessEnsemble)?.hosts, hosts.indices.contains(rank) else { return nil }
        return hosts[rank]
    }

    /// "rank 3 on node02", or "rank 3" where ranks are threads.
    package func name(of rank: Int) -> String { host(of: rank).map { "rank \(rank) on \($0)" } ?? "rank \(rank)" }
}

/// A name of at most 31 bytes, kept without memory of its own.
package struct ShortName: Sendable, Equatable, CustomStringConvertible {
    /// Its bytes in UTF-8; zeros follow.
    package var bytes: SIMD32<UInt8>

    /// A name from its bytes.
    package init(bytes: SIMD32<UInt8>) { self.bytes = bytes }

    /// The beginning of `name`.
    package init(_ name: StaticString) { self.init(cString: name.utf8Start) }

    /// The beginning of what lies at `start`, up to a zero.
    init(cString start: UnsafePointer<UInt8>) {
        bytes = SIMD32()
        var place = 0
        while place < 31, start[place] != 0 {
            bytes[place] = start[place]
            place += 1
        }
    }

    /// The name as text.
    package var description: String {
        let all = (0..<bytes.scalarCount).map { bytes[$0] }
        return String(decoding: all.prefix { $0 != 0 }, as: UTF8.self)
    }
}

/// The step and phase of one rank, and its wait for others.
package final class RankActivity: Sendable {
    /// A look at it.
    package struct Snapshot: Sendable, Equatable {
        /// The step under way, 1 for the first; 0 before and outside of training.
        package var step = 0
        /// What the main thread does, in a word or a few.
        package var phase = ShortName("starting")
        /// Seconds that it has done so.
        package var phaseSeconds = 0.0
        /// The collective that it waits in.
        package var operation = ShortName("")
        /// Seconds of that wait; 0 = it does not wait.
        package var waitSeconds = 0.0
        /// Collectives begun so far.
        package var calls: UInt64 = 0

        package init() {}
    }

    private let watchdog: Watchdog?
    private let step = Atomic<Int>(0)
    private let phase: Atomic<UInt>  // address of a StaticString's bytes
    private let since: Atomic<UInt64>

    /// The activity of the rank whose waits `watchdog` watches.
    package init(_ watchdog: Watchdog? = nil) {
        self.watchdog = watchdog
        let first: StaticString = "starting"
        phase = Atomic(UInt(bitPattern: first.utf8Start))
        since = Atomic(monotonicNanoseconds())
    }

    /// A step begins.
    package func begin(step number: Int) { step.store(number, ordering: .relaxed) }

    /// The main thread begins something else.
    package func enter(_ next: StaticString) {
        phase.store(UInt(bitPattern: next.utf8Start), ordering: .relaxed)
        since.store(monotonicNanoseconds(), ordering: .relaxed)
    }

    /// What the rank is doing now.
    package var now: Snapshot {
        var snapshot = Snapshot()
        snapshot.step = step.load(ordering: .relaxed)
        if let name = UnsafePointer<UInt8>(bitPattern: phase.load(ordering: .relaxed)) {
            snapshot.phase = ShortName(cString: name)
        }
        snapshot.phaseSeconds = secondsSince(since.load(ordering: .relaxed))
        guard let watchdog else { return snapshot }
        let wait = watchdog.wait
        snapshot.calls = wait.calls
        if let name = wait.operation {
            snapshot.operation = ShortName(cString: name)
            snapshot.waitSeconds = max(secondsSince(wait.since), .leastNonzeroMagnitude)
        }
        return snapshot
    }

    /// Somebody else reports long waits: the watchdog keeps quiet, and gives up at its second limit as before.
    package func leaveReportsToOthers() { watchdog?.keepQuiet() }

    private func secondsSince(_ began: UInt64) -> Double {
        let now = monotonicNanoseconds()
        return now > began ? Double(now - began) / 1e9 : 0
    }
}
