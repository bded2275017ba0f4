// What a run is asked to do at its next step boundary: save and go on, or save and stop.
//
// Any thread may ask, at any time: the thread that takes signals (SignalThread.swift), the one that watches the lock of
// the output directory, or a program that uses Tutti as a library. Ranks agree on what was asked at a step boundary, so
// that all save after the same step although the request reaches them at different times.

import Synchronization
import TuttiEnsemble

/// Asks a run to save, or to save and stop. One object may serve the ranks of one process.
public final class StopRequest: Sendable {
    /// What a run can be asked for, the stronger after the weaker.
    public enum Level: Int, Sendable, Comparable {
        case none = 0
        /// Save a checkpoint and go on.
        case save = 1
        /// Save a checkpoint and stop; the command then ends with exit code 85.
        case saveAndStop = 2
        /// Stop without writing anything more: another process owns the output directory now.
        case stopAtOnce = 3

        /// Whether `a` asks for less than `b`.
        public static func < (a: Level, b: Level) -> Bool { a.rawValue < b.rawValue }
    }

    private enum Phase: Int {
        case nothingToSave, running, over
    }

    private let asked = Atomic<Int>(0)
    private let phase = Atomic<Int>(0)

    /// Nothing is asked for yet.
    public init() {}

    /// Asks for `level`; a weaker request than the one that is waiting changes nothing.
    ///
    /// - Returns: false if no run has begun that could save anything, so that the caller may end the process.
    @discardableResult
    public func ask(_ level: Level) -> Bool {
        var current = asked.load(ordering: .relaxed)
        while current < level.rawValue {
            let (exchanged, original) = asked.compareExchange(
                expected: current, desired: level.rawValue, ordering: .relaxed)
            if exchanged { break }
            current = original
        }
        return phase.load(ordering: .acquiring) != Phase.nothingToSave.rawValue
    }

    /// What is asked for and not done yet.
    public var level: Level { Level(rawValue: asked.load(ordering: .relaxed)) ?? .none }

    /// Whether work that takes long should be given up.
    var stops: Bool { level >= .saveAndStop }

    /// From now on a run serves requests.
    func begin() { phase.store(Phase.running.rawValue, ordering: .releasing) }

    /// The run is over: requests have no effect any more.
    func end() { phase.store(Phase.over.rawValue, ordering: .releasing) }

    /// The strongest request that any rank has received; clears it. Collective.
    func agreed(_ ensemble: any Ensemble) throws -> Level {
        let own = asked.exchange(0, ordering: .relaxed)
        guard ensemble.size > 1 else { return Level(rawValue: own) ?? .none }
        return Level(rawValue: Int(try ensemble.agree(code: Int32(own)))) ?? .none
    }
}
