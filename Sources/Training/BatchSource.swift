// This rank's share of each global batch, tokenised and packed ahead of need by a thread of its own.

import TuttiCorpus
import TuttiEncoders
import TuttiFormats
import TuttiKernels
import TuttiModels
import TuttiObjectives

/// One micro-batch of this rank, ready to be encoded.
struct PreparedBatch: Sendable {
    /// All text columns, column after column, packed without padding.
    var packed: PackedBatch
    /// Rows on this rank, b; may be zero.
    var rows: Int
    /// Text columns, C.
    var columns: Int
    var labels: [Float]  // [b * labelWidth]
    var labelWidth: Int

    /// Calls `body` with the view that losses take.
    func withLossBatch<Result>(_ embeddings: Matrix, _ body: (LossBatch) throws -> Result) rethrows -> Result {
        try labels.withUnsafeBufferPointer {
            try body(
                LossBatch(
                    embeddings: embeddings, rows: rows, columns: columns, labels: labelWidth == 0 ? nil : $0,
                    labelWidth: labelWidth))
        }
    }
}

/// The micro-batches of one epoch, in order.
final class BatchSource {
    private let prefetcher: Prefetcher<PreparedBatch>

    /// Starts preparing the batches of `plan` from number `first` on; ranks get as many rows each, or as much text.
    init(
        table: Table, plan: EpochPlan, from first: Int, collator: Collator, rank: Int, world: Int, equalRows: Bool
    ) {
        let columns = table.columnNames.count
        let longestText = equalRows ? nil : collator.longestText
        prefetcher = Prefetcher { index in
            let number = first + index
            guard number < plan.batchCount else { return nil }
            let texts = TextBatch(
                table: table, globalRows: plan.batch(number), rank: rank, world: world, longestText: longestText)
            var packed = PackedBatch()
            collator.pack(texts, into: &packed)
            let (labels, width) = Self.numbers(texts.labels)
            return PreparedBatch(
                packed: packed, rows: texts.rows.count, columns: columns, labels: labels, labelWidth: width)
        }
    }

    /// The next micro-batch; the plan says how many there are.
    func next() throws -> PreparedBatch {
        guard let batch = try prefetcher.next() else { preconditionFailure("more batches asked for than planned") }
        return batch
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
