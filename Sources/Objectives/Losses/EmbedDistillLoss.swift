// EmbedDistillLoss and MSELoss: embeddings must equal a teacher's.
//
// Legend: `b` rows on this rank, `N` rows of all ranks, `C` text columns, `D` width, `T` width of the teacher.

import TuttiEnsemble
import TuttiGround
import TuttiKernels

/// The distance of each embedding from the teacher's, averaged over rows and text columns.
///
///     loss = 1/C  sum_c  1/N  sum_i  dist( P e_ci, t_ci )
///
/// **When to use it**: to make a small model embed like a large one, if the teacher's embeddings were precomputed and
/// are in the label column.
///
/// **Inputs**
///
/// | texts | labels |
/// |---|---|
/// | (sentence) | the teacher's embedding, a list of T numbers |
/// | (sentence_1, ..., sentence_n) | one embedding for all texts of a row, T numbers, or one for each, n * T numbers |
///
/// **Parameters**: projection.weight `[T, D]` and projection.bias `[T]`, with projection_dim. To start from a
/// trained one (the reference's load_projection), set `initial_parameters` to its `loss.safetensors`.
///
/// **Relations**: equals the reference on the batch of all ranks. The reference under DDP does not sync the projections
/// of the ranks. The derivative of l2 is 0 if the distance is 0.
///
/// **Citation**: Kim et al. 2023, "EmbedDistill: A Geometric Knowledge Distillation for Information Retrieval",
/// arXiv 2301.12005. **Reference**: sentence_transformers, losses/embed_distill.py.
package class EmbedDistillLoss: Loss {
    /// "EmbedDistillLoss".
    package class var name: String { "EmbedDistillLoss" }

    /// The distance of an embedding from the teacher's.
    package enum Metric: String, OptionChoice {
        /// 1 - cosine.
        case cosine
        /// The Euclidean distance.
        case l2
        /// The mean squared difference.
        case mse
    }

    /// Its options.
    struct Settings: LossSettings {
        var metric = Metric.cosine
        var projection: Int?

        static let options = OptionList<Settings>([
            Option("distance_metric", \.metric, "the distance of an embedding from the teacher's"),
            projectionOption,
        ])

        /// The option shared with MSELoss.
        static let projectionOption = Option<Settings>(
            "projection_dim", \.projection, "a trained linear layer to this many dimensions, the teacher's width",
            check: .atLeast(1))
    }

    private let metric: Metric
    /// Width after the projection; nil = no projection.
    fileprivate let projection: Int?
    private let tape = Tape()
    private var loss: String { type(of: self).name }

    /// Creates the loss.
    ///
    /// - Parameter projection: the width to which embeddings are projected; nil = no projection.
    package init(metric: Metric = .cosine, projection: Int? = nil) {
        self.metric = metric
        self.projection = projection
    }

    /// distance_metric and projection_dim.
    package var options: [(name: String, value: JSONValue)] {
        Settings(metric: metric, projection: projection).listed
    }

    /// Refuses labels that are not as wide as the embeddings.
    package func check(_ setting: LossSetting) throws(TuttiError) {
        try setting.check(against: Self.entry)
        let (width, columns, labels) = (projection ?? setting.width, setting.columns.count, setting.labels.width)
        guard labels != width, labels != columns * width else { return }
        let all = columns > 1 ? ", or \(columns * width) for all \(columns) texts" : ""
        throw TuttiError.loss(
            loss, problem: "the labels are lists of \(labels) numbers, but embeddings have \(width)\(all)",
            hint: projection == nil ? "projection_dim: \(labels) trains a linear layer to the teacher's width." : nil)
    }

    /// The projection, initialized like a torch linear layer.
    package func parameters(_ setting: LossSetting) -> [LossParameter] {
        projection.map { LossParameter.linear("projection", inputs: setting.width, outputs: $0) } ?? []
    }

    /// This rank's part of the mean over all rows and columns. Collective.
    package func evaluate(_ batch: LossBatch, gradients: LossGradients?, in context: LossContext) throws -> Double {
        try tape.evaluate(batch, gradients, context) { tape in
            let labels = try tape.labels(of: loss)  // [b, T] or [b, C T]
            let width = projection ?? batch.embeddings.columns
            guard [width, batch.columns * width].contains(labels.columns) else {
                throw TuttiError.loss(loss, problem: "labels of \(labels.columns) numbers for embeddings of \(width)")
            }
            var sums: [TapeValue] = []
            for column in 0..<batch.columns {
                let first = labels.columns == width ? 0 : column * width
                let teacher = tape.columns(labels, first..<first + width)  // [b, T]
                let student = projection == nil ? tape.column(column) : tape.linear(tape.column(column), "projection")
                sums.append(tape.sum(distances(student, teacher)))
            }
            let mean = 1 / (Double(batch.columns) * tape.globalRows)
            return tape.sum(tape.concatenateColumns(sums), times: mean)
        }
    }

    private func distances(_ student: TapeValue, _ teacher: TapeValue) -> TapeValue {  // [b, 1]
        switch metric {
        case .cosine: return tape.scaled(tape.pairCosines(student, teacher), by: -1, plus: 1)
        case .l2: return tape.lengths(tape.subtract(student, teacher))
        case .mse:
            let squares = tape.square(tape.subtract(student, teacher))  // [b, T]
            return tape.scaled(tape.rowSums(squares), by: 1 / Double(student.columns))
        }
    }

    fileprivate static let inputs = [
        LossInput("sentence", label: .embedding), LossInput("sentence", repeatsLast: true, label: .embedding),
    ]

    /// What the registry knows of it.
    class var entry: LossEntry {
        LossEntry(
            name: EmbedDistillLoss.name,
            summary: "embeddings must match a teacher's, by cosine, distance or squares",
            inputs: inputs,
            settings: Settings.self,
            citation: """
                @article{kim2023embeddistill,
                    title={EmbedDistill: A Geometric Knowledge Distillation for Information Retrieval},
                    author={Kim, Seungyeon and Rawat, Ankit Singh and Zaheer, Manzil and Jayasumana, Sadeep and \
                Sadhanala, Veeranjaneyulu and Jitkrittum, Wittawat and Menon, Aditya Krishna and Fergus, Rob and Kumar, \
                Sanjiv},
                    year={2023},
                    eprint={2301.12005},
                    archivePrefix={arXiv},
                    primaryClass={cs.IR}
                }
                """,
            make: { EmbedDistillLoss(metric: $0.metric, projection: $0.projection) })
    }
}

