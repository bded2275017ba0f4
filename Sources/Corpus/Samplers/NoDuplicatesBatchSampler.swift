// Batches in which no text occurs in two rows, whatever the columns: for losses whose negatives are the other rows.
//
// The reference scans the remaining rows again for every batch. Here every row is placed once: each text remembers the
// batch after the last one that holds it, a row goes to the first batch with room at or after all of its texts' marks,
// and full batches are skipped through a union-find forest. That is O(texts) in all, however often texts repeat, and
// unique by construction: all batches that hold a text lie before its mark. Rows that meet a batch mate with the same
// text thus wait for a later batch. In the end, batches under half size are dissolved: each of their rows is tried in a
// bounded number of kept batches with room, the rest is packed among itself once more, and what is then still in
// batches under half size is left out and counted. Where that would be a batch and a tenth of the rows, because there are
// few different texts, these batches are kept as small as they are, as in the reference: rather small batches than none.
// Full batches come first, so that the short ones end the epoch.

import TuttiGround

/// Shuffles the rows and lets no text occur in two rows of a batch: `no_duplicates`.
public struct NoDuplicatesBatchSampler: BatchSampler {
    /// "no_duplicates".
    public var name: String { "no_duplicates" }
    /// What its batches are.
    public var summary: String { "rows in random order, no text in two rows of a batch" }
    /// False: how many batches there are depends on how the order meets the texts.
    public var epochsAreAlike: Bool { false }
    /// That texts repeat.
    public var reasonForSmallBatches: String? { "texts repeat so often that no_duplicates makes small batches" }

    /// It has no settings.
    public init() {}

    /// Every row in the first batch that it fits, from a random order.
    public func plan(
        _ table: Table, globalBatchSize: Int, dropLast: Bool, epoch: Int, generator: inout CounterRandom
    ) -> EpochPlan {
        let order = generator.permutation(of: table.rowCount)
        return planWithoutDuplicates(table, order: order, size: globalBatchSize, dropLast: dropLast)
    }

    /// That no batch has room for a text once more.
    public func reasonForLeavingOut(dropLast: Bool) -> String {
        dropLast
            ? "no batch that they fit without repeating a text is full (dataloader_drop_last)"
            : "they fit no batch without repeating a text that is at least half full"
    }

    /// That texts repeat too often for a full batch, or that there are too few rows.
    public func reasonForNoBatch(rows: Int, size: Int, dropLast: Bool) -> (problem: String, hint: String) {
        guard rows >= size else {
            return DefaultBatchSampler().reasonForNoBatch(rows: rows, size: size, dropLast: dropLast)
        }
        return (
            "texts repeat so often that no batch of \(size) rows without a repeated text is full, and "
                + "dataloader_drop_last: true keeps full batches only",
            "Set dataloader_drop_last: false, lower the batch size, or use batch_sampler: batch_sampler."
        )
    }
}

/// Plans batches of `size` rows from `order` so that no text occurs in two rows of a batch.
private func planWithoutDuplicates(_ table: Table, order: [Int32], size: Int, dropLast: Bool) -> EpochPlan {
    let numbering = TextNumbering(table)
    let least = dropLast ? size : (min(size, table.rowCount) + 1) / 2
    var packing = BatchPacking(numbering: numbering, size: size)
    for row in order { packing.place(row) }
    var (kept, dissolved) = packing.split(least: least)
    dissolved = refill(&kept, with: dissolved, numbering: numbering, size: size)
    if !dissolved.isEmpty {
        var second = BatchPacking(numbering: numbering, size: size)
        for row in dissolved { second.place(row) }
        var (more, rest) = second.split(least: least)
        if !dropLast, rest.count * 10 > order.count, rest.count >= min(size, table.rowCount) {
            (more, rest) = second.split(least: 1)
        }
        kept += more
        dissolved = rest
    }
    let full = kept.filter { $0.count == size }
    let short = dropLast ? [] : kept.filter { $0.count < size }
    var rows: [Int32] = []
    rows.reserveCapacity(order.count)
    var offsets = [0]
    for batch in full + short {
        rows.append(contentsOf: batch)
        offsets.append(rows.count)
    }
    return EpochPlan(rows: rows, batchOffsets: offsets, leftOut: order.count - rows.count)
}

/// Places each of `rows` into one of the batches with room if it fits one of at most 16 that it is tried in; returns
/// the others.
private func refill(
    _ batches: inout [[Int32]], with rows: [Int32], numbering: TextNumbering, size: Int
) -> [Int32] {
    var open = batches.indices.filter { batches[$0].count < size }
    guard !open.isEmpty else { return rows }
    // Number 0 occurs nowhere else.
    var texts = open.map { batch in Set(batches[batch].lazy.flatMap { numbering.texts(of: $0) }.filter { $0 > 0 }) }
    var others: [Int32] = []
    var cursor = 0
    for row in rows {
        var placed = false
        for attempt in 0..<min(16, open.count) where !placed {
            let choice = (cursor + attempt) % open.count
            guard numbering.texts(of: row).allSatisfy({ !texts[choice].contains($0) }) else { continue }
            batches[open[choice]].append(row)
            texts[choice].formUnion(numbering.texts(of: row).lazy.filter { $0 > 0 })
            placed = true
            if batches[open[choice]].count == size {
                // The order of the open batches does not matter, so the last one takes the place.
                open.swapAt(choice, open.count - 1)
                open.removeLast()
                texts.swapAt(choice, texts.count - 1)
                texts.removeLast()
            }
            cursor = open.isEmpty ? 0 : choice % open.count
        }
        if !placed {
            others.append(row)
            cursor = open.isEmpty ? 0 : (cursor + 16) % open.count
        }
    }
    return others
}

/// Batches that are being filled.
private struct BatchPacking {
    private let numbering: TextNumbering
    private let size: Int
    private var batches: [[Int32]] = []
    /// For every batch, a batch at or after it that may have room; its own number while it has.
    private var roomFrom: [Int] = []
    /// For every text by its number, the batch after the last one that holds it; always 0 for number 0.
    private var marks: [Int32]

    init(numbering: TextNumbering, size: Int) {
        self.numbering = numbering
        self.size = size
        marks = [Int32](repeating: 0, count: numbering.count + 1)
    }

    mutating func place(_ row: Int32) {
        var earliest: Int32 = 0
        for text in numbering.texts(of: row) { earliest = max(earliest, marks[Int(text)]) }
        let batch = firstWithRoom(Int(earliest))
        if batch == batches.count {
            batches.append([])
            roomFrom.append(batch)
        }
        batches[batch].append(row)
        if batches[batch].count == size { roomFrom[batch] = batch + 1 }
        for text in numbering.texts(of: row) where text > 0 { marks[Int(text)] = Int32(batch) + 1 }
    }

    /// The batches of at least `least` rows, and the rows of all others in the order in which they were placed.
    func split(least: Int) -> (kept: [[Int32]], rest: [Int32]) {
        (batches.filter { $0.count >= least }, batches.filter { $0.count < least }.flatMap { $0 })
    }

    /// The first batch at or after `batch` with room; one past the last if there is none. Halves the paths it walks.
    private mutating func firstWithRoom(_ batch: Int) -> Int {
        var batch = batch
        while batch < roomFrom.count, roomFrom[batch] != batch {
            let next = roomFrom[batch]
            if next < roomFrom.count { roomFrom[batch] = roomFrom[next] }
            batch = next
        }
        return batch
    }
}
