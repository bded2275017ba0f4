// BatchSemiHardTripletLoss: each positive pair of a batch with the nearest negative that is farther than the positive.
//
// Legend: `b` rows on this rank, `N` rows of all ranks, `D` width, `d_ij` the distance of row i from row j.

import TuttiEnsemble
import TuttiGround
import TuttiKernels

/// The triplet of every positive pair of the global batch with its semi-hard negative.
///
///     loss = 1/P  sum over y_i = y_j of max(0, d_ij - h_ij + margin)
///     h_ij = min{ d_ik : y_k != y_i, d_ik > d_ij }, or max{ d_ik : y_k != y_i } if there is none
///
/// P is the number of positive pairs; without any, the loss is 0.
///
/// **When to use it**: texts with classes, in batches with several of each class: `batch_sampler: group_by_label`.
/// Easier on an untrained model than BatchHardTripletLoss.
///
/// **Inputs**
///
/// | texts | labels |
/// |---|---|
/// | (sentence) | class |
///
/// **Relations**: equals the reference in one process with the batch of all ranks; under DDP it uses one rank's.
/// As there, h_ij is 0 if there is no negative at all.
///
/// **Memory**: distances of own rows from all rows, `[b, N]`. O(b N log N).
///
/// **Citation**: Hermans et al. 2017, "In Defense of the Triplet Loss for Person Re-Identification", arXiv 1703.07737.
/// **Reference**: sentence_transformers, losses/batch_semi_hard_triplet.py.
package final class BatchSemiHardTripletLoss: Loss {
    /// "BatchSemiHardTripletLoss".
    package static let name = "BatchSemiHardTripletLoss"

    private let distance: BatchTripletDistance
    private let margin: Double
    private let tape = Tape()

    /// Creates the loss.
    package init(distance: BatchTripletDistance = .euclidean, margin: Double = 5) {
        self.distance = distance
        self.margin = margin
    }

    /// distance_metric and margin.
    package var options: [(name: String, value: JSONValue)] {
        BatchTripletDistance.Settings(distance: distance, margin: margin).listed
    }

    /// Refuses data other than single texts with a class.
    package func check(_ setting: LossSetting) throws(TuttiError) { try setting.check(against: Self.entry) }

    /// This rank's part of the mean over all positive pairs. Collective.
    package func evaluate(_ batch: LossBatch, gradients: LossGradients?, in context: LossContext) throws -> Double {
        try tape.evaluate(batch, gradients, context) { tape in
            let triplets = try BatchTriplets(tape, distance, loss: Self.name)
            var pairs = 0
            let shortfalls = tape.mapRows(triplets.distances) { anchor, distances, slopes in
                let negatives = triplets.negatives(anchor).sorted { distances[$0] < distances[$1] }
                let itself = triplets.places.lowerBound + anchor  // at distance 0
                var sum = 0.0
                for positive in triplets.positives(anchor) {
                    pairs += 1
                    let nearer = negatives.prefixCount { distances[$0] <= distances[positive] }
                    let negative = nearer < negatives.count ? negatives[nearer] : negatives.last ?? itself
                    let shortfall = Double(distances[positive]) - Double(distances[negative]) + margin
                    guard shortfall > 0 else { continue }
                    sum += shortfall
                    slopes[positive] += 1
                    slopes[negative] -= 1
                }
                return sum
            }  // [b, 1]
            return tape.sum(shortfalls, times: 1 / max(1, try tape.sumOverRanks(Double(pairs))))
        }
    }

    /// What the registry knows of it.
    static let entry = LossEntry(
        name: name, summary: "each positive pair with the nearest negative that is farther than the positive",
        inputs: BatchTripletDistance.inputs,
        settings: BatchTripletDistance.Settings.self,
        citation: TripletLoss.hermans2017,
        make: { BatchSemiHardTripletLoss(distance: $0.distance, margin: $0.margin) })
}
