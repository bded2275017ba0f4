// Schedules that follow the evaluations: the rate stays until the watched metric says that it should change.
//
// A follower keeps the rate and what it knows of the metric; both are in a checkpoint. Every rank keeps its own, and sees
// the same metrics. Bounds are rates of `learning_rate`; parameters with a rate of their own keep their proportion to it.

import TuttiGround

/// Changes the learning rate as the watched metric goes.
package protocol RateFollower: AnyObject, Sendable {
    /// The learning rate now.
    var rate: Double { get }
    /// What a checkpoint keeps.
    var state: JSONObject { get set }
    /// Takes the metric of an evaluation.
    func take(_ metric: Double)
}

/// The options that say whether a metric has improved.
struct Improvement: DescribedSettings {
    /// Whether less of the metric is better, or more.
    enum Mode: String, OptionChoice {
        case min, max
    }

    /// Whether the threshold is a share of the best value, or a difference.
    enum ThresholdMode: String, OptionChoice {
        case rel, abs
    }

    var mode = Mode.min
    var threshold = 1e-4
    var thresholdMode = ThresholdMode.rel

    static let options = OptionList<Improvement>([
        Option("mode", \.mode, "whether less of the metric is better, or more"),
        Option("threshold", \.threshold, "how much better counts", check: .within(0...1e9)),
        Option("threshold_mode", \.thresholdMode, "the threshold is a share of the best value, or a difference"),
    ])

    /// A value that every other is better than.
    var worst: Double { mode == .min ? .infinity : -.infinity }

    func isBetter(_ value: Double, than best: Double) -> Bool {
        switch (mode, thresholdMode) {
        case (.min, .rel): value < best * (1 - threshold)
        case (.min, .abs): value < best - threshold
        case (.max, .rel): value > best * (1 + threshold)
        case (.max, .abs): value > best + threshold
        }
    }
}

extension JSONValue {
    /// A number, infinite ones as text: JSON has none.
    static func counter(_ value: Double) -> JSONValue { value.isFinite ? .number(value) : .string("\(value)") }
    /// The number that `counter` wrote.
    var counter: Double? { double ?? string.flatMap(Double.init) }
}
