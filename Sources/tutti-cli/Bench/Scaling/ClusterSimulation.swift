// ClusterSimulation: a long run on many ranks with stragglers, failing nodes and checkpoints, drawn from stated rates.
//
// A step takes what the model says for that many ranks, but its slowest rank is drawn: the greatest of N draws from the
// recorded variation of real ranks, in which a rank is `stragglerFactor` times as slow with a stated probability. The
// greatest of N independent draws has the distribution F(x)^N, so that one random number a step is enough. Nodes fail as
// a Poisson process. A failure loses the steps since the last checkpoint, then detection and restart take their time;
// failures meanwhile start that again.
//
// Young (1974): the best interval is sqrt(2 d M) for a checkpoint of d seconds and a mean time M between failures. Daly
// (2006) adds higher orders. Both are held against the best of a series of intervals.

import Foundation
import TuttiGround

/// The rates of a simulation.
struct SimulationSettings: Sendable {
    var ranks: Int
    var nodes: Int
    var steps: Int
    /// Probability that a rank straggles in a step, and how many times as long its work then takes.
    var stragglerRate: Double
    var stragglerFactor: Double
    /// Mean hours between failures of one node; 0 = nodes do not fail.
    var nodeHours: Double
    var checkpointSeconds: Double
    var detectSeconds: Double
    var restartSeconds: Double
    var replicas: Int
    var seed: UInt64

    /// Mean seconds between failures of the whole cluster.
    var secondsBetweenFailures: Double {
        nodeHours > 0 ? nodeHours * 3600 / Double(nodes) : .infinity
    }
    /// Seconds of computation between two checkpoints, by Young.
    var young: Double { (2 * checkpointSeconds * secondsBetweenFailures).squareRoot() }
    /// The same by Daly.
    var daly: Double {
        let (cost, mean) = (checkpointSeconds, secondsBetweenFailures)
        guard mean.isFinite, cost < 2 * mean else { return mean }
        let ratio = cost / (2 * mean)
        return young * (1 + ratio.squareRoot() / 3 + ratio / 9) - cost
    }
}

/// What one interval costs, the mean over replicas.
struct IntervalCost {
    /// Steps between checkpoints.
    let steps: Int
    let seconds: Double
    let failures: Double
    /// Seconds of steps taken again, the mean over all failures.
    let lostSeconds: Double
}

/// Replays steps.
struct ClusterSimulation {
    let settings: SimulationSettings
    /// What a step takes without variation, work included.
    private let parts: StepPrediction
    /// Work of a rank over the mean, ascending.
    private let variation: [Double]
    /// Seconds of the first n steps, of each replica: [replicas][steps + 1].
    private let elapsed: [[Double]]

    /// - Parameter variation: recorded work of ranks over their mean; empty = none.
    init(_ settings: SimulationSettings, parts: StepPrediction, variation: [Double]) {
        (self.settings, self.parts) = (settings, parts)
        let sorted = variation.sorted()
        self.variation = sorted
        elapsed = (0..<settings.replicas).map { replica in
            var random = CounterRandom(seed: settings.seed, stream: UInt64(replica) << 1)
            var sum = 0.0
            return [0]
                + (0..<settings.steps).map { _ in
                    let slowest = Self.slowest(of: settings, variation: sorted, draw: random.fraction())
                    sum += parts.step - parts.waiting + parts.work * (slowest - 1)
                    return sum
                }
        }
    }

    /// Seconds of all steps without a checkpoint and a failure, the mean over replicas.
    var stepSeconds: Double { elapsed.reduce(0) { $0 + ($1.last ?? 0) } / Double(max(1, elapsed.count)) }

    /// The work of the slowest rank over the mean: the point at which `draw` = F(x)^ranks.
    private static func slowest(of settings: SimulationSettings, variation: [Double], draw: Double) -> Double {
        let level = pow(draw, 1 / Double(settings.ranks))
        let rate = settings.stragglerRate
        let plain = variation.isEmpty ? [1.0] : variation
        guard rate > 0 else { return quantile(plain, level) }
        // Of the mixture the slow part lies above, if its factor is large: else the greater of the two answers counts.
        if level <= 1 - rate { return quantile(plain, level / (1 - rate)) }
        let slow = settings.stragglerFactor * quantile(plain, (level - (1 - rate)) / rate)
        return max(slow, quantile(plain, 1))
    }

    private static func quantile(_ sorted: [Double], _ level: Double) -> Double {
        sorted[min(sorted.count - 1, max(0, Int(level * Double(sorted.count))))]
    }

    /// Trains with a checkpoint after every `interval` steps, and one at the end.
    func cost(interval: Int) -> IntervalCost {
        var (seconds, failures, lost) = (0.0, 0.0, 0.0)
        for replica in elapsed.indices {
            let run = self.run(replica, interval: max(1, interval))
            seconds += run.seconds
            failures += Double(run.failures)
            lost += run.lost
        }
        let count = Double(max(1, elapsed.count))
        return IntervalCost(
            steps: interval, seconds: seconds / count, failures: failures / count,
            lostSeconds: failures > 0 ? lost / failures : 0)
    }

    private func run(_ replica: Int, interval: Int) -> (seconds: Double, failures: Int, lost: Double) {
        var random = CounterRandom(seed: settings.seed, stream: UInt64(replica) << 1 | 1)
        let mean = settings.secondsBetweenFailures
        func nextFailure(after now: Double) -> Double {
            mean.isFinite ? now - mean * log(1 - random.fraction()) : .infinity
        }
        let sums = elapsed[replica]
        var (now, saved, failures, lost) = (0.0, 0, 0, 0.0)
        var failure = nextFailure(after: 0)
        while saved < settings.steps {
            let next = min(settings.steps, saved + interval)
            let end = now + (sums[next] - sums[saved]) + settings.checkpointSeconds
            if end <= failure {
                now = end
                saved = next
                continue
            }
            lost += failure - now
            failures += 1
            now = failure + settings.detectSeconds + settings.restartSeconds
            failure = nextFailure(after: failure)
            while failure < now {  // another node dies before the run is back
                failures += 1
                now = failure + settings.detectSeconds + settings.restartSeconds
                failure = nextFailure(after: failure)
            }
            // No progress is possible where failures come faster than a checkpoint and its steps.
            guard failures < 1_000_000 else { return (.infinity, failures, lost) }
        }
        return (now, failures, lost)
    }

    /// Costs of intervals around Young's, ascending; without failures of the whole run alone.
    var intervals: [IntervalCost] {
        guard settings.secondsBetweenFailures.isFinite else { return [cost(interval: settings.steps)] }
        let middle = Double(steps(lasting: settings.young))
        let candidates = stride(from: -16, through: 16, by: 1).map { place in
            min(settings.steps, max(1, Int((middle * pow(2, Double(place) / 4)).rounded())))
        }
        return Set(candidates).sorted().map(cost)
    }

    /// How many steps take about `seconds`.
    func steps(lasting seconds: Double) -> Int {
        let one = stepSeconds / Double(settings.steps)
        guard (seconds / one).isFinite else { return settings.steps }
        return min(settings.steps, max(1, Int((seconds / one).rounded())))
    }
}

extension CounterRandom {
    /// A uniform number in 0 ..< 1.
    mutating func fraction() -> Double { Double(next() >> 11) * 0x1p-53 }
}
