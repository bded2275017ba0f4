// Restarts: whether and when a job that has failed is started again by the launcher.
//
// Only after 75: what ended it may pass by itself, and the program finds its newest valid checkpoint. A job that a signal
// stopped is not started again, nor one with a mistake (64, 65, 66) or that diverged (70). The pauses grow: 1, 2, 4 ... at
// most 60 s.

import TuttiGround

/// The restarts of one job.
package struct Restarts: Equatable, Sendable {
    private static let longestPause = 60.0

    private let limit: Int
    /// Attempts so far, the first included.
    package private(set) var attempt = 1

    /// At most `limit` restarts.
    package init(limit: Int) { self.limit = limit }

    /// Seconds until the next attempt, which is counted; nil: there is none.
    package mutating func pause(after code: Int32, isStopped: Bool) -> Double? {
        guard code == TuttiError.Kind.retryable.rawValue, !isStopped, attempt <= limit else { return nil }
        let pause = min(Restarts.longestPause, Double(1 << min(attempt - 1, 6)))
        attempt += 1
        return pause
    }
}
