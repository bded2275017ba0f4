// DistillKLDivLoss: the distribution of a query over its candidates must match a teacher's.
//
// Legend: `b` rows on this rank, `N` rows of all ranks, `n` candidates per row, `D` width.

import TuttiEnsemble
import TuttiGround
import TuttiKernels

/// The Kullback-Leibler divergence of the student's softmax over a row's candidates from the teacher's.
///
///     loss = Ts^2 / N  sum_i sum_k  t_ik ( log t_ik - log s_ik )
///     t_i  = softmax(teacher scores / Tt),   s_ik = softmax_k( sim(q_i, c_ik) / Ts )
///
/// **When to use it**: to distill a cross-encoder that scored the positive and the negatives of each query;
/// compared with MarginMSELoss, the scale of the scores matters less.
///
/// **Inputs**
///
/// | texts | labels |
/// |---|---|
/// | (query, positive, negative_1, ..., negative_n) | the teacher's scores of all n + 1 candidates, in order |
///
/// **Relations**: equals the reference on the batch of all ranks; uneven and empty ranks make no difference.
///
/// **Citation**: Lin et al. 2020, "Distilling Dense Representations for Ranking using Tightly-Coupled Teachers",
/// arXiv 2010.11386. **Reference**: sentence_transformers, losses/distill_kl_div.py.
package final class DistillKLDivLoss: Loss {
    /// "DistillKLDivLoss".
    package static let name = "DistillKLDivLoss"

    /// Its options.
    struct Settings: LossSettings {
        var similarity = PairSimilarity.other(.dot)
        var temperature = 1.0
        var studentTemperature: Double?
        var teacherTemperature: Double?

        static let options = OptionList<Settings>([
            Option("similarity_fct", \.similarity, "the similarity of two embeddings"),
            Option("temperature", \.temperature, "divides the scores of student and teacher", check: .positive),
            Option(
                "student_temperature", \.studentTemperature, "divides the student's (default: temperature)",
                check: .positive
            ),
            Option(
                "teacher_temperature", \.teacherTemperature, "divides the teacher's (default: temperature)",
                check: .positive
            ),
        ])
    }

    private let similarity: PairSimilarity
    private let temperature: Double
    private let studentTemperature: Double
    private let teacherTemperature: Double
    private let tape = Tape()

    /// Creates the loss; all temperatures are positive, and those of student and teacher default to `temperature`.
    package init(
        similarity: PairSimilarity = .other(.dot), temperature: Double = 1, studentTemperature: Double? = nil,
        teacherTemperature: Double? = nil
    ) {
        self.similarity = similarity
        self.temperature = temperature
        self.studentTemperature = studentTemperature ?? temperature
        self.teacherTemperature = teacherTemperature ?? temperature
        precondition(
            temperature > 0 && self.studentTemperature > 0 && self.teacherTemperature > 0,
            "DistillKLDivLoss: temperatures \(temperature), \(self.studentTemperature), \(self.teacherTemperature)")
    }

    /// similarity_fct and temperature; those of student and teacher if they differ.
    package var options: [(name: String, value: JSONValue)] {
        Settings(
            similarity: similarity, temperature: temperature,
            studentTemperature: studentTemperature == temperature ? nil : studentTemperature,
            teacherTemperature: teacherTemperature == temperature ? nil : teacherTemperature
        ).listed
    }

    /// Refuses a single candidate, and a different number of scores than candidates.
    package func check(_ setting: LossSetting) throws(TuttiError) {
        try setting.check(against: Self.entry)
        try check(labels: setting.labels.width, candidates: setting.columns.count - 1)
    }

    private func check(labels: Int, candidates: Int) throws(TuttiError) {
        if labels == candidates { return }
        throw TuttiError.loss(
            Self.name, problem: "labels of \(labels) numbers for \(candidates) candidates",
            hint: "It takes the teacher's score of every text after the query.")
    }

    /// This rank's part of the mean over all rows. Collective.
    package func evaluate(_ batch: LossBatch, gradients: LossGradients?, in context: LossContext) throws -> Double {
        try check(labels: batch.labelWidth, candidates: batch.columns - 1)
        return try tape.evaluate(batch, gradients, context) { tape in
            let scores = try tape.labels(of: Self.name)  // [b, n]
            let similarities = (1..<batch.columns).map {
                tape.pairSimilarities(similarity, tape.column(0), tape.column($0))
            }
            let student = tape.logSoftmax(
                tape.scaled(tape.concatenateColumns(similarities), by: 1 / studentTemperature))  // [b, n]
            let teacher = tape.logSoftmax(tape.scaled(scores, by: 1 / teacherTemperature))  // [b, n]
            let divergences = tape.multiply(tape.exponential(teacher), tape.subtract(teacher, student))  // [b, n]
            return tape.sum(divergences, times: studentTemperature * studentTemperature / tape.globalRows)
        }
    }

    /// What the registry knows of it.
    static let entry = LossEntry(
        name: name,
        summary: "the distribution of a query over its candidates must match a teacher's",
        inputs: [
            LossInput("query", "positive", "negative", label: .scores),
            LossInput("query", "positive", "negative", repeatsLast: true, label: .scores),
        ],
        settings: Settings.self,
        citation: """
            @misc{lin2020distillingdenserepresentationsranking,
                  title={Distilling Dense Representations for Ranking using Tightly-Coupled Teachers},
                  author={Sheng-Chieh Lin and Jheng-Hong Yang and Jimmy Lin},
                  year={2020},
                  eprint={2010.11386},
                  archivePrefix={arXiv},
                  primaryClass={cs.IR},
                  url={https://arxiv.org/abs/2010.11386},
            }
            """,
        make: {
            DistillKLDivLoss(
                similarity: $0.similarity, temperature: $0.temperature, studentTemperature: $0.studentTemperature,
                teacherTemperature: $0.teacherTemperature)
        })
}
