// MegaBatchMarginLoss: each anchor against its hardest positive of another row.
//
// Legend: `t` rows of a tile, `b` rows on this rank, `N` rows of all ranks, `D` width.

import TuttiGround
import TuttiKernels

/// The pair must be more similar than a margin, and the most similar positive of any other row less than another:
///
///     loss = 1/N  sum_i  max(0, positive_margin - cos(a_i, p_i))
///                      + max(0, max_{j != i} cos(a_i, p_j) - negative_margin)
///
/// **When to use it**: for paraphrase pairs and very large global batches, in which a hard negative can be found for
/// every anchor. Texts must not repeat within a batch: use `batch_sampler: no_duplicates`.
///
/// **Inputs**: (anchor, positive), no labels.
///
/// **Relations**: the hardest negative is among the positives of all ranks; in the reference, of each rank.
/// A global batch of one row has no negative. Its mini-batched form was wrong before 6.0 (only the last chunk was
/// learned); in Tutti both forms are one computation.
///
/// **Citation**: Wieting and Gimpel 2018, "ParaNMT-50M", ACL, P18-1042. **Reference**: sentence_transformers,
/// losses/MegaBatchMarginLoss.py.
package final class MegaBatchMarginLoss: Loss {
    /// "MegaBatchMarginLoss".
    package static let name = "MegaBatchMarginLoss"

    /// Its options.
    struct Settings: LossSettings {
        var positiveMargin = 0.8
        var negativeMargin = 0.3
        var encodesInChunks = true

        static let options = OptionList<Settings>([
            Option("positive_margin", \.positiveMargin, "pairs above this cosine are similar enough"),
            Option("negative_margin", \.negativeMargin, "other rows below this cosine are far enough"),
            Option(
                "use_mini_batched_version", \.encodesInChunks, "encode in chunks of mini_batch_size texts (50)"),
        ])
    }

    private let positiveMargin: Double
    private let negativeMargin: Double
    private let encodesInChunks: Bool
    private let tape = Tape()

    init(_ settings: Settings) {
        positiveMargin = settings.positiveMargin
        negativeMargin = settings.negativeMargin
        encodesInChunks = settings.encodesInChunks
    }

    /// The margins, and whether texts are encoded in chunks.
    package var options: [(name: String, value: JSONValue)] {
        Settings(
            positiveMargin: positiveMargin, negativeMargin: negativeMargin, encodesInChunks: encodesInChunks
        ).listed
    }

    /// Refuses data other than pairs.
    package func check(_ setting: LossSetting) throws(TuttiError) { try require(columns: setting.columns.count) }

    /// This rank's part of the mean over all rows. Collective.
    package func evaluate(_ batch: LossBatch, gradients: LossGradients?, in context: LossContext) throws -> Double {
        try require(columns: batch.columns)
        return try tape.evaluate(batch, gradients, context) { tape in
            let anchors = tape.normalized(tape.column(0))  // [b, D]
            let positives = tape.normalized(tape.column(1))  // [b, D]
            let candidates = try tape.gatherRows(positives)  // [N, D]
            let (first, positiveMargin, negativeMargin) = (tape.ranks.offset, positiveMargin, negativeMargin)
            let sum = tape.tiled(batch.rows, [anchors, candidates]) { tape, inputs, rows in
                let cosines = tape.products(tape.rows(inputs[0], rows), inputs[1])  // [t, N]
                let own = { first + rows.lowerBound + $0 }
                let pairs = tape.relu(tape.scaled(tape.pick(cosines, column: own), by: -1, plus: positiveMargin))
                if cosines.columns == 1 { return tape.sum(pairs) }
                let hardest = tape.pick(cosines) { row in
                    (0..<cosines.columns).filter { $0 != own(row) }.max {
                        cosines.matrix[row, $0] < cosines.matrix[row, $1]
                    } ?? 0
                }
                let others = tape.relu(tape.scaled(hardest, by: 1, plus: -negativeMargin))
                return tape.sum(tape.add(pairs, others))
            }
            return tape.scaled(sum, by: 1 / tape.globalRows)
        }
    }

    private func require(columns: Int) throws(TuttiError) {
        guard columns == 2 else {
            throw TuttiError.loss(
                Self.name, problem: "the data set has \(columns) text columns, expected (anchor, positive)",
                hint: columns > 2 ? "MultipleNegativesRankingLoss learns from given negatives." : nil)
        }
    }

    /// What the registry knows of it.
    static let entry = LossEntry(
        name: name,
        summary: "the pair must be similar, the hardest positive of another row must not, each by a margin",
        inputs: [LossInput("anchor", "positive")],
        settings: Settings.self,
        citation: """
            @inproceedings{wieting-gimpel-2018-paranmt,
                title = "{P}ara{NMT}-50{M}: Pushing the Limits of Paraphrastic Sentence Embeddings with Millions of \
            Machine Translations",
                author = "Wieting, John and Gimpel, Kevin",
                editor = "Gurevych, Iryna and Miyao, Yusuke",
                booktitle = "Proceedings of the 56th Annual Meeting of the Association for Computational Linguistics \
            (Volume 1: Long Papers)",
                month = jul,
                year = "2018",
                address = "Melbourne, Australia",
                publisher = "Association for Computational Linguistics",
                url = "https://aclanthology.org/P18-1042",
                doi = "10.18653/v1/P18-1042",
                pages = "451--462",
            }
            """,
        chunking: Chunking(rows: 50),
        chunks: { $0.encodesInChunks },
        make: { MegaBatchMarginLoss($0) })
}
