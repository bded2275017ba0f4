// The batches of an epoch, planned before it begins: which rows, in which order, in global batches.
//
// A plan is a pure function of the sampler, the table, the size of the global batch, the epoch and the seed; ranks do not
// appear. Every rank plans alike and takes its share of each batch (Shard), so any number of ranks sees the same ones.

import TuttiGround

/// The rows of an epoch in order, cut into global batches.
public struct EpochPlan: Sendable, Equatable {
    /// The rows of all batches, one after the other.
    public private(set) var rows: [Int32]
    /// Where batches begin in `rows`; one more than there are batches.
    public private(set) var batchOffsets: [Int]
    /// Rows of the table that are in no batch of this epoch.
    public let leftOut: Int

    /// The number of batches.
    public var batchCount: Int { batchOffsets.count - 1 }

    /// The rows of batch `index`.
    public func batch(_ index: Int) -> ArraySlice<Int32> { rows[batchOffsets[index]..<batchOffsets[index + 1]] }

    /// Cuts `order` into batches of `size`; a short last one is left out if `dropLast`.
    public init(order: [Int32], size: Int, dropLast: Bool) {
        precondition(size > 0, "EpochPlan: batches of \(size) rows")
        let kept = dropLast ? order.count / size * size : order.count
        rows = kept == order.count ? order : Array(order[..<kept])  // as long as the data set: not copied without need
        batchOffsets = Array(stride(from: 0, to: kept, by: size)) + [kept]
        leftOut = order.count - kept
    }

    /// A plan of ready batches.
    ///
    /// - Parameters:
    ///   - rows: the rows of all batches, one after the other.
    ///   - batchOffsets: where batches begin in `rows`, and its end: ascending from 0; no batch is empty.
    ///   - leftOut: rows of the table that are in no batch.
    public init(rows: [Int32], batchOffsets: [Int], leftOut: Int) {
        precondition(
            batchOffsets.first == 0 && batchOffsets.last == rows.count
                && zip(batchOffsets, batchOffsets.dropFirst()).allSatisfy { $0 < $1 },
            "EpochPlan: batches do not begin and end where \(rows.count) rows do")
        self.rows = rows
        self.batchOffsets = batchOffsets
        self.leftOut = leftOut
    }

    /// Adds the batches of another pass over the table.
    mutating func append(_ pass: EpochPlan) {
        batchOffsets += pass.batchOffsets.dropFirst().map { $0 + rows.count }
        rows += pass.rows
    }
}

/// Plans the global batches of an epoch.
///
/// A plan has no batch when `dropLast` leaves none, or when labels make no batch of `group_by_label`.
/// `dataset` and `pass` tell orders apart where there are several data sets, or several passes over one in an epoch.
package func planEpoch(
    _ sampler: any BatchSampler, _ table: Table, globalBatchSize: Int, epoch: Int, seed: UInt64, dropLast: Bool,
    dataset: Int = 0, pass: Int = 0
) -> EpochPlan {
    precondition(globalBatchSize > 0, "planEpoch: a batch of \(globalBatchSize) rows")
    // Purpose 1 of the seed's streams is the order of rows.
    var generator = CounterRandom(
        seed: seed, epoch: UInt32(truncatingIfNeeded: epoch), purpose: 1 + UInt32(dataset) << 8, part: UInt32(pass))
    return sampler.plan(
        table, globalBatchSize: globalBatchSize, dropLast: dropLast, epoch: epoch, generator: &generator)
}
