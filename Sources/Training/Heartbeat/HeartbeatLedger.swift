// HeartbeatLedger: what rank zero knows of the ranks from their beats, and what follows from it. No clock, no socket.
//
// Two faults are told apart. A rank without beats is stopped, dead or cut off: the job has to end. A rank with beats whose
// peers wait for it is slow or stuck: that is worth a line, since it may evaluate, load or save.

import TuttiEnsemble

/// What is known of each rank.
package struct HeartbeatLedger {
    /// Seconds of silence after which a rank is lost.
    let limit: Double
    /// Seconds of waiting after which the late rank is named, again after each doubling; not positive = never.
    let report: Double
    /// The host of each rank.
    let hosts: [String]

    private struct Entry {
        var silence = PeerSilence()
        var activity = RankActivity.Snapshot()
        /// When it last began a step, a phase or a collective.
        var changedAt = 0.0
    }

    private var entries: [Entry]
    private var nextReport: Double
    private var saidUnheard = false

    /// How much longer a rank that has announced its end may be silent.
    private static let patienceAtTheEnd = 6.0
    /// Ranks that fell silent so shortly after the first are named with it.
    private static let together = 2.0

    package init(limit: Double, report: Double, hosts: [String]) {
        (self.limit, self.report, self.hosts) = (limit, report, hosts)
        nextReport = report
        entries = Array(repeating: Entry(), count: hosts.count)
    }

    /// A rank does this, at `seconds` of the listening time.
    package mutating func note(_ rank: Int, _ activity: RankActivity.Snapshot, at seconds: Double) {
        guard entries.indices.contains(rank) else { return }
        entries[rank].silence.heard(at: seconds)
        let before = entries[rank].activity
        if before.step != activity.step || before.phase != activity.phase || before.calls != activity.calls
            || before.operation != activity.operation
        {
            entries[rank].changedAt = seconds
        }
        entries[rank].activity = activity
    }

    // MARK: Silence

    /// What to say when ranks are lost; nil while there is none.
    package func loss(at seconds: Double) -> String? {
        func isSilent(_ rank: Int, for limit: Double) -> Bool {
            let entry = entries[rank]
            guard let age = entry.silence.age(at: seconds), entry.activity.phase != ended else { return false }
            return age > limit * (entry.activity.phase == ending ? Self.patienceAtTheEnd : 1)
        }
        guard entries.indices.contains(where: { isSilent($0, for: limit) }) else { return nil }
        let lost = entries.indices.filter { isSilent($0, for: max(limit / 2, limit - Self.together)) }
        return grouped(lost).map { ranks in
            let ages = ranks.compactMap { entries[$0].silence.age(at: seconds) }
            let verb = ranks.count == 1 ? "does" : "do"
            return "\(names(ranks)) \(verb) not answer since \(Int((ages.max() ?? 0).rounded())) s: last seen in "
                + place(entries[ranks[0]].activity)
        }.joined(separator: "; ")
    }

    /// What to say, once, of ranks that were never heard; nil as long as they may still come.
    package mutating func unheard(at seconds: Double) -> String? {
        guard !saidUnheard, seconds > limit else { return nil }
        saidUnheard = true
        let unheard = entries.indices.filter { entries[$0].silence.lastHeard == nil }
        guard !unheard.isEmpty else { return nil }
        let verb = unheard.count == 1 ? "has" : "have"
        return "No heartbeat of \(grouped(unheard).map(names).joined(separator: ", ")) \(verb) arrived: a rank that is "
            + "stopped or cut off there will not be noticed. Is UDP from there blocked?"
    }

    // MARK: Stalls

    /// What to say of a rank for which others wait long; nil if there is nothing new.
    package mutating func stall(at seconds: Double) -> String? {
        guard report > 0 else { return nil }
        func waited(_ rank: Int) -> Double {
            entries[rank].activity.waitSeconds > 0 ? seconds - entries[rank].changedAt : 0
        }
        let longest = entries.indices.map(waited).max() ?? 0
        if longest < report { nextReport = report }
        guard longest >= nextReport else { return nil }
        nextReport *= 2
        let waiting = entries.indices.filter { waited($0) >= report }
        let since = "since \(Int(longest.rounded())) s"
        let busy = entries.indices.filter {
            entries[$0].activity.waitSeconds == 0 && entries[$0].silence.lastHeard != nil
        }
        let operation = entries[waiting[0]].activity.operation
        guard busy.isEmpty else {
            let ranks = waiting.count == 1 ? "\(names(waiting)) waits" : "\(waiting.count) ranks wait"
            return "\(ranks) \(since) in \(operation) for \(grouped(busy).map(names).joined(separator: ", ")), in "
                + place(entries[busy[0]].activity)
        }
        let fewest = waiting.map { entries[$0].activity.calls }.min() ?? 0
        let late = waiting.filter { entries[$0].activity.calls == fewest }
        guard late.count < waiting.count else { return "All ranks wait \(since) in \(operation), their call \(fewest)" }
        return "All ranks wait \(since), in \(place(entries[late[0]].activity)); fewest calls (\(fewest)): "
            + grouped(late).map(names).joined(separator: ", ")
    }

    // MARK: Words

    /// Ranks by host, in order.
    private func grouped(_ ranks: [Int]) -> [[Int]] {
        var groups: [[Int]] = []
        for rank in ranks {
            if let place = groups.firstIndex(where: { hosts[$0[0]] == hosts[rank] }) {
                groups[place].append(rank)
            } else {
                groups.append([rank])
            }
        }
        return groups
    }

    /// "ranks 2, 3 on node02".
    private func names(_ ranks: [Int]) -> String {
        let numbers = ranks.map(String.init).joined(separator: ", ")
        return "rank\(ranks.count == 1 ? "" : "s") \(numbers) on \(hosts[ranks[0]])"
    }
}

/// The phase of a rank that has done its work and waits for the others.
package let endingPhase: StaticString = "the end"
let ending = ShortName(endingPhase)
/// The phase of a rank that sends no more beats.
package let endedPhase: StaticString = "ended"
let ended = ShortName(endedPhase)

/// "step 812, backward", or the phase alone outside of steps.
func place(_ activity: RankActivity.Snapshot) -> String {
    activity.step > 0 ? "step \(activity.step), \(activity.phase)" : "\(activity.phase)"
}
