// OnlineContrastiveLoss: ContrastiveLoss of the hard pairs of the global batch.
//
// Legend: `b` rows on this rank, `N` rows of all ranks, `D` width, `d` a pair's distance, `y` its label.

import TuttiEnsemble
import TuttiGround
import TuttiKernels

/// Squared distances of similar pairs that are farther apart than the nearest dissimilar pair, and the reverse.
///
///     loss = sum of d_i^2 over y_i = 1, d_i > min{ d_j : y_j = 0 }
///          + sum of max(0, margin - d_i)^2 over y_i = 0, d_i < max{ d_j : y_j = 1 }
///
/// Without a pair of the other kind, the threshold is the mean distance of the own kind.
///
/// **When to use it**: pairs labelled as similar or not; usually stronger than ContrastiveLoss. It needs batches
/// with both kinds, and finds harder pairs in larger ones.
///
/// **Inputs**
///
/// | texts | labels |
/// |---|---|
/// | (anchor, other) | 1 for similar, 0 for not; rows with any other label are ignored |
///
/// **Relations**: equals the reference in one process with the batch of all ranks: the thresholds are those of the
/// global batch (the reference under DDP uses each rank's own). It is a sum, without the 1/2 of ContrastiveLoss.
///
/// **Reference**: sentence_transformers, losses/online_contrastive.py.
package final class OnlineContrastiveLoss: Loss {
    /// "OnlineContrastiveLoss".
    package static let name = "OnlineContrastiveLoss"

    /// Its options.
    struct Settings: LossSettings {
        var metric = SiameseDistanceMetric.cosine
        var margin = 0.5

        static let options = OptionList<Settings>([
            Option("distance_metric", \.metric, "the distance"),
            Option("margin", \.margin, "how far apart dissimilar pairs must be", check: .atLeast(0)),
        ])
    }

    private let metric: SiameseDistanceMetric
    private let margin: Double
    private let tape = Tape()

    /// Creates the loss.
    package init(metric: SiameseDistanceMetric = .cosine, margin: Double = 0.5) {
        self.metric = metric
        self.margin = margin
    }

    /// distance_metric and margin.
    package var options: [(name: String, value: JSONValue)] { Settings(metric: metric, margin: margin).listed }

    /// Refuses data other than pairs with one label.
    package func check(_ setting: LossSetting) throws(TuttiError) { try setting.check(against: Self.entry) }

    /// This rank's part of the sum over the hard pairs of all ranks. Collective.
    package func evaluate(_ batch: LossBatch, gradients: LossGradients?, in context: LossContext) throws -> Double {
        try tape.evaluate(batch, gradients, context) { tape in
            let labels = try tape.labels(of: Self.name).matrix  // [b, 1]
            let distances = tape.pairDistances(metric, tape.column(0), tape.column(1))  // [b, 1]
            let alike = try Kind(1, labels, distances.matrix, tape)
            let other = try Kind(0, labels, distances.matrix, tape)
            let (nearest, farthest) = (other.smallest ?? alike.mean, alike.largest ?? other.mean)
            let hardAlike = alike.choose(tape) { $0 > nearest }  // [b, 1]
            let hardOther = other.choose(tape) { $0 < farthest }  // [b, 1]
            let shortfalls = tape.relu(tape.scaled(distances, by: -1, plus: margin))  // [b, 1]
            let costs = tape.add(
                tape.multiply(hardAlike, tape.square(distances)), tape.multiply(hardOther, tape.square(shortfalls)))
            return tape.sum(costs)
        }
    }

    /// What the registry knows of it.
    static let entry = LossEntry(
        name: name,
        summary: "ContrastiveLoss of the hard pairs of the global batch",
        inputs: [LossInput("anchor", "other", label: .binary)],
        settings: Settings.self,
        make: { OnlineContrastiveLoss(metric: $0.metric, margin: $0.margin) })
}

/// The pairs of all ranks with one label: no gradient flows through their statistics.
private struct Kind {
    private let distances: Matrix  // [b, 1]
    private let isMember: [Bool]  // [b]
    /// The minimum and maximum distance over all ranks; nil without a pair.
    let smallest, largest: Double?
    /// The mean distance over all ranks; 0 without a pair.
    let mean: Double

    /// Collective.
    init(_ label: Float, _ labels: Matrix, _ distances: Matrix, _ tape: Tape) throws {
        let isMember = (0..<labels.rows).map { labels[$0, 0] == label }
        let own = isMember.indices.filter { isMember[$0] }.map { Double(distances[$0, 0]) }
        let count = try tape.sumOverRanks(Double(own.count))
        let sum = try tape.sumOverRanks(own.reduce(0, +))
        let least = try -tape.maxOverRanks(-(own.min() ?? .infinity))
        let most = try tape.maxOverRanks(own.max() ?? -.infinity)
        (self.distances, self.isMember) = (distances, isMember)
        (smallest, largest) = count > 0 ? (least, most) : (nil, nil)
        mean = count > 0 ? sum / count : 0
    }

    /// 1 for the own pairs with such a distance, 0 for others.
    func choose(_ tape: Tape, _ isHard: (Double) -> Bool) -> TapeValue {
        let chosen = tape.newMatrix(distances.rows, 1)
        for row in isMember.indices {
            chosen[row, 0] = isMember[row] && isHard(Double(distances[row, 0])) ? 1 : 0
        }
        return tape.constant(chosen)
    }
}
