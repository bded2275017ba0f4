// This rank's share of each global batch, tokenised and packed ahead of need by a thread of its own.

import TuttiCorpus
import TuttiEncoders
import TuttiEnsemble
import TuttiFormats
import TuttiGround
import TuttiKernels
import TuttiModels
import TuttiObjectives

/// One micro-batch of this rank, ready to be encoded.
struct PreparedBatch: Sendable {
    /// The number of its data set.
    var dataset = 0
    /// All text columns that are encoded, column after column, packed without padding.
    var packed = PackedBatch()
    /// The same texts as the guide reads them; empty without one.
    var guide = PackedBatch()
    /// The texts that a twin encodes, where they are others.
    var twin: PackedBatch?
    /// The texts that a decoder reconstructs; empty without one.
    var target = PackedBatch()
    /// Rows on this rank, b; may be zero.
    var rows: Int
    /// Text columns that are encoded, C.
    var columns: Int
    /// Text columns of the data.
    var textColumns: Int
    var labels: [Float]  // [b * labelWidth]
    var labelWidth: Int
    /// Equal where texts have equal tokens; empty where nobody asks.
    var textKeys: [UInt64]  // [textColumns * b] or []
}

/// Turns a rank's rows into what the model and the loss read.
struct BatchPreparation: Sendable {
    /// Packs the columns that the model encodes.
    let collator: Collator
    /// Packs them for the guide.
    let guide: Collator?
    let textColumns: Int
    let encodedColumns: [Int]
    /// The columns of the twin, where they are others.
    let twinColumns: [Int]?
    /// Packs the last column for a decoder.
    let target: Collator?
    /// Damages the texts that the model encodes and a decoder reconstructs.
    let deletion: WordDeletion?
    let needsTextKeys: Bool
    /// Whether ranks get as many rows each, rather than as much text.
    let equalRows: Bool

    /// What `objective` needs of a table with `columnCount` text columns, whose columns have these prompts.
    ///
    /// - Parameters:
    ///   - seed: seed of the run.
    ///   - epoch: the epoch, of which damaged texts are a function.
    init(_ objective: Objective, columnCount: Int, prompts: [String], seed: UInt64, epoch: Int) {
        let requirements = objective.requirements
        collator = objective.model.makeCollator(prompts: prompts)
        guide = objective.guide?.makeCollator(prompts: prompts)
        textColumns = columnCount
        encodedColumns = LossRequirements.columns(requirements.encodedColumns, of: columnCount)
        let twinColumns = requirements.twinColumns.map { LossRequirements.columns($0, of: columnCount) }
        self.twinColumns = twinColumns == encodedColumns ? nil : twinColumns
        target = objective.decoder?.model.makeCollator(
            prompts: prompts, maximumLength: objective.model.maximumLength)
        deletion = columnCount > 1 ? nil : requirements.decoder.map {
            WordDeletion(ratio: $0.deletionRatio, seed: seed, epoch: UInt32(truncatingIfNeeded: epoch))
        }
        needsTextKeys = requirements.needsTextKeys
        equalRows = objective.loss.dependsOnDealing
    }

    /// This rank's share of a global batch.
    func batch(of table: Table, _ globalRows: ArraySlice<Int32>, rank: Int, world: Int) -> PreparedBatch {
        let texts = TextBatch(
            table: table, globalRows: globalRows, rank: rank, world: world,
            longestText: equalRows ? nil : collator.longestText)
        // The width is that of the batch: a rank without rows has labels too, none of them.
        let labelWidth = globalRows.first.flatMap { table.label(row: Int($0)) }.map { Self.numbers($0).count } ?? 0
        var batch = PreparedBatch(
            rows: texts.rows.count, columns: encodedColumns.count, textColumns: textColumns,
            labels: texts.labels.flatMap(Self.numbers), labelWidth: labelWidth, textKeys: [])
        if let deletion {
            for (place, row) in texts.rows.enumerated() {
                collator.append(
                    deletion.damaged(texts.columns[0][place], row: row), slot: UInt64(texts.slots.lowerBound + place),
                    column: 0, to: &batch.packed)
            }
        } else {
            for column in encodedColumns { collator.append(texts, column: column, to: &batch.packed) }
        }
        if let guide { for column in encodedColumns { guide.append(texts, column: column, to: &batch.guide) } }
        if let twinColumns {
            var twin = PackedBatch()
            for column in twinColumns { collator.append(texts, column: column, to: &twin) }
            batch.twin = twin
        }
        target?.append(texts, column: textColumns - 1, to: &batch.target)
        if needsTextKeys { batch.textKeys = keys(texts) }
        return batch
    }

    /// Fingerprints of the tokens of all texts, column after column.
    private func keys(_ texts: TextBatch) -> [UInt64] {
        var packed = PackedBatch()
        collator.pack(texts, into: &packed)
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

/// The micro-batches of one epoch, in order.
final class BatchSource {
    private let prefetcher: Prefetcher<PreparedBatch>

    /// Starts preparing the batches of `plan` from number `first` on.
    init(
        _ datasets: [(table: Table, preparation: BatchPreparation)], plan: MultiDatasetPlan, from first: Int, rank: Int,
        world: Int
    ) {
        prefetcher = Prefetcher { index in
            let number = first + index
            guard number < plan.batchCount else { return nil }
            let dataset = plan.dataset(number)
            let (table, preparation) = datasets[dataset]
            var batch = preparation.batch(of: table, plan.rows(number), rank: rank, world: world)
            batch.dataset = dataset
            return batch
        }
    }

    /// The next micro-batch; the plan says how many there are.
    func next() throws -> PreparedBatch {
        guard let batch = try prefetcher.next() else { preconditionFailure("more batches asked for than planned") }
        return batch
    }
}

/// This rank's batches of a run's data sets, as their losses want them.
struct RankBatches {
    private let objectives: [Objective]
    private let arguments: TrainingArguments
    private let ensemble: any Ensemble

    /// The batches that `ensemble`'s ranks share.
    init(_ objectives: [Objective], arguments: TrainingArguments, ensemble: any Ensemble) {
        self.objectives = objectives
        self.arguments = arguments
        self.ensemble = ensemble
    }

    /// The batches of `plan` over `datasets`, from number `first` on, as they are in `epoch`.
    func source(
        _ datasets: [TrainingDataset], _ plan: MultiDatasetPlan, from first: Int, epoch: Int
    ) -> BatchSource {
        let prepared = datasets.map { dataset in
            let prompts = arguments.prompts.prompts(dataset: dataset.name, columns: dataset.table.columnNames)
            return (dataset.table, BatchPreparation(
                objectives[dataset.loss], columnCount: prompts.count, prompts: prompts, seed: arguments.seed,
                epoch: epoch))
        }
        return BatchSource(prepared, plan: plan, from: first, rank: ensemble.rank, world: ensemble.size)
    }
}