/// The mean squared difference of each embedding from the teacher's: EmbedDistillLoss with mse.
///
///     loss = 1/(C N T)  sum_c  sum_i  | P e_ci - t_ci |^2
///
/// **When to use it**: to make a model embed other languages, or a smaller model, like a teacher.
///
/// **Inputs**, **Parameters**, **Relations**: those of EmbedDistillLoss.
///
/// **Citation**: Reimers and Gurevych 2020, "Making Monolingual Sentence Embeddings Multilingual using Knowledge
/// Distillation", arXiv 2004.09813. **Reference**: sentence_transformers, losses/mse.py.
package final class MSELoss: EmbedDistillLoss {
    /// "MSELoss".
    override package class var name: String { "MSELoss" }

    /// Creates the loss.
    package init(projection: Int? = nil) { super.init(metric: .mse, projection: projection) }

    /// Its options.
    struct OwnSettings: LossSettings {
        var all = EmbedDistillLoss.Settings()

        static let options = OptionList<OwnSettings>([EmbedDistillLoss.Settings.projectionOption.lifted(to: \.all)])
    }

    /// projection_dim.
    override package var options: [(name: String, value: JSONValue)] {
        OwnSettings(all: EmbedDistillLoss.Settings(projection: projection)).listed
    }

    /// What the registry knows of it.
    override class var entry: LossEntry {
        LossEntry(
            name: MSELoss.name,
            summary: "embeddings must match a teacher's, by mean squared error",
            inputs: inputs, settings: OwnSettings.self,
            citation: """
                @inproceedings{reimers-2020-multilingual-sentence-bert,
                    title = "Making Monolingual Sentence Embeddings Multilingual using Knowledge Distillation",
                    author = "Reimers, Nils and Gurevych, Iryna",
                    booktitle = "Proceedings of the 2020 Conference on Empirical Methods in Natural Language Processing",
                    month = "11",
                    year = "2020",
                    publisher = "Association for Computational Linguistics",
                    url = "https://arxiv.org/abs/2004.09813",
                }
                """,
            make: { MSELoss(projection: $0.all.projection) })
    }
}
