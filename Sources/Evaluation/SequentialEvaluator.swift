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
    /// "SequentialEvaluator".
    public static let className = "SequentialEvaluator"
    /// None: its parts have names of their own.
    public let name = ""
    /// What the model card calls it.
    public let title = "Sequential"
    /// The key by which models are compared.
    public let primaryMetric = "sequential_score"
    /// The evaluators in order.
    public let evaluators: [any Evaluator]

    /// An evaluator that runs `evaluators` in order.
    public init(_ evaluators: [any Evaluator]) { self.evaluators = evaluators }

    /// The keys of all parts, then its own.
    public var metricKeys: [String] { evaluators.flatMap(\.metricKeys) + [primaryMetric] }

    /// Hands each part its own metrics.
    public func recall(_ first: [Metric]) { for evaluator in evaluators { evaluator.recall(first) } }

    /// Evaluates the parts in order. Collective.
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
