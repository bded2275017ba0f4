// The metrics of one scored list of documents in which ties may stand: MRR, nDCG and average precision.
//
// What: the documents come with the relevant ones first, and a document's score is all that orders them. Average
// precision is a sum over distinct scores, precision at a score times the recall gained there. nDCG@k gives every
// document of a tie the mean gain of its group, times the discounts of the ranks that the group takes up.
//
// Reference: sklearn.metrics.average_precision_score and ndcg_score (ties averaged: McSherry & Najork 2008,
// "Computing information retrieval performance measures efficiently in the presence of tied scores").

import Foundation

/// Scores of documents, the first `relevantCount` of which are relevant.
struct ScoredList {
    /// The score of each document.
    let scores: [Float]
    /// How many documents, from the first, are relevant.
    let relevantCount: Int
    /// The documents by falling score, equal ones in their order.
    private let order: [Int]

    /// A list with at least one relevant document.
    init(scores: [Float], relevantCount: Int) {
        precondition(
            relevantCount >= 1 && relevantCount <= scores.count,
            "\(relevantCount) relevant of \(scores.count) documents")
        self.scores = scores
        self.relevantCount = relevantCount
        order = scores.indices.sorted { scores[$0] != scores[$1] ? scores[$0] > scores[$1] : $0 < $1 }
    }

    /// One over the rank of the first relevant document among the first `k`, zero without one.
    func reciprocalRank(at k: Int) -> Double {
        guard let place = order.prefix(k).firstIndex(where: { $0 < relevantCount }) else { return 0 }
        return 1 / Double(place + 1)
    }

    /// Average precision over all cuts between distinct scores.
    var averagePrecision: Double {
        var (sum, hits) = (0.0, 0)
        for ranks in ties {
            let gained = self.hits(in: ranks)
            hits += gained
            sum += Double(gained) / Double(relevantCount) * (Double(hits) / Double(ranks.upperBound))
        }
        return sum
    }

    /// Discounted cumulative gain at `k`, ties averaged, over the best attainable one.
    func normalisedGain(at k: Int) -> Double {
        var (gain, ideal) = (0.0, 0.0)
        for ranks in ties where ranks.lowerBound < k {
            let discounts = ranks.prefix { $0 < k }.reduce(0) { $0 + 1 / log2(Double($1 + 2)) }
            gain += Double(hits(in: ranks)) / Double(ranks.count) * discounts
        }
        for rank in 0..<min(relevantCount, k) { ideal += 1 / log2(Double(rank + 2)) }
        return gain / ideal
    }

    /// The relevant documents at these ranks.
    private func hits(in ranks: Range<Int>) -> Int {
        ranks.reduce(0) { $0 + (order[$1] < relevantCount ? 1 : 0) }
    }

    /// The ranks, counted from zero, of each group of equal scores.
    private var ties: [Range<Int>] {
        var groups: [Range<Int>] = []
        var first = 0
        for rank in order.indices where rank + 1 == order.count || scores[order[rank + 1]] != scores[order[rank]] {
            groups.append(first..<rank + 1)
            first = rank + 1
        }
        return groups
    }
}
