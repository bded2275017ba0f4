// Several evaluators one after another, as one.
//
// What: the union of their metrics, and sequential_score, which is the primary metric of the last one.
//
// Reference: sentence_transformers/base/evaluation/sequential.py.

import TuttiEnsemble
import TuttiFormats
import TuttiModels

/// Runs evaluators in order and joins their metrics.
public final class SequentialEvaluator: Evaluator {
    public static let className = "SequentialEvaluator"
    public let name = ""
    public let title = "Sequential"
    public let primaryMetric = "sequential_score"
    /// The evaluators in order.
    public let evaluators: [any Evaluator]

    /// An evaluator that runs `evaluators` in order.
    public init(_ evaluators: [any Evaluator]) { self.evaluators = evaluators }

    public var metricKeys: [String] { evaluators.flatMap(\.metricKeys) + [primaryMetric] }

    public func recall(_ first: [Metric]) { for evaluator in evaluators { evaluator.recall(first) } }

    public func evaluate(
        model: any SentenceEncoding, ensemble: any Ensemble, context: EvaluationContext
    ) throws -> [Metric] {
        var metrics: [Metric] = []
        var score = 0.0
        for evaluator in evaluators {
            let own = try evaluator.evaluate(model: model, ensemble: ensemble, context: context)
            for metric in own {
                if let place = metrics.firstIndex(where: { $0.key == metric.key }) {
                    metrics[place] = metric
                } else {
                    metrics.append(metric)
                }
            }
            score = own.first { $0.key == evaluator.primaryMetric }?.value ?? own.first?.value ?? 0
        }
        return metrics + [(primaryMetric, score)]
    }
}
