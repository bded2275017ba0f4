// TripletLoss: an anchor must be closer to its positive than to its negative, by a margin.
//
// Legend: `b` rows on this rank, `N` rows of all ranks, `D` width.

import TuttiEnsemble
import TuttiGround
import TuttiKernels

/// The hinge loss of the difference of two distances.
///
///     loss = 1/N  sum_i  max(0, dist(a_i, p_i) - dist(a_i, n_i) + margin)
///
/// **When to use it**: triplets with one negative each, if only these should be compared.
/// MultipleNegativesRankingLoss takes the same data and compares with the whole batch.
///
/// **Inputs**
///
/// | texts | labels |
/// |---|---|
/// | (anchor, positive, negative) | none |
///
/// **Relations**: equals the reference 6.2 on the batch of all ranks; in its versions 5.0 to 5.2, EUCLIDEAN and
/// MANHATTAN had the wrong sign. The derivative of a distance of 0 is 0, where the reference gives NaN.
///
/// **Citation**: Hermans et al. 2017, "In Defense of the Triplet Loss for Person Re-Identification", arXiv 1703.07737.
/// **Reference**: sentence_transformers, losses/triplet.py.
public final class TripletLoss: Loss {
    /// "TripletLoss".
    public static let name = "TripletLoss"

    /// Its options.
    struct Settings: LossSettings {
        var metric = TripletDistanceMetric.euclidean
        var margin = 5.0

        static let options = OptionList<Settings>([
            Option("distance_metric", \.metric, "the distance"),
            Option("triplet_margin", \.margin, "how much farther the negative must be", check: .atLeast(0)),
        ])
    }

    private let metric: TripletDistanceMetric
    private let margin: Double
    private let tape = Tape()

    /// Creates the loss.
    public init(metric: TripletDistanceMetric = .euclidean, margin: Double = 5) {
        self.metric = metric
        self.margin = margin
    }

    /// distance_metric and triplet_margin.
    public var options: [(name: String, value: JSONValue)] { Settings(metric: metric, margin: margin).listed }

    /// Refuses data other than triplets.
    public func check(_ setting: LossSetting) throws(TuttiError) { try setting.check(against: Self.entry) }

    /// This rank's part of the mean over all rows. Collective.
    public func evaluate(_ batch: LossBatch, gradients: LossGradients?, in context: LossContext) throws -> Double {
        try tape.evaluate(batch, gradients, context) { tape in
            let toPositive = tape.pairDistances(metric, tape.column(0), tape.column(1))  // [b, 1]
            let toNegative = tape.pairDistances(metric, tape.column(0), tape.column(2))  // [b, 1]
            let shortfalls = tape.relu(tape.scaled(tape.subtract(toPositive, toNegative), by: 1, plus: margin))
            return tape.sum(shortfalls, times: 1 / tape.globalRows)
        }
    }

    /// What the registry knows of it.
    static let entry = LossEntry(
        name: name,
        summary: "an anchor must be closer to its positive than to its negative, by a margin",
        inputs: [LossInput("anchor", "positive", "negative")],
        settings: Settings.self,
        citation: hermans2017,
        make: { TripletLoss(metric: $0.metric, margin: $0.margin) })

    /// The paper of all triplet losses.
    static let hermans2017 = """
        @misc{hermans2017defense,
            title={In Defense of the Triplet Loss for Person Re-Identification},
            author={Alexander Hermans and Lucas Beyer and Bastian Leibe},
            year={2017},
            eprint={1703.07737},
            archivePrefix={arXiv},
            primaryClass={cs.CV}
        }
        """
}
