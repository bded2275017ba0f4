// The metrics of a ranked retrieval: accuracy, precision, recall, MRR, nDCG and MAP at cut-offs.
//
// What: a query's ranking is reduced to flags ("is the document at this rank relevant?") and the number of its
// relevant documents; every metric is a pure function of those, averaged over the queries.
// Definitions: accuracy@k = any hit in the first k; precision@k = hits / k; recall@k = hits / relevant;
// MRR@k = 1 / rank of the first hit; nDCG@k with binary gain 1 / log2(rank + 1), ideal over min(relevant, k);
// MAP@k = sum over hits of precision at that rank / min(k, relevant).
//
// Reference: sentence_transformers InformationRetrievalEvaluator.compute_metrics (6.2).

import Foundation
import TuttiObjectives

/// The cut-offs at which each retrieval metric is computed, with the reference's defaults.
public struct RetrievalCutoffs: Sendable, Equatable {
    /// Cut-offs of accuracy@k.
    public var accuracy = [1, 3, 5, 10]
    /// Cut-offs of precision@k and recall@k.
    public var precisionRecall = [1, 3, 5, 10]
    /// Cut-offs of MRR@k.
    public var reciprocalRank = [10]
    /// Cut-offs of nDCG@k; the largest one is the primary metric.
    public var discountedGain = [10]
    /// Cut-offs of MAP@k.
    public var averagePrecision = [100]

    /// The reference's defaults.
    public init() {}

    /// The longest ranking that any metric looks at.
    public var deepest: Int {
        (accuracy + precisionRecall + reciprocalRank + discountedGain + averagePrecision).max() ?? 1
    }
}

extension RetrievalCutoffs {
    /// The keys of a function's metrics, in the order of `RetrievalMetrics.values`.
    func keys(of function: SimilarityFunction) -> [String] {
        [
            ("accuracy", accuracy), ("precision", precisionRecall), ("recall", precisionRecall),
            ("ndcg", discountedGain), ("mrr", reciprocalRank), ("map", averagePrecision),
        ].flatMap { metric, cutoffs in cutoffs.map { "\(function.rawValue)_\(metric)@\($0)" } }
    }

    /// The columns of the functions' metrics in a CSV file, each with the key of its value.
    func columns(of functions: [SimilarityFunction]) -> [(title: String, key: String)] {
        var columns: [(title: String, key: String)] = []
        for function in functions.map(\.rawValue) {
            func add(_ metric: String, _ k: Int) {
                columns.append(("\(function)-\(metric)@\(k)", "\(function)_\(metric.lowercased())@\(k)"))
            }
            for k in accuracy { add("Accuracy", k) }
            for k in precisionRecall {
                add("Precision", k)
                add("Recall", k)
            }
            for k in reciprocalRank { add("MRR", k) }
            for k in discountedGain { add("NDCG", k) }
            for k in averagePrecision { add("MAP", k) }
        }
        return columns
    }

    /// The key of a function's primary metric: nDCG at the deepest cut-off.
    func primaryKey(of function: SimilarityFunction) -> String {
        "\(function.rawValue)_ndcg@\(discountedGain.max() ?? 10)"
    }
}

/// One query's ranking as far as the metrics care.
package struct JudgedRanking: Sendable {
    /// Relevance of the documents in ranking order.
    package var isRelevant: [Bool]
    /// How many documents of the whole corpus are relevant to the query; at least one.
    package var relevantCount: Int

    /// A ranking with its judgements.
    package init(isRelevant: [Bool], relevantCount: Int) {
        precondition(relevantCount > 0, "a query without relevant documents is not judged")
        self.isRelevant = isRelevant
        self.relevantCount = relevantCount
    }
}

/// The averaged metrics of one score function, each as (cut-off, value) pairs in the order of its cut-offs.
package struct RetrievalMetrics: Sendable {
    /// Metric values by cut-off.
    package typealias Values = [(k: Int, value: Double)]
    /// Share of queries with a hit in the first k.
    package let accuracy: Values
    /// Mean share of hits among the first k.
    package let precision: Values
    /// Mean share of the relevant documents found in the first k.
    package let recall: Values
    /// Mean normalised discounted cumulative gain.
    package let discountedGain: Values
    /// Mean reciprocal rank of the first hit.
    package let reciprocalRank: Values
    /// Mean average precision.
    package let averagePrecision: Values

    /// All values, in the order of the keys.
    var values: [Double] {
        [accuracy, precision, recall, discountedGain, reciprocalRank, averagePrecision].flatMap { $0.map(\.value) }
    }

    /// Averages the metrics of the rankings at the cut-offs.
    package init(_ rankings: [JudgedRanking], at cutoffs: RetrievalCutoffs) {
        func mean(_ cutoffs: [Int], _ metric: (JudgedRanking, Int) -> Double) -> Values {
            cutoffs.map { k in
                (k, rankings.reduce(0) { $0 + metric($1, k) } / Double(rankings.count))
            }
        }
        accuracy = mean(cutoffs.accuracy) { $0.hits(in: $1) > 0 ? 1 : 0 }
        precision = mean(cutoffs.precisionRecall) { Double($0.hits(in: $1)) / Double($1) }
        recall = mean(cutoffs.precisionRecall) { Double($0.hits(in: $1)) / Double($0.relevantCount) }
        discountedGain = mean(cutoffs.discountedGain) { $0.normalisedGain(at: $1) }
        reciprocalRank = mean(cutoffs.reciprocalRank) { $0.reciprocalRank(at: $1) }
        averagePrecision = mean(cutoffs.averagePrecision) { $0.averagePrecision(at: $1) }
    }
}

extension JudgedRanking {
    /// Relevant documents among the first `k`.
    func hits(in k: Int) -> Int {
        isRelevant.prefix(k).reduce(0) { $0 + ($1 ? 1 : 0) }
    }

    /// One over the rank of the first relevant document among the first `k`, zero without one.
    func reciprocalRank(at k: Int) -> Double {
        guard let place = isRelevant.prefix(k).firstIndex(of: true) else { return 0 }
        return 1 / Double(place + 1)
    }

    /// Discounted cumulative gain at `k` over the best attainable one.
    func normalisedGain(at k: Int) -> Double {
        var gain = 0.0
        for (place, relevant) in isRelevant.prefix(k).enumerated() where relevant {
            gain += 1 / log2(Double(place + 2))
        }
        var ideal = 0.0
        for place in 0..<min(relevantCount, k) { ideal += 1 / log2(Double(place + 2)) }
        return gain / ideal
    }

    /// Average precision at `k`.
    func averagePrecision(at k: Int) -> Double {
        var hits = 0
        var sum = 0.0
        for (place, relevant) in isRelevant.prefix(k).enumerated() where relevant {
            hits += 1
            sum += Double(hits) / Double(place + 1)
        }
        return sum / Double(min(k, relevantCount))
    }
}
