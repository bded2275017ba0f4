// StragglerWatch: which rank computes more slowly than the others, and why it may.
//
// All ranks wait for the slowest in every step, so one throttled or shared host slows down all. Compared are the seconds
// of forward and backward a token: batches are dealt by their tokens, and what a rank waits for others is in other phases.

import Foundation
import TuttiEnsemble

/// What a rank has computed since the last line, and how its host is.
package struct RankPace: Sendable, Equatable {
    /// Seconds of forward and backward.
    package var seconds = 0.0
    /// Tokens in that time.
    package var tokens = 0.0
    /// The share of processor time that went to other virtual machines.
    package var stolen = 0.0
    /// The processor's clock; 0 = unknown.
    package var megahertz = 0.0

    /// The most resident memory that it has had, in bytes.
    package var peakMemory = 0.0

    package init(
        seconds: Double = 0, tokens: Double = 0, stolen: Double = 0, megahertz: Double = 0, peakMemory: Double = 0
    ) {
        (self.seconds, self.tokens, self.stolen, self.megahertz) = (seconds, tokens, stolen, megahertz)
        self.peakMemory = peakMemory
    }

    private static let numbers: [WritableKeyPath<RankPace, Double> & Sendable] = [
        \.seconds, \.tokens, \.stolen, \.megahertz, \.peakMemory,
    ]

    /// The paces of all ranks. Collective.
    static func all(_ own: RankPace, among ensemble: any Ensemble) throws -> [RankPace] {
        let width = numbers.count
        var values = [Double](repeating: 0, count: width * ensemble.size)
        for (place, number) in numbers.enumerated() { values[width * ensemble.rank + place] = own[keyPath: number] }
        try values.withUnsafeMutableBufferPointer { try ensemble.allReduceSum($0) }
        return (0..<ensemble.size).map { rank in
            var pace = RankPace()
            for (place, number) in numbers.enumerated() { pace[keyPath: number] = values[width * rank + place] }
            return pace
        }
    }

    /// The mean of the ranks' seconds as a share of the longest: 1 = nobody waits.
    package static func balance(_ paces: [RankPace]) -> Double? {
        let longest = paces.map(\.seconds).max() ?? 0
        guard longest > 0 else { return nil }
        return paces.reduce(0) { $0 + $1.seconds } / Double(paces.count) / longest
    }
}

/// Judges the paces of all ranks, line by line.
package struct StragglerWatch {
    /// A rank that takes so much longer than the median is slow.
    static let ratio = 1.15
    /// Windows in a row until it is said.
    static let windows = 3
    /// Seconds of computing that make a window; shorter ones say more about the clock than about a rank.
    static let windowSeconds = 5.0

    private struct Rank {
        var sum = RankPace()
        var slowWindows = 0
        var goodWindows = 0
        var said: Double?
    }

    private var ranks: [Rank]
    private let names: [String]

    /// A watch over the ranks that are called so.
    package init(names: [String]) {
        self.names = names
        ranks = Array(repeating: Rank(), count: names.count)
    }

    /// Takes what the ranks have done since the last call.
    ///
    /// - Returns: what to say, a line each.
    package mutating func note(_ paces: [RankPace]) -> [String] {
        for (rank, pace) in paces.enumerated() {
            ranks[rank].sum.seconds += pace.seconds
            ranks[rank].sum.tokens += pace.tokens
            ranks[rank].sum.stolen = pace.stolen
            ranks[rank].sum.megahertz = pace.megahertz
        }
        guard ranks.contains(where: { $0.sum.seconds >= Self.windowSeconds }) else { return [] }
        let rates = ranks.compactMap { $0.sum.tokens > 0 ? $0.sum.seconds / $0.sum.tokens : nil }.sorted()
        guard rates.count > 1 else { return [] }
        let median = rates[(rates.count - 1) / 2]
        var lines: [String] = []
        for rank in ranks.indices {
            if ranks[rank].sum.tokens > 0, median > 0 {
                let ratio = ranks[rank].sum.seconds / ranks[rank].sum.tokens / median
                if let line = judge(rank, ratio) { lines.append(line) }
            }
            ranks[rank].sum = RankPace()
        }
        return lines
    }

    private mutating func judge(_ rank: Int, _ ratio: Double) -> String? {
        let isSlow = ratio > Self.ratio
        ranks[rank].slowWindows = isSlow ? ranks[rank].slowWindows + 1 : 0
        ranks[rank].goodWindows = isSlow ? 0 : ranks[rank].goodWindows + 1
        if let said = ranks[rank].said {
            if ranks[rank].goodWindows >= Self.windows {
                ranks[rank].said = nil
                return "\(names[rank]) keeps pace with the others again."
            }
            guard ratio > 1.25 * said || ratio < said / 1.25 else { return nil }
        }
        guard ranks[rank].slowWindows >= Self.windows else { return nil }
        ranks[rank].said = ratio
        ranks[rank].slowWindows = 0
        let pace = ranks[rank].sum
        var reasons: [String] = []
        if pace.stolen >= 0.005 {
            reasons.append("\(Int((100 * pace.stolen).rounded())) % of its processors' time is stolen")
        }
        if pace.megahertz > 0 { reasons.append("at \(Int(pace.megahertz)) MHz") }
        let why = reasons.isEmpty ? "" : " (\(reasons.joined(separator: ", ")))"
        let times = String(format: "%.2f", ratio)
        return "\(names[rank]) takes \(times) times as long a token as the median rank, and all wait for it\(why)."
    }
}

/// What this host's processors do, read now and then.
struct HostPace {
    private var last: (stolen: Double, total: Double)?
    private var share = 0.0

    /// The share of processor time that other virtual machines took since the last call, from /proc/stat.
    mutating func stolenShare() -> Double {
        guard let now = Self.times(Self.text("/proc/stat")) else { return 0 }
        if let last, now.total - last.total >= 100 {  // ticks: a second of one processor
            share = (now.stolen - last.stolen) / (now.total - last.total)
        }
        if last == nil || now.total - (last?.total ?? 0) >= 100 { last = now }
        return min(1, max(0, share))
    }

    /// The clock of the processor that this thread runs on; 0 if the system does not tell.
    static func megahertz() -> Double {
        // Behind the program's name, which may hold anything: the state is field 3, the processor field 39.
        let fields = text("/proc/thread-self/stat").split(separator: ")").last?.split(separator: " ") ?? []
        guard fields.count > 36 else { return 0 }
        let clock = text("/sys/devices/system/cpu/cpu\(fields[36])/cpufreq/scaling_cur_freq")
        let kilohertz = clock.split(whereSeparator: \.isWhitespace).first.flatMap { Double($0) }
        return (kilohertz ?? 0) / 1000
    }

    /// Ticks stolen, and all, of the first line of /proc/stat.
    private static func times(_ text: String) -> (stolen: Double, total: Double)? {
        guard let line = text.split(separator: "\n").first, line.hasPrefix("cpu ") else { return nil }
        let ticks = line.split(separator: " ").dropFirst().prefix(8).compactMap { Double($0) }
        return ticks.count == 8 ? (ticks[7], ticks.reduce(0, +)) : nil
    }

    private static func text(_ path: String) -> String {
        String(decoding: FileManager.default.contents(atPath: path) ?? Data(), as: UTF8.self)
    }
}
