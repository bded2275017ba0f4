// Batches of rows in the order of the file.

import TuttiGround

/// Takes the rows as they come: `sequential`, for data in an order of their own.
public struct SequentialBatchSampler: BatchSampler {
    /// "sequential".
    public var name: String { "sequential" }
    /// What its batches are.
    public var summary: String { "rows in the order of the file" }

    /// It has no settings.
    public init() {}

    /// The rows in order, cut into batches.
    public func plan(
        _ table: Table, globalBatchSize: Int, dropLast: Bool, epoch: Int, generator: inout CounterRandom
    ) -> EpochPlan {
        EpochPlan(order: (0..<Int32(table.rowCount)).map { $0 }, size: globalBatchSize, dropLast: dropLast)
    }
}
