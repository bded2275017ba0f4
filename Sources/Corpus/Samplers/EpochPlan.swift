// The batches of an epoch, planned before it begins: which rows, in which order, in global batches.
//
// A plan is a pure function of the kind, the table, the size of the global batch, the epoch and the seed; ranks do not
// appear. Every rank plans alike and takes its share of each batch (Shard), so any number of ranks sees the same ones.

import TuttiFormats
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

    /// Adds the batches of another pass over the table.
    mutating func append(_ pass: EpochPlan) {
        batchOffsets += pass.batchOffsets.dropFirst().map { $0 + rows.count }
        rows += pass.rows
    }
}

/// How rows are put into batches.
public enum BatchSamplerKind: String, Sendable, CaseIterable {
    /// Shuffled anew every epoch.
    case batchSampler = "batch_sampler"
    /// Shuffled, and no text occurs in two rows of a batch.
    case noDuplicates = "no_duplicates"
    /// Shuffled, and every label that occurs in a batch occurs in two rows of it or more, beside another label.
    case groupByLabel = "group_by_label"
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
        throw TuttiError(
            .usage, "read configuration", "batch_sampler", "there is no batch sampler '\(name)'",
            hint: TuttiError.hint(unknown: name, known: allCases.map(\.rawValue)))
    }

    /// Whether every epoch has as many batches as the first.
    public var epochsAreAlike: Bool { self != .noDuplicates }

    /// Why rows are in no batch of an epoch.
    public func reasonForLeavingOut(dropLast: Bool) -> String {
        switch self {
        case .noDuplicates:
            dropLast
                ? "no batch that they fit without repeating a text is full (dataloader_drop_last)"
                : "they fit no batch without repeating a text that is at least half full"
        case .groupByLabel: "a batch of group_by_label holds pairs of rows of one label, of two labels or more"
        case .batchSampler, .sequential: "the last batch is short (dataloader_drop_last)"
        }
    }

    /// Why `rows` rows make no batch of `size` rows at all, and what to do about it.
    public func reasonForNoBatch(rows: Int, size: Int, dropLast: Bool) -> (problem: String, hint: String) {
        if self == .noDuplicates, rows >= size {
            return (
                "texts repeat so often that no batch of \(size) rows without a repeated text is full, and "
                    + "dataloader_drop_last: true keeps full batches only",
                "Set dataloader_drop_last: false, lower the batch size, or use batch_sampler: batch_sampler."
            )
        }
        if self == .groupByLabel, rows >= size || !dropLast {
            return (
                "\(rows) rows make no batch of \(size) that holds pairs of rows of one label, of two labels or more",
                "Lower the batch size, or use batch_sampler: batch_sampler."
            )
        }
        return (
            "\(rows) rows make no batch of \(size), and dataloader_drop_last: true keeps full batches only",
            "Lower the batch size, or set dataloader_drop_last: false."
        )
    }
}

/// Plans the global batches of an epoch.
///
/// A plan has no batch when `dropLast` leaves none, or when labels make no batch of `group_by_label`.
/// `dataset` and `pass` tell orders apart where there are several data sets, or several passes over one in an epoch.
package func planEpoch(
    _ kind: BatchSamplerKind, _ table: Table, globalBatchSize: Int, epoch: Int, seed: UInt64, dropLast: Bool,
    dataset: Int = 0, pass: Int = 0
) -> EpochPlan {
    precondition(globalBatchSize > 0, "planEpoch: a batch of \(globalBatchSize) rows")
    // Purpose 1 of the seed's streams is the order of rows.
    var generator = CounterRandom(
        seed: seed, epoch: UInt32(truncatingIfNeeded: epoch), purpose: 1 + UInt32(dataset) << 8, part: UInt32(pass))
    switch kind {
    case .sequential:
        return EpochPlan(order: (0..<Int32(table.rowCount)).map { $0 }, size: globalBatchSize, dropLast: dropLast)
    case .batchSampler:
        let order = generator.permutation(of: table.rowCount)
        return EpochPlan(order: order, size: globalBatchSize, dropLast: dropLast)
    case .noDuplicates:
        let order = generator.permutation(of: table.rowCount)
        return planWithoutDuplicates(table, order: order, size: globalBatchSize, dropLast: dropLast)
    case .groupByLabel:
        guard case .integers(let labels) = table.labels else {
            preconditionFailure("planEpoch: group_by_label on a table without whole-number labels")
        }
        return planByLabel(labels, size: globalBatchSize, dropLast: dropLast, generator: &generator)
    }
}
