// From a query's ranked candidates to its negatives: what is struck out, what is counted, what is taken.
//
// What: positives are struck out (unless they are asked for), then candidates too close to the query's least similar
// positive (absolute margin, relative margin), then those above the largest and below the smallest score. Each filter
// counts only candidates that the ones before it left. Scores are compared in double precision.
//
// Where the reference differs: its minimum score also "skips" positives, empty places and what the margins had already
// struck out, because all of them have the score -infinity there; and its random sampling has no seed.
//
// Reference: sentence_transformers/util/hard_negatives.py (6.2), from "Remove based on margin" on.

import TuttiGround
import TuttiKernels

/// The candidates of one query, best first.
struct RankedCandidates {
    /// Document numbers, -1 for none; fewer than asked for in a small corpus.
    let documents: ArraySlice<Int32>
    /// Their similarities to the query.
    let scores: ArraySlice<Float>
    /// The documents that are the query's positives.
    let positives: ArraySlice<Int>
    /// Their similarities to the query.
    let positiveScores: ArraySlice<Float>
}

/// A negative and its similarity to the query.
struct MinedNegative: Equatable {
    let document: Int
    let score: Float
}

/// Chooses negatives and counts what each filter struck out.
struct NegativeSelection {
    private let options: MiningOptions
    private let window: CandidateWindow
    /// Candidates that each filter struck out, in the order in which the filters apply.
    private(set) var skipped: [(filter: MiningFilter, count: Int)]

    init(_ options: MiningOptions, window: CandidateWindow) {
        self.options = options
        self.window = window
        skipped = MiningFilter.allCases.filter { $0.bound(options) != nil }.map { ($0, 0) }
    }

    /// The negatives of query number `query`, the most similar first; fewer than asked for where there are no more.
    mutating func choose(_ candidates: RankedCandidates, query: Int) -> [MinedNegative] {
        let barred = options.includesPositives ? [] : Set(candidates.positives)
        var remaining: [MinedNegative] = []
        for (document, score) in zip(candidates.documents, candidates.scores)
        where document >= 0 && !barred.contains(Int(document)) {
            remaining.append(MinedNegative(document: Int(document), score: score))
        }
        // The least similar positive bounds: what is too close to it is too close to all.
        let positive = Double(candidates.positiveScores.min() ?? .infinity)
        for place in skipped.indices {
            let filter = skipped[place].filter
            let before = remaining.count
            remaining.removeAll { filter.strikesOut(Double($0.score), positive: positive, options) }
            skipped[place].count += before - remaining.count
        }
        let eligible = remaining.prefix(window.ranks.upperBound).dropFirst(window.ranks.lowerBound)
        guard eligible.count > options.negatives else { return Array(eligible) }
        switch options.sampling {
        case .top: return Array(eligible.prefix(options.negatives))
        case .random:
            var random = CounterRandom(seed: options.seed, stream: UInt64(query))
            var places = Array(eligible.indices)
            for taken in 0..<options.negatives {
                places.swapAt(taken, Int.random(in: taken..<places.count, using: &random))
            }
            return places.prefix(options.negatives).sorted().map { eligible[$0] }
        }
    }
}

/// What may strike out a candidate, in the order of application; the raw value is the option's name.
enum MiningFilter: String, CaseIterable {
    case absoluteMargin = "absolute_margin"
    case relativeMargin = "relative_margin"
    case maximumScore = "max_score"
    case minimumScore = "min_score"

    /// The option's value, or nil when it is not set.
    func bound(_ options: MiningOptions) -> Double? {
        switch self {
        case .absoluteMargin: return options.absoluteMargin
        case .relativeMargin: return options.relativeMargin
        case .maximumScore: return options.maximumScore
        case .minimumScore: return options.minimumScore
        }
    }

    /// Whether a candidate of this score is no negative beside a positive of the score `positive`.
    func strikesOut(_ score: Double, positive: Double, _ options: MiningOptions) -> Bool {
        guard let bound = bound(options) else { return false }
        switch self {
        case .absoluteMargin: return score + bound > positive
        // By the magnitude: a share of a negative score would raise the threshold instead of lowering it.
        case .relativeMargin: return score > positive - abs(positive) * bound
        case .maximumScore: return score > bound
        case .minimumScore: return score < bound
        }
    }
}
