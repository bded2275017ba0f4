// How a model places a sample of pairs: what a contrastive loss works on, at one point of a run.
//
// Embeddings have unit length. Legend: a an anchor, p its positive, c any candidate (the positives and negatives of the
// whole sample, each text once).
//
//   alignment    mean of |a - p|^2; 0 where every positive lies on its anchor
//   uniformity   log of the mean of exp(-2 |x - y|^2) over all pairs of different texts; the lower, the more evenly they
//                are spread over the sphere
//   rank         1 + the candidates nearer to the anchor than its positive
//
// A candidate that is no positive of the anchor's text and still nearer than the positive may be a false negative: such
// pairs are kept for people to read.
//
// Reference: Wang, Isola, "Understanding contrastive representation learning through alignment and uniformity on the
// hypersphere", ICML 2020.

import TuttiFormats
import TuttiGround

/// The pairs that a run diagnoses, the same at every point.
public struct DiagnosisSample: Sendable, Equatable {
    /// Where the rows come from.
    public var source: String
    /// The anchor of each row.
    public var anchors: [String]
    /// The texts that are compared with the anchors, each once.
    public var candidates: [String]
    /// The candidate that is each row's positive.
    public var positives: [Int]

    /// Describes a sample.
    public init(source: String, anchors: [String], candidates: [String], positives: [Int]) {
        precondition(anchors.count == positives.count, "\(anchors.count) anchors, \(positives.count) positives")
        self.source = source
        self.anchors = anchors
        self.candidates = candidates
        self.positives = positives
    }

    /// Texts as reports keep them: their beginning.
    package static func shortened(_ text: String) -> String {
        let longest = 300
        return text.count > longest ? text.prefix(longest) + "..." : text
    }

    /// As it is stored, texts shortened.
    package var json: JSONObject {
        [
            "source": .string(source), "anchors": .array(anchors.map { .string(Self.shortened($0)) }),
            "candidates": .array(candidates.map { .string(Self.shortened($0)) }),
            "positives": .array(positives.map { .integer(Int64($0)) }),
        ]
    }

    /// A stored sample; nil for anything else.
    package init?(_ json: JSONObject) {
        guard let source = json["source"]?.string,
            let anchors = json["anchors"]?.array?.map({ $0.string ?? "" }),
            let candidates = json["candidates"]?.array?.map({ $0.string ?? "" }),
            let positives = json["positives"]?.array?.compactMap(\.int), positives.count == anchors.count,
            positives.allSatisfy(candidates.indices.contains)
        else { return nil }
        self.init(source: source, anchors: anchors, candidates: candidates, positives: positives)
    }
}

/// Where the embeddings of a sample lie at one point of a run.
public struct ContrastiveDiagnosis: Sendable, Equatable {
    /// A candidate that is nearer to a row's anchor than its positive.
    public struct Doubt: Sendable, Equatable {
        /// The row of the sample.
        public var row: Int
        /// The candidate.
        public var candidate: Int
        /// The cosine of anchor and candidate.
        public var similarity: Double

        /// Names a pair in doubt.
        public init(row: Int, candidate: Int, similarity: Double) {
            (self.row, self.candidate, self.similarity) = (row, candidate, similarity)
        }
    }

    /// Optimizer steps done; of the final model those of the weights that it has.
    public var step: Int
    /// Whether this is the model that the run hands over.
    public var isFinal = false
    /// Mean squared distance of anchors and positives.
    public var alignment: Double
    /// Logarithm of the mean Gaussian potential of the sample's texts.
    public var uniformity: Double
    /// The cosine of each row's anchor and positive.
    public var similarities: [Double]
    /// The greatest cosine of each row's anchor and a candidate that is not its positive.
    public var hardest: [Double]
    /// The rank of each row's positive among the candidates, 1 the nearest.
    public var ranks: [Int]
    /// The pairs most in doubt, the most similar in comparison with the positive first.
    public var doubts: [Doubt]

    /// Describes a point of a run.
    public init(
        step: Int, alignment: Double, uniformity: Double, similarities: [Double], hardest: [Double], ranks: [Int],
        doubts: [Doubt] = []
    ) {
        self.step = step
        self.alignment = alignment
        self.uniformity = uniformity
        self.similarities = similarities
        self.hardest = hardest
        self.ranks = ranks
        self.doubts = doubts
    }

    /// The share of rows whose positive comes first.
    public var accuracy: Double { Double(ranks.count { $0 == 1 }) / Double(max(1, ranks.count)) }
    /// The mean of 1 / rank.
    public var meanReciprocalRank: Double { Self.mean(ranks.map { 1 / Double($0) }) }
    /// The mean cosine of anchors and positives.
    public var meanSimilarity: Double { Self.mean(similarities) }
    /// The mean cosine of anchors and their hardest negatives.
    public var meanHardest: Double { Self.mean(hardest) }

    private static func mean(_ values: [Double]) -> Double { values.reduce(0, +) / Double(max(1, values.count)) }

    /// As it is stored.
    package var json: JSONObject {
        [
            "step": .integer(Int64(step)), "final": .bool(isFinal), "alignment": .number(alignment),
            "uniformity": .number(uniformity), "similarities": .array(similarities.map(JSONValue.number)),
            "hardest": .array(hardest.map(JSONValue.number)), "ranks": .array(ranks.map { .integer(Int64($0)) }),
            "doubts": .array(
                doubts.map {
                    .array([.integer(Int64($0.row)), .integer(Int64($0.candidate)), .number($0.similarity)])
                }),
        ]
    }

    /// A stored diagnosis of `sample`; nil for anything else.
    package init?(_ json: JSONObject, of sample: DiagnosisSample) {
        let rows = sample.anchors.count
        guard let step = json["step"]?.int, let alignment = json["alignment"]?.double,
            let uniformity = json["uniformity"]?.double,
            let similarities = json["similarities"]?.array?.compactMap(\.double), similarities.count == rows,
            let hardest = json["hardest"]?.array?.compactMap(\.double), hardest.count == rows,
            let ranks = json["ranks"]?.array?.compactMap(\.int), ranks.count == rows, ranks.allSatisfy({ $0 > 0 })
        else { return nil }
        let doubts = (json["doubts"]?.array ?? []).compactMap { entry -> Doubt? in
            guard let parts = entry.array, parts.count == 3, let row = parts[0].int, let candidate = parts[1].int,
                let similarity = parts[2].double, sample.anchors.indices.contains(row),
                sample.candidates.indices.contains(candidate)
            else { return nil }
            return Doubt(row: row, candidate: candidate, similarity: similarity)
        }
        self.init(
            step: step, alignment: alignment, uniformity: uniformity, similarities: similarities, hardest: hardest,
            ranks: ranks, doubts: doubts)
        isFinal = json["final"]?.bool ?? false
    }
}
