// ContrastiveTensionLossInBatchNegatives: the model must find each text that its trained twin embeds, and vice versa,
// among all texts of the global batch.
//
// Legend: `b` rows on this rank, `N` rows of all ranks, `D` width.

import Foundation
import TuttiEnsemble
import TuttiGround
import TuttiKernels

/// Contrastive tension with in-batch negatives: the model and a twin, which starts as its copy and is trained with it,
/// embed the same texts; each row and each column of their similarities must be largest on the diagonal.
///
///     S_ij = exp(logit_scale) sim(twin(t_i), model(t_j))
///     loss = 1/(2N) sum_i  CE(row i of S, i) + CE(column i of S, i)
///
/// **When to use it**: with only single texts; better than `ContrastiveTensionLoss`. It improves with the size of the
/// global batch, in which texts must not repeat: use `batch_sampler: no_duplicates`.
///
/// **Inputs**
///
/// | texts | labels |
/// |---|---|
/// | (text) | none |
/// | (anchor, anchor) | none: the first column is used |
///
/// **Relations**: the reference compares only with texts of its own process; Tutti with those of all ranks. The
/// model is the reference's `model2`; the twin (`model1`) and logit_scale belong to the loss: not saved with the model,
/// not clipped.
///
/// **Citation**: Carlsson et al. 2021, "Semantic Re-tuning with Contrastive Tension", ICLR.
/// **Reference**: sentence_transformers, losses/ContrastiveTensionLossInBatchNegatives.py.
package final class ContrastiveTensionLossInBatchNegatives: Loss {
    /// "ContrastiveTensionLossInBatchNegatives".
    package static let name = "ContrastiveTensionLossInBatchNegatives"

    /// Its options.
    struct Settings: LossSettings {
        var scale = 20.0
        var similarity = SimilarityFunction.cosine

        static let options = OptionList<Settings>([
            Option(
                "scale", \.scale, "initial factor on the similarities; it is learned", check: .positive),
            Option("similarity_fct", \.similarity, "the similarity of two embeddings"),
        ])
    }

    private let scale: Double
    private let similarity: SimilarityFunction
    private let tape = Tape()

    /// Creates the loss.
    ///
    /// - Throws: `TuttiError` for a scale that is not a positive number.
    package init(scale: Double = 20, similarity: SimilarityFunction = .cosine) throws(TuttiError) {
        guard scale.isFinite, scale > 0 else {
            throw TuttiError.loss(Self.name, option: "scale", problem: "\(scale) is not a positive number")
        }
        self.scale = scale
        self.similarity = similarity
    }

    /// scale and similarity_fct.
    package var options: [(name: String, value: JSONValue)] { Settings(scale: scale, similarity: similarity).listed }

    /// A twin; both embed the first column.
    package var requirements: LossRequirements {
        var needs = LossRequirements()
        needs.texts = [.student: .first, .twin: .first]
        return needs
    }

    /// Refuses labels, which do not apply to single texts, and more than two columns.
    package func check(_ setting: LossSetting) throws(TuttiError) {
        guard setting.labels == .none, (1...2).contains(setting.columns.count) else {
            throw TuttiError.loss(
                Self.name, problem: "it takes one text column and no labels",
                hint: "Choose the text column with columns: [...].")
        }
    }

    /// logit_scale, the logarithm of the factor on similarities.
    package func parameters(_ setting: LossSetting) -> [LossParameter] {
        [LossParameter("logit_scale", [], start: .constant(Float(log(scale))))]
    }

    /// This rank's part of the mean over all rows and columns. Collective.
    package func evaluate(_ batch: LossBatch, gradients: LossGradients?, in context: LossContext) throws -> Double {
        try tape.evaluate(batch, gradients, context) { tape in
            let (twin, model) = (tape.column(0, of: .twin), tape.column(0))  // [b, D] each
            let factor = tape.exponential(tape.parameter("logit_scale"))  // [1, 1]
            let first = tape.ranks.offset
            /// The summed cross entropies of own rows with the other side's embeddings of all texts.
            func crossEntropy(_ own: TapeValue, _ other: TapeValue) throws -> TapeValue {
                let scores = tape.similarities(similarity, own, try tape.gatherRows(other))  // [b, N]
                let losses = tape.crossEntropy(tape.scaled(scores, by: factor)) { first + $0 }  // [b, 1]
                return tape.sum(losses, times: 0.5 / tape.globalRows)
            }
            return tape.add(try crossEntropy(twin, model), try crossEntropy(model, twin))
        }
    }

    /// What the registry knows of it.
    static let entry = LossEntry(
        name: name,
        summary: "model and twin find each other's embedding of a text in the global batch: needs only texts",
        inputs: [LossInput("text"), LossInput("anchor", "anchor")],
        settings: Settings.self,
        citation: ContrastiveTensionLoss.citation,
        make: { settings throws(TuttiError) in
            try ContrastiveTensionLossInBatchNegatives(scale: settings.scale, similarity: settings.similarity)
        })
}
