// The trials of a sweep: which values each one takes, how long it trains, and who goes on.

import Foundation
import TuttiGround

/// One run of a sweep.
package struct Trial: Sendable, Equatable {
    /// Its number, from 1, in the order in which trials are started.
    package let number: Int
    /// Its values, by key.
    package let values: JSONObject
    /// The part of the configured epochs or steps that it trains: 1 for all.
    package let share: Double
}

/// What a sweep tries.
package struct SweepPlan: Sendable {
    private let settings: SweepSettings
    /// The assignments of the first round.
    private let assignments: [JSONObject]
    /// Trials of each round, and the share of the steps that they train.
    package let rounds: [(trials: Int, share: Double)]

    /// Grids beyond this are a mistake.
    private static let mostTrials = 10_000

    /// - Throws: `.usage` for a grid over a range, or one that is too large.
    package init(_ settings: SweepSettings) throws(TuttiError) {
        self.settings = settings
        assignments = try settings.strategy == .grid ? Self.grid(settings) : Self.draws(settings)
        guard settings.strategy == .halving else {
            rounds = [(assignments.count, 1)]
            return
        }
        var counts = [assignments.count]
        while let last = counts.last, last > 1 { counts.append((last + settings.reduction - 1) / settings.reduction) }
        let last = counts.count - 1
        rounds = counts.enumerated().map { ($1, pow(Double(settings.reduction), Double($0 - last))) }
    }

    /// The trials of the first round.
    package var first: [Trial] {
        assignments.enumerated().map { Trial(number: $0 + 1, values: $1, share: rounds[0].share) }
    }

    /// The trials of round `round`, counted from 0, of the best of the round before.
    ///
    /// - Parameter results: its trials with their metrics; nil for one that failed.
    package func next(_ round: Int, after results: [(trial: Trial, metric: Double?)], greaterIsBetter: Bool) -> [Trial]
    {
        guard rounds.indices.contains(round) else { return [] }
        let ranking = Self.ranked(results, greaterIsBetter: greaterIsBetter).prefix(rounds[round].trials)
        let begin = rounds[..<round].reduce(0) { $0 + $1.trials }
        return ranking.enumerated().map { place, result in
            Trial(number: begin + place + 1, values: result.trial.values, share: rounds[round].share)
        }
    }

    /// Results from the best to the worst; those without a metric are left out, equal ones in the order of their trials.
    package static func ranked(
        _ results: [(trial: Trial, metric: Double?)], greaterIsBetter: Bool
    ) -> [(trial: Trial, metric: Double)] {
        var judged: [(trial: Trial, metric: Double)] = []
        for (trial, metric) in results {
            if let metric { judged.append((trial, metric)) }
        }
        let sign = greaterIsBetter ? -1.0 : 1
        return judged.sorted { ($0.metric * sign, $0.trial.number) < ($1.metric * sign, $1.trial.number) }
    }

    private static func grid(_ settings: SweepSettings) throws(TuttiError) -> [JSONObject] {
        var all = [JSONObject()]
        for parameter in settings.parameters {
            guard case .list(let values) = parameter.values else {
                throw TuttiError(
                    .usage, "plan the sweep", "sweep.parameters.\(parameter.key)", "a grid needs a list of values",
                    hint: "Give a list, or strategy: random.")
            }
            guard all.count <= mostTrials / values.count else {
                throw TuttiError(
                    .usage, "plan the sweep", "sweep.parameters", "the grid has more than \(mostTrials) trials",
                    hint: "Try fewer values, or strategy: random.")
            }
            all = all.flatMap { object in
                values.map { value in
                    var object = object
                    object[parameter.key] = value
                    return object
                }
            }
        }
        return all
    }

    /// Each draw is a function of seed and number: more trials later begin with the same ones.
    private static func draws(_ settings: SweepSettings) -> [JSONObject] {
        (0..<settings.trials).map { number in
            var random = CounterRandom(seed: settings.seed, stream: UInt64(number))
            var object = JSONObject()
            for parameter in settings.parameters { object[parameter.key] = parameter.draw(&random) }
            return object
        }
    }
}

extension SweepParameter {
    fileprivate func draw(_ random: inout CounterRandom) -> JSONValue {
        switch values {
        case .list(let list): return list[Int(random.number(below: UInt64(list.count)))]
        case .range(let range, let isLogarithmic, let isInteger):
            let place = Double(random.next() >> 11) / Double(1 << 53)
            let (low, high) = (range.lowerBound, range.upperBound)
            let value = isLogarithmic ? low * pow(high / low, place) : low + (high - low) * place
            if isInteger { return .integer(Int64(min(high, max(low, value.rounded())))) }
            // Three digits say enough, and can be typed again.
            return .number(Double(String(format: "%.3g", value)) ?? value)
        }
    }
}
