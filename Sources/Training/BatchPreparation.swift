// A rank's rows become what the roles of a loss read: token ids, packed, with labels and keys beside them.

import TuttiCorpus
import TuttiEncoders
import TuttiGround
import TuttiModels
import TuttiObjectives

/// One micro-batch of this rank, ready to be encoded.
struct PreparedBatch: Sendable {
    /// The number of its data set.
    var dataset = 0
    /// What each role reads: its text columns, column after column, packed without padding.
    var texts: [Role: PackedBatch] = [:]
    /// Rows on this rank, b; may be zero.
    var rows: Int
    /// Rows of the global batch, N.
    var globalRows: Int
    /// The rows of this rank in the table, for messages.
    var rowNumbers: [Int32] = []
    /// Text columns that the student reads, C.
    var columns: Int
    /// Text columns of the data.
    var textColumns: Int
    var labels: [Float]  // [b * labelWidth]
    var labelWidth: Int
    /// Equal where texts have equal tokens; empty where nobody asks.
    var textKeys: [UInt64]  // [textColumns * b] or []
    /// Floating-point operations of the student's pass over it, forward and backward; recomputation is not counted.
    var flops = 0.0

    /// The texts of a role; none where nobody has asked for it.
    subscript(role: Role) -> PackedBatch { texts[role] ?? PackedBatch() }
}

/// Turns a rank's rows into what the roles and the loss read.
struct BatchPreparation: Sendable {
    /// How texts reach one role.
    private struct Reader {
        let role: Role
        let collator: Collator
        let columns: [Int]
        /// Tokens that were made before, as the collator would make them.
        let tokens: TokenStore?
    }

    /// One a role, the student's first.
    private let readers: [Reader]
    /// The student's.
    private let collator: Collator
    private let textColumns: Int
    /// Damages the texts that the model encodes and a decoder reconstructs.
    private let deletion: WordDeletion?
    private let needsTextKeys: Bool
    /// Whether ranks get as many rows each, rather than as much text.
    private let equalRows: Bool
    /// Whether texts are read, and not their tokens alone.
    private let needsTexts: Bool
    /// The routes of the model.
    private let plans: [EncoderPlan]

    /// What `objective` needs of a table with `columnCount` text columns, whose columns have these prompts and tasks.
    ///
    /// - Parameters:
    ///   - seed: seed of the run.
    ///   - epoch: the epoch, of which damaged texts are a function.
    ///   - equalRows: whether ranks get as many rows each, also where the loss would not mind.
    ///   - tokens: the tokens of the table's texts, if they are in a cache.
    /// - Throws: `.usage` for a task that has no route.
    init(
        _ objective: Objective, columnCount: Int, prompts: [String], tasks: [String?], seed: UInt64, epoch: Int,
        equalRows: Bool, tokens: TokenStore? = nil
    ) throws(TuttiError) {
        let requirements = objective.requirements
        deletion =
            columnCount > 1
            ? nil
            : requirements.decoder.map {
                WordDeletion(ratio: $0.deletionRatio, seed: seed, epoch: UInt32(truncatingIfNeeded: epoch))
            }
        var readers: [Reader] = []
        for role in objective.roles {
            let collator = try objective.makeCollator(for: role, prompts: prompts, tasks: tasks)
            let isCached =
                tokens != nil && role != .decoder && !(role == .student && deletion != nil)
                && tokens?.readerDigest == collator.digest(columns: columnCount)
            readers.append(
                Reader(
                    role: role, collator: collator, columns: requirements.columns(of: role).numbers(of: columnCount),
                    tokens: isCached ? tokens : nil))
        }
        self.readers = readers
        collator = readers[0].collator
        textColumns = columnCount
        needsTexts = readers.contains { $0.tokens == nil }
        needsTextKeys = requirements.needsTextKeys
        plans = objective.model.encoder.routes.map(\.plan)
        self.equalRows = equalRows || objective.loss.dependsOnDealing
    }

