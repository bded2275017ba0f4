// WorldMeasurement: one world of ranks, measured three ways by turns, so that a drift of the machine meets all three.
//
//   world   the steps of a run: every rank has its rows, gradients are summed
//   crowd   the same steps with all exchanges left out: every rank trains alone, all at the same time
//   alone   rank zero trains alone while the others sleep
//
// world over crowd is what ranks that talk lose, crowd over alone what ranks lose that share a machine. Waiting inside MPI
// burns a core, so the others sleep for a time agreed before, and of rank zero only steps that ended within it count.

import Foundation
import TuttiEnsemble
import TuttiGround
import TuttiTraining

/// Measures steps of this rank's two runs. All calls are collective.
final class WorldMeasurement {
    /// One step of one rank.
    private struct Step {
        var tokens = 0.0
        var rows = 0.0
        var work = 0.0
        var loss = 0.0
        var exchange = 0.0
        var optimizer = 0.0
        var seconds = 0.0

        static let count = 7

        init(_ timing: StepTiming) {
            (tokens, rows, seconds) = (Double(timing.tokens), Double(timing.rows), timing.seconds)
            loss = timing.clock.seconds(in: .loss)
            exchange = timing.clock.seconds(in: .exchange)
            optimizer = timing.clock.seconds(in: .optimizer)
            work = seconds - loss - exchange - optimizer
        }

        init(_ values: ArraySlice<Double>) {
            let first = values.startIndex
            (tokens, rows, work) = (values[first], values[first + 1], values[first + 2])
            (loss, exchange, optimizer) = (values[first + 3], values[first + 4], values[first + 5])
            seconds = values[first + 6]
        }

        var values: [Double] { [tokens, rows, work, loss, exchange, optimizer, seconds] }
    }

    private let ensemble: any Ensemble
    private let together: StepTimer
    private let single: StepTimer
    // [steps][ranks]; `alone` has rank zero only.
    private var world: [[Step]] = []
    private var crowd: [[Step]] = []
    private var alone: [[Step]] = []

    /// - Parameters:
    ///   - inputs: the run of all ranks.
    ///   - own: a run of one rank, with a model of its own.
    init(_ inputs: TrainingInputs, own: TrainingInputs, ensemble: any Ensemble) throws {
        self.ensemble = ensemble
        together = try StepTimer(inputs, ensemble: ensemble)
        single = try StepTimer(own, ensemble: LocalEnsemble.single())
    }

    /// Takes `count` steps each way that are not counted.
    func warmUp(_ count: Int) throws {
        try together.time(count) { _ in }
        try single.time(count) { _ in }
        try ensemble.barrier()
    }

    /// Measures `count` steps each way.
    func round(_ count: Int) throws {
        world += try shared(try steps(count, of: together))
        try ensemble.barrier()
        let together = try shared(try steps(count, of: single))
        crowd += together
        guard ensemble.size > 1 else { return alone += together }  // a crowd of one is alone
        try measureAlone(count, limit: 1.25 * (together.map { $0.map(\.seconds).max() ?? 0 }.reduce(0, +)) + 0.02)
    }

    private func measureAlone(_ count: Int, limit: Double) throws {
        let limit = try ensemble.maxima([limit])[0]
        try ensemble.barrier()
        let started = PhaseClock.now()
        var own: [Step] = []
        var isLate = false
        if ensemble.isRoot {
            try single.time(count) { timing in
                isLate = isLate || PhaseClock.now() - started > limit
                if !isLate || own.isEmpty { own.append(Step(timing)) }
            }
        } else {
            Thread.sleep(forTimeInterval: limit)
        }
        try ensemble.barrier()
        alone += own.map { [$0] }
    }

    private func steps(_ count: Int, of timer: StepTimer) throws -> [Step] {
        var steps: [Step] = []
        try timer.time(count) { steps.append(Step($0)) }
        return steps
    }

    /// The steps of all ranks, [steps][ranks], on every rank.
    private func shared(_ own: [Step]) throws -> [[Step]] {
        let width = Step.count * ensemble.size
        var values = [Double](repeating: 0, count: own.count * width)
        for (number, step) in own.enumerated() {
            let start = number * width + ensemble.rank * Step.count
            values.replaceSubrange(start..<start + Step.count, with: step.values)
        }
        let sums = try ensemble.sums(values)
        return own.indices.map { number in
            (0..<ensemble.size).map { rank in
                let start = number * width + rank * Step.count
                return Step(sums[start..<start + Step.count])
            }
        }
    }

    /// What was measured, on rank zero; on others without `alone`.
    func record() -> WorldRecord {
        var record = WorldRecord(
            world: Self.times(world), crowd: Self.times(crowd, areApart: true), alone: Self.times(alone))
        record.ranks = ensemble.size
        let mean = world.joined().reduce(0) { $0 + $1.work } / Double(max(1, world.joined().count))
        record.variation = world.map { step in step.map { $0.work / max(mean, 1e-12) } }
        let seconds = Samples(world.map { $0.map(\.seconds).max() ?? 0 })
        record.facts.set("steps", world.count)
        record.facts["step_seconds_p10"] = .number(seconds.quantile(0.1))
        record.facts["step_seconds_p90"] = .number(seconds.quantile(0.9))
        let rows = Samples(world.map { step in step.reduce(0) { $0 + $1.rows } / (step.map(\.seconds).max() ?? 1) })
        record.facts["rows_per_second"] = .number(rows.median)
        record.facts["work_seconds_of_ranks"] = .array(
            (0..<ensemble.size).map { rank in .number(Samples(world.map { $0[rank].work }).median) })
        record.facts["exchange_seconds_of_ranks"] = .array(
            (0..<ensemble.size).map { rank in .number(Samples(world.map { $0[rank].exchange }).median) })
        return record
    }

    /// Medians over steps. A step takes as long as its slowest rank, unless ranks step apart; the rank that waits least
    /// shows what an exchange costs.
    private static func times(_ steps: [[Step]], areApart: Bool = false) -> PartTimes {
        func median(_ value: ([Step]) -> Double) -> Double { Samples(steps.map(value)).median }
        func mean(_ step: [Step], _ part: (Step) -> Double) -> Double {
            step.reduce(0) { $0 + part($1) } / Double(max(1, step.count))
        }
        func rate(_ step: [Step]) -> Double {
            let slowest = step.map(\.seconds).max() ?? 1
            return step.reduce(0) { $0 + $1.tokens / (areApart ? $1.seconds : slowest) }
        }
        return PartTimes(
            tokens: median { mean($0, \.tokens) }, work: median { mean($0, \.work) },
            loss: median { $0.map(\.loss).min() ?? 0 }, exchange: median { $0.map(\.exchange).min() ?? 0 },
            optimizer: median { $0.map(\.optimizer).min() ?? 0 }, step: median { $0.map(\.seconds).max() ?? 0 },
            tokensPerSecond: median(rate))
    }
}

extension Samples {
    init(_ values: [Double]) { self.init(values: values) }

    /// The value below which a fraction of the values lies, between neighbours in proportion; 0 without values.
    func quantile(_ fraction: Double) -> Double {
        guard !values.isEmpty else { return 0 }
        let sorted = values.sorted()
        let place = fraction * Double(sorted.count - 1)
        let below = Int(place)
        let above = min(below + 1, sorted.count - 1)
        return sorted[below] + (place - Double(below)) * (sorted[above] - sorted[below])
    }
}
