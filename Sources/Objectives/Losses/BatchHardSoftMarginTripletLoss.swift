// BatchHardSoftMarginTripletLoss: BatchHardTripletLoss with a smooth function instead of a margin.
//
// Legend: `b` rows on this rank, `N` rows of all ranks, `D` width, `d_ij` the distance of row i from row j.

import TuttiEnsemble
import TuttiGround
import TuttiKernels

/// The triplet of every row with its farthest positive and its nearest negative in the global batch, without a margin.
///
///     loss = 1/N  sum_i  log(1 + exp( max{ d_ij : y_j = y_i } - min{ d_ik : y_k != y_i } ))
///
/// **When to use it**: as BatchHardTripletLoss, if no margin is known. Batches need several texts of each class:
/// `batch_sampler: group_by_label`.
///
/// **Inputs**
///
/// | texts | labels |
/// |---|---|
/// | (sentence) | class |
///
/// **Relations**: equals the reference in one process with the batch of all ranks; under DDP it uses one rank's.
/// Anchors without positives or negatives count as in BatchHardTripletLoss. Large differences do not overflow.
///
/// **Memory**: distances of own rows from all rows, `[b, N]`.
///
/// **Citation**: Hermans et al. 2017, "In Defense of the Triplet Loss for Person Re-Identification", arXiv 1703.07737.
/// **Reference**: sentence_transformers, losses/batch_hard_soft_margin_triplet.py.
package final class BatchHardSoftMarginTripletLoss: Loss {
    /// "BatchHardSoftMarginTripletLoss".
    package static let name = "BatchHardSoftMarginTripletLoss"

    /// Its options.
    struct Settings: LossSettings {
        var distance = BatchTripletDistance.euclidean

        static let options = OptionList<Settings>([
            Option("distance_metric", \.distance, "the distance")
        ])
    }

    private let distance: BatchTripletDistance
    private let tape = Tape()

    /// Creates the loss.
    package init(distance: BatchTripletDistance = .euclidean) {
        self.distance = distance
    }

    /// distance_metric.
    package var options: [(name: String, value: JSONValue)] { Settings(distance: distance).listed }

    /// Refuses data other than single texts with a class.
    package func check(_ setting: LossSetting) throws(TuttiError) { try setting.check(against: Self.entry) }

    /// This rank's part of the mean over all rows. Collective.
    package func evaluate(_ batch: LossBatch, gradients: LossGradients?, in context: LossContext) throws -> Double {
        try tape.evaluate(batch, gradients, context) { tape in
            let triplets = try BatchTriplets(tape, distance, loss: Self.name)
            return tape.sum(tape.softplus(triplets.hardestDifferences(tape)), times: 1 / tape.globalRows)
        }
    }

    /// What the registry knows of it.
    static let entry = LossEntry(
        name: name, summary: "BatchHardTripletLoss with a smooth function instead of a margin",
        inputs: BatchTripletDistance.inputs, settings: Settings.self,
        citation: TripletLoss.hermans2017,
        make: { BatchHardSoftMarginTripletLoss(distance: $0.distance) })
}
