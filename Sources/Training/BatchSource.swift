// This rank's share of each global batch, tokenised and packed ahead of need by a thread of its own.

import TuttiCorpus
import TuttiEncoders
import TuttiFormats
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
    /// The texts that a decoder reconstructs; empty without one.
    var target = PackedBatch()
    /// Rows on this rank, b; may be zero.
    var rows: Int
    /// Text columns that are encoded, C.
    var columns: Int
    var labels: [Float]  // [b * labelWidth]
    var labelWidth: Int
    /// Equal where texts are equal; empty where nobody asks.
    var textKeys: [UInt64]  // [C * b] or []
}

/// Turns a rank's rows into what the model and the loss read.
struct BatchPreparation: Sendable {
    /// Packs the columns that the model encodes.
    let collator: Collator
    /// Packs them for the guide.
    let guide: Collator?
    let encodedColumns: [Int]
    let targetColumn: Int?
    let needsTextKeys: Bool
    /// Whether ranks get as many rows each, rather than as much text.
    let equalRows: Bool

    /// What `objective` needs of a table with `columnCount` text columns, whose columns have these prompts.
    init(_ objective: Objective, columnCount: Int, prompts: [String]) {
        let requirements = objective.requirements
        collator = objective.model.makeCollator(prompts: prompts)
        guide = objective.guide?.makeCollator(prompts: prompts)
        encodedColumns = requirements.encodedColumns ?? Array(0..<columnCount)
        targetColumn = requirements.decoder?.targetColumn
        needsTextKeys = requirements.needsTextKeys
        equalRows = objective.loss.dependsOnDealing
    }

    /// This rank's share of a global batch.
    func batch(of table: Table, _ globalRows: ArraySlice<Int32>, rank: Int, world: Int) -> PreparedBatch {
        let texts = TextBatch(
            table: table, globalRows: globalRows, rank: rank, world: world,
            longestText: equalRows ? nil : collator.longestText)
        let (labels, width) = Self.numbers(texts.labels)
        var batch = PreparedBatch(
            rows: texts.rows.count, columns: encodedColumns.count, labels: labels, labelWidth: width, textKeys: [])
        for column in encodedColumns { collator.append(texts, column: column, to: &batch.packed) }
        if let guide { for column in encodedColumns { guide.append(texts, column: column, to: &batch.guide) } }
        if let targetColumn { collator.append(texts, column: targetColumn, to: &batch.target) }
        if needsTextKeys {
            for column in encodedColumns { batch.textKeys += texts.columns[column].map(Self.key) }
        }
        return batch
    }

    /// A fingerprint of a text, blanks around it left out.
    private static func key(_ text: String) -> UInt64 {
        var digest = ContentDigest()
        digest.update(String(text.trimmingBlanks()))
        return digest.value
    }

    private static func numbers(_ labels: [Label]) -> (values: [Float], width: Int) {
        var values: [Float] = []
        var width = 0
        for label in labels {
            switch label {
            case .integer(let class_): values.append(Float(class_)); width = 1
            case .float(let score): values.append(Float(score)); width = 1
            case .floats(let scores): values += scores.map(Float.init); width = scores.count
            }
        }
        return (values, width)
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

extension String {
    /// The text without white space at its ends.
    fileprivate func trimmingBlanks() -> Substring {
        var text = self[...]
        while text.first?.isWhitespace == true { text.removeFirst() }
        while text.last?.isWhitespace == true { text.removeLast() }
        return text
    }
}
