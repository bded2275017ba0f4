// ListeningClock: the time in which a thread could have heard something, and who has been silent in it.
//
// A job may be suspended as a whole (a stop signal to all ranks, a laptop that sleeps, a virtual machine that is moved, a
// host that swaps): every clock then jumps, and nobody was there to listen. So a gap between two looks at the clock
// counts as one short moment, however long it was.

/// Seconds in which a thread was awake.
package struct ListeningClock: Sendable {
    /// What a longer gap counts as.
    package let longestGap: Double
    /// The seconds so far.
    package private(set) var seconds = 0.0
    private var last: Double?

    package init(longestGap: Double = 1) { self.longestGap = longestGap }

    /// The thread is awake at `now` of the monotonic clock.
    package mutating func tick(_ now: Double) {
        if let last { seconds += min(max(0, now - last), longestGap) }
        last = now
    }
}

/// When a peer was heard.
struct PeerSilence {
    /// The listening time of its last packet; nil before the first.
    private(set) var lastHeard: Double?

    /// A packet has come.
    mutating func heard(at seconds: Double) { lastHeard = seconds }

    /// Seconds of silence; nil if it was never heard, which says nothing about it.
    func age(at seconds: Double) -> Double? { lastHeard.map { max(0, seconds - $0) } }
}
