// Main-thread wall time by phase of a step, without allocation.

import Glibc
import TuttiEnsemble

/// The phases that a step's time is divided into; their sum is the step's wall time.
package enum StepPhase: Int, CaseIterable, Sendable {
    case data, forward, loss, backward, exchange, optimizer, other

    /// How messages call it.
    var title: StaticString {
        switch self {
        case .data: "data"
        case .forward: "forward"
        case .loss: "loss"
        case .backward: "backward"
        case .exchange: "exchange"
        case .optimizer: "optimizer"
        case .other: "between steps"
        }
    }
}

/// A stopwatch that always runs in exactly one phase.
package struct PhaseClock: Sendable {
    private var seconds: (Double, Double, Double, Double, Double, Double, Double) = (0, 0, 0, 0, 0, 0, 0)
    private var phase = StepPhase.other
    private var since = PhaseClock.now()
    private let activity: RankActivity?

    /// A clock that tells `activity` each phase that it begins.
    package init(_ activity: RankActivity? = nil) { self.activity = activity }

    /// Ends the current phase and begins `next`.
    package mutating func enter(_ next: StepPhase) {
        let now = PhaseClock.now()
        add(now - since)
        since = now
        phase = next
        activity?.enter(next.title)
    }

    /// Seconds spent in a phase since the last `reset`.
    package func seconds(in phase: StepPhase) -> Double {
        switch phase {
        case .data: seconds.0
        case .forward: seconds.1
        case .loss: seconds.2
        case .backward: seconds.3
        case .exchange: seconds.4
        case .optimizer: seconds.5
        case .other: seconds.6
        }
    }

    /// Seconds in all phases since the last `reset`.
    package var total: Double {
        seconds.0 + seconds.1 + seconds.2 + seconds.3 + seconds.4 + seconds.5 + seconds.6
    }

    /// Starts all sums anew; the current phase goes on.
    package mutating func reset() {
        enter(phase)
        seconds = (0, 0, 0, 0, 0, 0, 0)
    }

    /// Counts the time since the last change of phase to none of them.
    package mutating func skip() {
        since = PhaseClock.now()
        activity?.enter(phase.title)
    }

    /// Monotonic seconds.
    package static func now() -> Double {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return Double(time.tv_sec) + Double(time.tv_nsec) * 1e-9
    }

    private mutating func add(_ elapsed: Double) {
        switch phase {
        case .data: seconds.0 += elapsed
        case .forward: seconds.1 += elapsed
        case .loss: seconds.2 += elapsed
        case .backward: seconds.3 += elapsed
        case .exchange: seconds.4 += elapsed
        case .optimizer: seconds.5 += elapsed
        case .other: seconds.6 += elapsed
        }
    }
}