    /// This rank's share of a global batch.
    ///
    /// Throws: `.data` where the files of a cache are damaged.
    func batch(
        of table: Table, _ globalRows: ArraySlice<Int32>, rank: Int, world: Int
    ) throws(TuttiError) -> PreparedBatch {
        defer { table.store?.release() }
        let texts = TextBatch(
            table: table, globalRows: globalRows, rank: rank, world: world,
            longestText: equalRows ? nil : collator.longestText, hasTexts: needsTexts)
        if needsTexts { try table.check(rows: texts.rows) }
        // The width is that of the batch: a rank without rows has labels too, none of them.
        let labelWidth = globalRows.first.flatMap { table.label(row: Int($0)) }.map { Self.numbers($0).count } ?? 0
        var batch = PreparedBatch(
            rows: texts.rows.count, globalRows: texts.globalCount, columns: readers[0].columns.count,
            textColumns: textColumns,
            labels: texts.labels.flatMap(Self.numbers), labelWidth: labelWidth, textKeys: [])
        batch.rowNumbers = texts.rows
        for reader in readers {
            if reader.role == .twin, reader.columns == readers[0].columns {
                batch.texts[.twin] = batch.texts[.student]  // the same tokens
                continue
            }
            var packed = PackedBatch()
            if let deletion, reader.role == .student {
                for (place, row) in texts.rows.enumerated() {
                    reader.collator.append(
                        deletion.damaged(texts.columns[0][place], row: row),
                        slot: UInt64(texts.slots.lowerBound + place), column: 0, to: &packed)
                }
            } else {
                for column in reader.columns { try append(texts, of: table, column, reader, to: &packed) }
            }
            batch.texts[reader.role] = packed
        }
        batch.flops = flops(batch[.student])
        if needsTextKeys { batch.textKeys = try keys(texts, of: table) }
        return batch
    }

    /// The operations of a training pass over `packed`, each sequence by its route.
    private func flops(_ packed: PackedBatch) -> Double {
        let lengths = packed.lengths
        return plans.enumerated().reduce(0) { sum, route in
            let own =
                plans.count == 1
                ? lengths : lengths.indices.filter { packed.routes[$0] == route.offset }.map { lengths[$0] }
            return sum + route.element.trainingFLOPs(tokens: own.reduce(0, +), lengths: own)
        }
    }

    /// Adds the texts of a column to `packed`, from their tokens where there are some.
    private func append(
        _ texts: TextBatch, of table: Table, _ column: Int, _ reader: Reader, to packed: inout PackedBatch
    ) throws(TuttiError) {
        guard let tokens = reader.tokens else { return reader.collator.append(texts, column: column, to: &packed) }
        var ids: [Int32] = []
        for (place, row) in texts.rows.enumerated() {
            ids.removeAll(keepingCapacity: true)
            try tokens.read(table.storedText(row: Int(row), column: column), appendingTo: &ids)
            reader.collator.append(slot: UInt64(texts.slots.lowerBound + place), column: column, to: &packed) {
                $0.append(contentsOf: ids)
            }
        }
    }

    /// Fingerprints of the tokens of all texts, column after column.
    private func keys(_ texts: TextBatch, of table: Table) throws(TuttiError) -> [UInt64] {
        var packed = PackedBatch()
        for column in 0..<textColumns { try append(texts, of: table, column, readers[0], to: &packed) }
        return (0..<packed.sequenceCount).map { s in
            packed.ids[Int(packed.offsets[s])..<Int(packed.offsets[s + 1])].withUnsafeBytes { Digest.of($0).key }
        }
    }

    private static func numbers(_ label: Label) -> [Float] {
        switch label {
        case .integer(let class_): return [Float(class_)]
        case .float(let score): return [Float(score)]
        case .floats(let scores): return scores.map(Float.init)
        }
    }
}
