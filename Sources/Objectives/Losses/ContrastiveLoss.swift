// ContrastiveLoss: similar pairs are pulled together, others are pushed apart up to a margin.
//
// Legend: `b` rows on this rank, `N` rows of all ranks, `D` width, `d` a pair's distance, `y` its label.

import TuttiEnsemble
import TuttiGround
import TuttiKernels

/// Squared distances of similar pairs, squared margin violations of dissimilar ones.
///
///     loss = 1/N  sum_i  1/2 ( y_i d_i^2 + (1 - y_i) max(0, margin - d_i)^2 )
///
/// **When to use it**: pairs labelled as similar or not, such as duplicate questions. OnlineContrastiveLoss, which
/// only uses the hard pairs, is usually stronger.
///
/// **Inputs**
///
/// | texts | labels |
/// |---|---|
/// | (anchor, other) | 1 for similar, 0 for not; any other number y weights the two terms with y and 1 - y |
///
/// **Relations**: equals the reference on the batch of all ranks; uneven and empty ranks make no difference.
///
/// **Citation**: Hadsell et al. 2006, "Dimensionality Reduction by Learning an Invariant Mapping", CVPR 2006.
/// **Reference**: sentence_transformers, losses/contrastive.py.
public final class ContrastiveLoss: Loss {
    /// "ContrastiveLoss".
    public static let name = "ContrastiveLoss"

    /// Its options.
    struct Settings: LossSettings {
        var metric = SiameseDistanceMetric.cosine
        var margin = 0.5
        var averages = true

        static let options = OptionList<Settings>([
            Option("distance_metric", \.metric, "the distance"),
            Option("margin", \.margin, "how far apart dissimilar pairs must be", check: .atLeast(0)),
            Option("size_average", \.averages, "the mean over rows, or the sum"),
        ])
    }

    private let metric: SiameseDistanceMetric
    private let margin: Double
    private let averages: Bool
    private let tape = Tape()

    /// Creates the loss.
    ///
    /// - Parameter averages: the mean over rows, or the sum.
    public init(metric: SiameseDistanceMetric = .cosine, margin: Double = 0.5, averages: Bool = true) {
        self.metric = metric
        self.margin = margin
        self.averages = averages
    }

    /// distance_metric, margin and size_average.
    public var options: [(name: String, value: JSONValue)] {
        Settings(metric: metric, margin: margin, averages: averages).listed
    }

    /// Refuses data other than pairs with one label.
    public func check(_ setting: LossSetting) throws(TuttiError) { try setting.check(against: Self.entry) }

    /// This rank's part of the mean or sum over all rows. Collective.
    public func evaluate(_ batch: LossBatch, gradients: LossGradients?, in context: LossContext) throws -> Double {
        try tape.evaluate(batch, gradients, context) { tape in
            let alike = try tape.labels(of: Self.name)  // [b, 1]
            let other = tape.scaled(alike, by: -1, plus: 1)  // [b, 1]
            let distances = tape.pairDistances(metric, tape.column(0), tape.column(1))  // [b, 1]
            let shortfalls = tape.relu(tape.scaled(distances, by: -1, plus: margin))  // [b, 1]
            let costs = tape.add(
                tape.multiply(alike, tape.square(distances)), tape.multiply(other, tape.square(shortfalls)))
            return tape.sum(costs, times: averages ? 0.5 / tape.globalRows : 0.5)
        }
    }

    /// What the registry knows of it.
    static let entry = LossEntry(
        name: name,
        summary: "similar pairs are pulled together, others are pushed apart up to a margin",
        inputs: [LossInput("anchor", "other", label: .binary)],
        settings: Settings.self,
        citation: """
            @inproceedings{hadsell2006dimensionality,
                author={Hadsell, R. and Chopra, S. and LeCun, Y.},
                booktitle={2006 IEEE Computer Society Conference on Computer Vision and Pattern Recognition (CVPR'06)},
                title={Dimensionality Reduction by Learning an Invariant Mapping},
                year={2006},
                volume={2},
                number={},
                pages={1735-1742},
                doi={10.1109/CVPR.2006.100}
            }
            """,
        make: { ContrastiveLoss(metric: $0.metric, margin: $0.margin, averages: $0.averages) })
}
