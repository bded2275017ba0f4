// Batches of rows in random order.

import TuttiGround

/// Shuffles the rows anew every epoch: `batch_sampler`.
public struct DefaultBatchSampler: BatchSampler {
    /// "batch_sampler".
    public var name: String { "batch_sampler" }
    /// What its batches are.
    public var summary: String { "rows in an order drawn anew every epoch" }

    /// It has no settings.
    public init() {}

    /// A permutation of the rows, cut into batches.
    public func plan(
        _ table: Table, globalBatchSize: Int, dropLast: Bool, epoch: Int, generator: inout CounterRandom
    ) -> EpochPlan {
        EpochPlan(order: generator.permutation(of: table.rowCount), size: globalBatchSize, dropLast: dropLast)
    }
}
