// BatchAllTripletLoss: all triplets of a batch that violate the margin.
//
// Legend: `b` rows on this rank, `N` rows of all ranks, `D` width, `d_ij` the distance of row i from row j.

import TuttiEnsemble
import TuttiGround
import TuttiKernels

/// The mean hinge loss of all triplets of the global batch whose negative is not far enough.
///
///     loss = sum over y_i = y_j != y_k of max(0, d_ij - d_ik + margin) / M
///
/// M is the number of triplets that violate the margin; without any, the loss is 0.
///
/// **When to use it**: texts with classes, in batches with several of each class: `batch_sampler: group_by_label`.
/// Smoother than BatchHardTripletLoss, since every triplet that is not yet solved counts.
///
/// **Inputs**
///
/// | texts | labels |
/// |---|---|
/// | (sentence) | class |
///
/// **Relations**: equals the reference in one process with the batch of all ranks; under DDP it uses one rank's.
///
/// **Memory**: distances of own rows from all rows, `[b, N]`, where the reference needs `[N, N, N]`: with the negatives
/// of an anchor sorted, all triplets of a positive are a prefix of them. O(b N log N).
///
/// **Citation**: Hermans et al. 2017, "In Defense of the Triplet Loss for Person Re-Identification", arXiv 1703.07737.
/// **Reference**: sentence_transformers, losses/batch_all_triplet.py.
package final class BatchAllTripletLoss: Loss {
    /// "BatchAllTripletLoss".
    package static let name = "BatchAllTripletLoss"

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

    /// This rank's part of the mean over all violating triplets. Collective.
    package func evaluate(_ batch: LossBatch, gradients: LossGradients?, in context: LossContext) throws -> Double {
        try tape.evaluate(batch, gradients, context) { tape in
            let triplets = try BatchTriplets(tape, distance, loss: Self.name)
            var violations = 0
            let shortfalls = tape.mapRows(triplets.distances) { anchor, distances, slopes in
                let negatives = triplets.negatives(anchor).sorted { distances[$0] < distances[$1] }
                let sums = negatives.reduce(into: [0.0]) { $0.append($0[$0.count - 1] + Double(distances[$1])) }
                var nearer = [Int](repeating: 0, count: negatives.count + 1)  // positives with that many negatives
                var shortfall = 0.0
                for positive in triplets.positives(anchor) {
                    let reach = Double(distances[positive]) + margin
                    let count = negatives.prefixCount { Double(distances[$0]) < reach }
                    shortfall += Double(count) * reach - sums[count]
                    slopes[positive] += Float(count)
                    nearer[count] += 1
                    violations += count
                }
                var meeting = 0
                for place in negatives.indices.reversed() {
                    meeting += nearer[place + 1]
                    slopes[negatives[place]] -= Float(meeting)
                }
                return shortfall
            }  // [b, 1]
            return tape.sum(shortfalls, times: 1 / max(1, try tape.sumOverRanks(Double(violations))))
        }
    }

    /// What the registry knows of it.
    static let entry = LossEntry(
        name: name, summary: "all triplets of the global batch that violate the margin",
        inputs: BatchTripletDistance.inputs,
        settings: BatchTripletDistance.Settings.self,
        citation: TripletLoss.hermans2017,
        make: { BatchAllTripletLoss(distance: $0.distance, margin: $0.margin) })
}
