// What hard-negative mining can be asked for: the reference's options with its defaults.
//
// A query's candidates are ranked by falling similarity. Positives and candidates that a margin or a bound forbids are
// struck out; of the rest, those before `rangeMinimum` and from `rangeMaximum` on are left out, and `negatives` of what
// remains are taken.
//
// Reference: sentence_transformers/util/hard_negatives.py (6.2).

import TuttiFormats
import TuttiGround

/// How negatives are chosen among the candidates that remain.
public enum NegativeSampling: String, Sendable, CaseIterable {
    /// The most similar ones.
    case top
    /// Any of them, drawn from (seed, query).
    case random
}

/// The form of the rows that mining writes.
public enum MinedFormat: String, Sendable, CaseIterable {
    /// anchor, positive, negative
    case triplet
    /// anchor, positive, negative_1 ... negative_n
    case tuple = "n-tuple"
    /// `tuple` with scores: the reference's older name for it.
    case scoredTuple = "n-tuple-scores"
    /// anchor, text, label (1 for a positive, 0 for a negative)
    case labeledPair = "labeled-pair"
    /// anchor, list of texts, list of labels
    case labeledList = "labeled-list"
}

/// The options of a mining run.
public struct MiningOptions: Sendable, Equatable {
    /// Candidates skipped at the top of the ranking.
    public var rangeMinimum = 0
    /// Candidates looked at, the skipped ones included; nil derives it from the other options.
    public var rangeMaximum: Int?
    /// Candidates above this score are struck out.
    public var maximumScore: Double?
    /// Candidates below this score are struck out.
    public var minimumScore: Double?
    /// Candidates must be at least this much less similar than the query's least similar positive.
    public var absoluteMargin: Double?
    /// As `absoluteMargin`, as a share of the magnitude of that positive's score.
    public var relativeMargin: Double?
    /// Negatives taken for each query.
    public var negatives = 3
    /// How they are chosen.
    public var sampling = NegativeSampling.top
    /// The seed of random sampling.
    public var seed: UInt64 = 42
    /// Whether positives stay among the candidates, for rankings that a reranker is judged by.
    public var includesPositives = false
    /// The form of the rows.
    public var format = MinedFormat.triplet
    /// Whether rows carry similarities.
    public var writesScores = false
    /// What is put before every query; nil takes the model's.
    public var queryPrompt: String?
    /// What is put before every document; nil takes the model's.
    public var documentPrompt: String?
    /// Texts that are encoded together.
    public var batchSize = 32
    /// Texts whose embeddings are kept together: what a killed run may have to compute again.
    public var chunkSize = 2048

    /// The reference's defaults.
    public init() {}

    /// These options with older names and contradictions resolved as the reference does, and what to tell of it.
    package func resolved() -> (options: MiningOptions, notices: [String]) {
        var options = self
        var notices: [String] = []
        if includesPositives {
            if filtersByScore || minimumScore != nil || rangeMinimum != 0 || rangeMaximum != nil || sampling != .top {
                notices.append(
                    "include_positives with other ranges, scores, margins or sampling than the defaults may still "
                        + "discard positives")
            }
            if format != .tuple {
                notices.append("include_positives keeps the order of the ranking: output_format is n-tuple")
                options.writesScores = writesScores || format == .scoredTuple
                options.format = .tuple
            }
        }
        if options.format == .scoredTuple {
            notices.append("output_format n-tuple-scores is the older name of n-tuple with output_scores")
            options.format = .tuple
            options.writesScores = true
        }
        return (options, notices)
    }

    /// Candidates may be struck out at the top of the ranking, so that more have to be looked at.
    private var filtersByScore: Bool { absoluteMargin != nil || relativeMargin != nil || maximumScore != nil }

    /// Which places of a ranking count when the query with the most positives has `maximumPositives`.
    ///
    /// Throws: `.usage` when the options leave no room for the negatives asked for.
    func window(maximumPositives: Int) throws(TuttiError) -> CandidateWindow {
        for (name, value, least) in [
            ("num_negatives", negatives, 1), ("range_min", rangeMinimum, 0), ("batch_size", batchSize, 1),
        ] where value < least {
            throw MiningOptions.error(name, "must be at least \(least), not \(value)")
        }
        for (name, value) in [
            ("max_score", maximumScore), ("min_score", minimumScore), ("absolute_margin", absoluteMargin),
            ("relative_margin", relativeMargin),
        ] where value?.isNaN == true {
            throw MiningOptions.error(name, "is no number")
        }
        let reach = negatives.multipliedReportingOverflow(by: filtersByScore ? 10 : 1)
        guard !reach.overflow, reach.partialValue < Int(Int32.max), rangeMinimum < Int(Int32.max),
            rangeMaximum ?? 0 < Int(Int32.max)
        else { throw MiningOptions.error("range_max", "is beyond any ranking") }
        let end = rangeMaximum ?? rangeMinimum + reach.partialValue + maximumPositives
        guard rangeMinimum < end else {
            throw MiningOptions.error("range_min", "is \(rangeMinimum), which must be less than range_max, \(end)")
        }
        guard negatives <= end - rangeMinimum else {
            throw MiningOptions.error(
                "num_negatives",
                "is \(negatives), but only \(end - rangeMinimum) candidates remain after skipping the first "
                    + "range_min=\(rangeMinimum) of range_max=\(end)",
                hint: "Decrease num_negatives or range_min, or increase range_max.")
        }
        return CandidateWindow(ranks: rangeMinimum..<end, depth: end + maximumPositives)
    }

    private static func error(_ name: String, _ problem: String, hint: String? = nil) -> TuttiError {
        TuttiError(.usage, "plan the mining", name, problem, hint: hint)
    }
}

/// The part of a ranking that negatives may come from.
struct CandidateWindow: Sendable, Equatable {
    /// Places among the candidates that are not struck out.
    let ranks: Range<Int>
    /// Candidates searched for each query, so that its positives do not take the places of others.
    let depth: Int
}
