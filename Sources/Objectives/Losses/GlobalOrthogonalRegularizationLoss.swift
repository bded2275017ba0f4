// GlobalOrthogonalRegularizationLoss: embeddings of unrelated texts should be like random directions.
//
// Legend: `t` rows of a tile, `b` rows on this rank, `N` rows of all ranks, `C` text columns, `D` width.

import TuttiGround
import TuttiKernels

/// Spreads out the embeddings of each column: the mean of the similarities of different rows is pushed to zero, and
/// their second moment to that of random directions, 1 / D.
///
/// For each text column, with n = max(1, N (N - 1)) pairs of different rows:
///
///     gor_mean          = mean_weight          ( sum_{i != j} sim_ij / n )^2
///     gor_second_moment = second_moment_weight max(0, sum_{i != j} sim_ij^2 / n - 1 / D)
///
/// and the loss is the sum of both, each the mean or the sum over columns.
///
/// **When to use it**: in addition to another loss (see `Sum`), so that embeddings fill the space; after EmbeddingGemma.
///
/// **Inputs**: any number of text columns, no labels.
///
/// **Relations**: pairs of all ranks; the reference compares the rows of each rank. The summands are logged under
/// their names.
///
/// **Citation**: Zhang et al. 2017, "Learning Spread-out Local Feature Descriptors", arXiv 1708.06320.
/// **Reference**: sentence_transformers, losses/GlobalOrthogonalRegularizationLoss.py.
package final class GlobalOrthogonalRegularizationLoss: Loss {
    /// "GlobalOrthogonalRegularizationLoss".
    package static let name = "GlobalOrthogonalRegularizationLoss"

    /// How text columns are combined.
    enum Aggregation: String, OptionChoice { case mean, sum }

    /// Its options.
    struct Settings: LossSettings {
        var similarity = SimilarityFunction.cosine
        var meanWeight: Double? = 1
        var momentWeight: Double? = 1
        var aggregation = Aggregation.mean

        static let options = OptionList<Settings>([
            Option("similarity_fct", \.similarity, "the similarity of two embeddings"),
            Option(
                "mean_weight", \.meanWeight, "weight of the squared mean similarity; null or 0 disables it"),
            Option(
                "second_moment_weight", \.momentWeight,
                "weight of the second moment beyond 1 / D; null or 0 disables it"),
            Option("aggregation", \.aggregation, "mean or sum over text columns"),
        ])
    }

    private let settings: Settings
    private let similarity: SimilarityFunction
    private let meanWeight: Double
    private let momentWeight: Double
    private let sumsColumns: Bool
    private let tape = Tape()
    private var summands = [0.0, 0.0]

    init(_ settings: Settings) throws(TuttiError) {
        self.settings = settings
        similarity = settings.similarity
        meanWeight = settings.meanWeight ?? 0
        momentWeight = settings.momentWeight ?? 0
        sumsColumns = settings.aggregation == .sum
        guard meanWeight != 0 || momentWeight != 0 else {
            throw .loss(Self.name, option: "mean_weight", problem: "both weights are 0 or null, so nothing is left")
        }
    }

    /// All options, in the order of the documentation.
    package var options: [(name: String, value: JSONValue)] { settings.listed }

    /// gor_mean and gor_second_moment, those that have a weight.
    package var parts: [(name: String, value: Double)] {
        [("gor_mean", meanWeight, summands[0]), ("gor_second_moment", momentWeight, summands[1])]
            .filter { $0.1 != 0 }.map { ($0.0, $0.2) }
    }

    /// The loss on rank zero, nothing elsewhere: all ranks compute the same. Collective.
    package func evaluate(_ batch: LossBatch, gradients: LossGradients?, in context: LossContext) throws -> Double {
        try tape.evaluate(batch, gradients, context) { tape in
            let share = sumsColumns ? 1 : 1 / Double(batch.columns)
            let (rows, width) = (Double(tape.ranks.total), Double(batch.embeddings.columns))
            let pairs = max(1, rows * (rows - 1))
            var sums = (mean: tape.constant(0), moment: tape.constant(0))
            for column in 0..<batch.columns {
                let sum = try tape.sumRanks(try pairSums(column, batch, tape))
                let moments = tape.scaled(sum, by: 1 / pairs)  // [1, 2]
                let mean = tape.square(tape.columns(moments, 0..<1))
                let excess = tape.scaled(tape.columns(moments, 1..<2), by: 1, plus: -1 / width)
                sums.mean = tape.add(sums.mean, mean)
                sums.moment = tape.add(sums.moment, tape.relu(excess))
            }
            let mean = tape.once(tape.scaled(sums.mean, by: meanWeight * share))
            let moment = tape.once(tape.scaled(sums.moment, by: momentWeight * share))
            summands = [mean.scalar, moment.scalar]
            return tape.add(mean, moment)
        }
    }

    /// The sums of similarities and of their squares over this rank's rows with all other rows: `[1, 2]`. Collective.
    private func pairSums(_ column: Int, _ batch: LossBatch, _ tape: Tape) throws -> TapeValue {
        let own = tape.comparable(similarity, tape.column(column))  // [b, D]
        let all = try tape.gatherRows(own)  // [N, D]
        let (first, similarity) = (tape.ranks.offset, similarity)
        return tape.tiled(batch.rows, [own, all], width: 2) { tape, inputs, rows in
            let isOther = tape.newMatrix(rows.count, inputs[1].rows)  // [t, N]
            isOther.fill(1)
            for row in 0..<rows.count { isOther[row, first + rows.lowerBound + row] = 0 }
            let similarities = tape.multiply(
                tape.comparisons(similarity, tape.rows(inputs[0], rows), inputs[1]), tape.constant(isOther))
            return tape.concatenateColumns([tape.sum(similarities), tape.sum(tape.square(similarities))])
        }
    }

    /// What the registry knows of it.
    static let entry = LossEntry(
        name: name,
        summary: "spreads embeddings out: similarities of different rows like those of random directions",
        inputs: [LossInput("text"), LossInput("text", "text", repeatsLast: true)],
        settings: Settings.self,
        citation: """
            @misc{zhang2017learningspreadoutlocalfeature,
                  title={Learning Spread-out Local Feature Descriptors},
                  author={Xu Zhang and Felix X. Yu and Sanjiv Kumar and Shih-Fu Chang},
                  year={2017},
                  eprint={1708.06320},
                  archivePrefix={arXiv},
                  primaryClass={cs.CV},
                  url={https://arxiv.org/abs/1708.06320},
            }
            """,
        make: { settings throws(TuttiError) in try GlobalOrthogonalRegularizationLoss(settings) })
}
