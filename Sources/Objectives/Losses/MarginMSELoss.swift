// MarginMSELoss: a query must prefer its positive to a negative by the teacher's margin.
//
// Legend: `b` rows on this rank, `N` rows of all ranks, `n` negatives per row, `D` width.

import TuttiEnsemble
import TuttiGround
import TuttiKernels

/// The mean squared error of the margins between positive and negatives, compared with a teacher's.
///
///     loss = 1/(N n)  sum_i sum_k  ( sim(q_i, p_i) - sim(q_i, n_ik) - m_ik )^2
///
/// **When to use it**: to distill a cross-encoder: negatives may be false ones, since the teacher says how much worse
/// each of them is.
///
/// **Inputs**
///
/// | texts | labels |
/// |---|---|
/// | (query, positive, negative) | margin: the teacher's score of the positive minus that of the negative |
/// | (query, positive, negative_1, ..., negative_n) | n margins, or n + 1 scores, the positive's first |
///
/// **Relations**: equals the reference on the batch of all ranks; uneven and empty ranks make no difference.
///
/// **Citation**: Hofstätter et al. 2021, "Improving Efficient Neural Ranking Models with Cross-Architecture Knowledge
/// Distillation", arXiv 2010.02666. **Reference**: sentence_transformers, losses/margin_mse.py.
public final class MarginMSELoss: Loss {
    /// "MarginMSELoss".
    public static let name = "MarginMSELoss"

    /// Its options.
    struct Settings: LossSettings {
        var similarity = PairSimilarity.other(.dot)

        static let options = OptionList<Settings>([
            Option("similarity_fct", \.similarity, "the similarity of two embeddings")
        ])
    }

    private let similarity: PairSimilarity
    private let tape = Tape()

    /// Creates the loss.
    public init(similarity: PairSimilarity = .other(.dot)) { self.similarity = similarity }

    /// similarity_fct.
    public var options: [(name: String, value: JSONValue)] { Settings(similarity: similarity).listed }

    /// Refuses labels that are neither margins nor scores.
    public func check(_ setting: LossSetting) throws(TuttiError) {
        try setting.check(against: Self.entry)
        try check(labels: setting.labels.width, negatives: setting.columns.count - 2)
    }

    private func check(labels: Int, negatives: Int) throws(TuttiError) {
        guard labels != negatives, labels != negatives + 1 else { return }
        throw TuttiError.loss(
            Self.name, problem: "labels of \(labels) numbers for \(negatives) negatives",
            hint: "It takes \(negatives) margins (positive minus negative) or \(negatives + 1) scores.")
    }

    /// This rank's part of the mean over all rows and negatives. Collective.
    public func evaluate(_ batch: LossBatch, gradients: LossGradients?, in context: LossContext) throws -> Double {
        let negatives = batch.columns - 2
        try check(labels: batch.labelWidth, negatives: negatives)
        return try tape.evaluate(batch, gradients, context) { tape in
            let labels = try tape.labels(of: Self.name)  // [b, n] or [b, n + 1]
            func similarities(_ column: Int) -> TapeValue {  // [b, 1]
                tape.pairSimilarities(similarity, tape.column(0), tape.column(column))
            }
            let positive = similarities(1)
            var errors: [TapeValue] = []
            for k in 0..<negatives {
                let margin = tape.subtract(positive, similarities(k + 2))
                errors.append(tape.subtract(margin, teacherMargin(k, labels, negatives: negatives)))
            }
            let squares = tape.square(tape.concatenateColumns(errors))  // [b, n]
            return tape.sum(squares, times: 1 / (tape.globalRows * Double(negatives)))
        }
    }

    private func teacherMargin(_ k: Int, _ labels: TapeValue, negatives: Int) -> TapeValue {  // [b, 1]
        if labels.columns == negatives { return tape.columns(labels, k..<k + 1) }
        return tape.subtract(tape.columns(labels, 0..<1), tape.columns(labels, k + 1..<k + 2))
    }

    /// What the registry knows of it.
    static let entry = LossEntry(
        name: name,
        summary: "a query must prefer its positive to the negatives by the teacher's margins",
        inputs: [
            LossInput("query", "positive", "negative", label: .score),
            LossInput("query", "positive", "negative", label: .scores),
            LossInput("query", "positive", "negative", repeatsLast: true, label: .scores),
        ],
        settings: Settings.self,
        citation: """
            @misc{hofstätter2021improving,
                title={Improving Efficient Neural Ranking Models with Cross-Architecture Knowledge Distillation},
                author={Sebastian Hofstätter and Sophia Althammer and Michael Schröder and Mete Sertkan and Allan Hanbury},
                year={2021},
                eprint={2010.02666},
                archivePrefix={arXiv},
                primaryClass={cs.IR}
            }
            """,
        make: { MarginMSELoss(similarity: $0.similarity) })
}
