// BatchHardTripletLoss: each text of a batch with the farthest of its class and the nearest of the others.
//
// Legend: `b` rows on this rank, `N` rows of all ranks, `D` width, `d_ij` the distance of row i from row j.

import TuttiEnsemble
import TuttiGround
import TuttiKernels

/// The triplet of every row with its farthest positive and its nearest negative in the global batch.
///
///     loss = 1/N  sum_i  max(0, max{ d_ij : y_j = y_i } - min{ d_ik : y_k != y_i } + margin)
///
/// **When to use it**: texts with classes. Batches need several texts of each class: `batch_sampler: group_by_label`.
/// Too hard for an untrained model; BatchHardSoftMarginTripletLoss needs no margin.
///
/// **Inputs**
///
/// | texts | labels |
/// |---|---|
/// | (sentence) | class |
///
/// **Relations**: equals the reference in one process with the batch of all ranks; under DDP it uses one rank's.
/// As there, an anchor without a positive has one at distance 0, and one without a negative contributes the margin.
///
/// **Memory**: distances of own rows from all rows, `[b, N]`.
///
/// **Citation**: Hermans et al. 2017, "In Defense of the Triplet Loss for Person Re-Identification", arXiv 1703.07737.
/// **Reference**: sentence_transformers, losses/batch_hard_triplet.py.
package final class BatchHardTripletLoss: Loss {
    /// "BatchHardTripletLoss".
    package static let name = "BatchHardTripletLoss"

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

    /// This rank's part of the mean over all rows. Collective.
    package func evaluate(_ batch: LossBatch, gradients: LossGradients?, in context: LossContext) throws -> Double {
        try tape.evaluate(batch, gradients, context) { tape in
            let triplets = try BatchTriplets(tape, distance, loss: Self.name)
            let differences = triplets.hardestDifferences(tape)  // [b, 1]
            return tape.sum(tape.relu(tape.scaled(differences, by: 1, plus: margin)), times: 1 / tape.globalRows)
        }
    }

    /// What the registry knows of it.
    static let entry = LossEntry(
        name: name, summary: "each text with the farthest of its class and the nearest of the others",
        inputs: BatchTripletDistance.inputs,
        settings: BatchTripletDistance.Settings.self,
        citation: TripletLoss.hermans2017,
        make: { BatchHardTripletLoss(distance: $0.distance, margin: $0.margin) })
}
