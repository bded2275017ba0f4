// Ends training where the watched metric has stopped improving.
//
// As in the reference, a value is compared with the best one before this evaluation: it must be better, and by more than the
// threshold. The counter is in every checkpoint, so a resumed run stops where it would have stopped.
//
// Reference: EarlyStoppingCallback of transformers 5.

import TuttiGround

/// `early_stopping_patience` and `early_stopping_threshold`: ends training after some evaluations without improvement.
public final class EarlyStoppingCallback: TrainerCallback {
    private let patience: Int
    private let threshold: Double
    private let metric: String
    private let largerIsBetter: Bool
    private var counter = 0
    private var best: Double?

    /// Stops after `patience` evaluations in a row whose metric is not better by more than `threshold`.
    ///
    /// - Parameters:
    ///   - metric: the metric, as an evaluation's line names it, with or without `eval_`.
    ///   - largerIsBetter: whether more of it is better.
    public init(patience: Int = 1, threshold: Double = 0, metric: String = "loss", largerIsBetter: Bool = false) {
        (self.patience, self.threshold) = (patience, threshold)
        (self.metric, self.largerIsBetter) = (metric, largerIsBetter)
    }

    /// The one that the arguments ask for; nil if they do not.
    convenience init?(_ arguments: TrainingArguments) {
        guard let patience = arguments.earlyStoppingPatience else { return nil }
        self.init(
            patience: patience, threshold: arguments.earlyStoppingThreshold, metric: arguments.bestMetricName,
            largerIsBetter: arguments.largerIsBetter)
    }

    /// The evaluations without improvement so far.
    public var state: JSONObject {
        get { ["early_stopping_patience_counter": .integer(Int64(counter))] }
        set { counter = newValue["early_stopping_patience_counter"]?.int ?? counter }
    }

    /// Takes over the best value that the run knows.
    public func onTrainBegin(_ state: TrainerState) { best = state.bestMetric }

    /// Counts evaluations without improvement.
    public func onEvaluate(_ metrics: JSONObject, _ state: TrainerState, control: inout TrainerControl) {
        defer { best = state.bestMetric }
        guard let value = (metrics[metric] ?? metrics["eval_\(metric)"])?.double else { return }
        if let best, !(largerIsBetter ? value > best : value < best) || abs(value - best) <= threshold {
            counter += 1
        } else {
            counter = 0
        }
        if counter >= patience { control.shouldTrainingStop = true }
    }
}
