// The batches of an epoch, planned before it begins: which rows, in which order, in global batches.
//
// A plan is a pure function of the kind, the table, the size of the global batch, the epoch and the seed; ranks do not
// appear. Every rank plans alike and takes its share of each batch (Shard), so any number of ranks sees the same ones.

import TuttiFormats

/// The rows of an epoch in order, cut into global batches.
public struct EpochPlan: Sendable, Equatable {
    /// The rows of all batches, one after the other.
    public let rows: [Int32]
    /// Where batches begin in `rows`; one more than there are batches.
    public let batchOffsets: [Int]
    /// Rows of the table that are in no batch of this epoch.
    public let leftOut: Int

    /// The number of batches.
    public var batchCount: Int { batchOffsets.count - 1 }

    /// The rows of batch `index`.
    public func batch(_ index: Int) -> ArraySlice<Int32> { rows[batchOffsets[index]..<batchOffsets[index + 1]] }

    /// Cuts `order` into batches of `size`; a short last one is left out if `dropLast`.
    init(order: [Int32], size: Int, dropLast: Bool) {
        let kept = dropLast ? order.count / size * size : order.count
        rows = Array(order[..<kept])
        batchOffsets = Array(stride(from: 0, to: kept, by: size)) + [kept]
        leftOut = order.count - kept
    }

    /// A plan of ready batches.
    init(rows: [Int32], batchOffsets: [Int], leftOut: Int) {
        self.rows = rows
        self.batchOffsets = batchOffsets
        self.leftOut = leftOut
    }
}

/// How rows are put into batches.
public enum BatchSamplerKind: String, Sendable, CaseIterable {
    /// Shuffled anew every epoch.
    case batchSampler = "batch_sampler"
    /// Shuffled, and no text occurs in two rows of a batch.
    case noDuplicates = "no_duplicates"
    /// In the order of the file.
    case sequential

    /// The kind with the configuration's name, in the reference's spellings too ("BatchSamplers.NO_DUPLICATES").
    ///
    /// Throws: `.usage` listing the known names.
    public static func named(_ name: String) throws(TuttiError) -> BatchSamplerKind {
        var plain = name.lowercased()
        if plain.hasPrefix("batchsamplers.") { plain.removeFirst("batchsamplers.".count) }
        // The reference's hashed variant makes the same batches.
        if plain == "no_duplicates_hashed" { plain = "no_duplicates" }
        if let kind = BatchSamplerKind(rawValue: plain) { return kind }
        let known = allCases.map(\.rawValue)
        if plain == "group_by_label" {
            throw TuttiError(
                .usage, "read configuration", "batch_sampler", "group_by_label is not yet available",
                hint: "Known: \(known.joined(separator: ", ")).")
        }
        throw TuttiError(
            .usage, "read configuration", "batch_sampler", "there is no batch sampler '\(name)'",
            hint: TuttiError.hint(unknown: name, known: known))
    }
}

/// Plans the global batches of an epoch.
///
/// A plan has no batch when `dropLast` leaves none, or when texts repeat so much that no batch could be half full.
public func planEpoch(
    _ kind: BatchSamplerKind, _ table: Table, globalBatchSize: Int, epoch: Int, seed: UInt64, dropLast: Bool
) -> EpochPlan {
    precondition(globalBatchSize > 0, "planEpoch: a batch of \(globalBatchSize) rows")
    switch kind {
    case .sequential:
        return EpochPlan(order: (0..<Int32(table.rowCount)).map { $0 }, size: globalBatchSize, dropLast: dropLast)
    case .batchSampler:
        let order = shuffledRows(of: table, epoch: epoch, seed: seed)
        return EpochPlan(order: order, size: globalBatchSize, dropLast: dropLast)
    case .noDuplicates:
        let order = shuffledRows(of: table, epoch: epoch, seed: seed)
        return planWithoutDuplicates(table, order: order, size: globalBatchSize, dropLast: dropLast)
    }
}

/// The rows of a table in the epoch's random order.
private func shuffledRows(of table: Table, epoch: Int, seed: UInt64) -> [Int32] {
    // Purpose 1 of the seed's streams is the order of rows.
    var generator = PhiloxGenerator(seed: seed, epoch: UInt32(truncatingIfNeeded: epoch), purpose: 1)
    return generator.permutation(of: table.rowCount)
}
