// ContrastiveTensionLoss: a model and its trained twin must agree on a text, and disagree on different ones.
//
// Legend: `b` rows on this rank, `N` rows of all ranks, `D` width.

import TuttiEnsemble
import TuttiGround
import TuttiKernels

/// Contrastive tension: the model and a twin, which starts as its copy and is trained with it, embed the two texts of a
/// pair; their inner product predicts whether the texts are the same.
///
///     loss = sum_i  log(1 + exp(z_i)) - y_i z_i,   z_i = <twin(a_i), model(b_i)>,   y_i = 1 if a_i is b_i, else 0
///
/// It is a sum, not a mean: the learning rate must fit the batch size.
///
/// **When to use it**: with only single texts. `ContrastiveTensionLossInBatchNegatives` learns more from the
/// same texts.
///
/// **Inputs**
///
/// | texts | labels |
/// |---|---|
/// | (text) | none: pairs are made of the texts of the global batch |
/// | (sentence_A, sentence_B) | none: 1 if both have the same tokens |
/// | (sentence_A, sentence_B) | 1 for the same text, 0 for different ones |
///
/// With one column, the row at slot s of the global batch is paired with its own text if s is a multiple of
/// `pos_neg_ratio`; otherwise with another text of the batch, sampled in every step. Slots and samples do not depend
/// on ranks.
///
/// **Relations**: the reference pairs one column in ContrastiveTensionDataLoader, which uses 2 R - 1 texts for R pairs,
/// and which its Trainer does not support; in Tutti every text of a batch is in a pair. The model is the reference's
/// `model2`; the twin is its `model1` and belongs to the loss: not saved with the model, not clipped. Each
/// side embeds only the column that it needs.
///
/// **Citation**: Carlsson et al. 2021, "Semantic Re-tuning with Contrastive Tension", ICLR.
/// **Reference**: sentence_transformers, losses/ContrastiveTensionLoss.py.
package final class ContrastiveTensionLoss: Loss {
    /// "ContrastiveTensionLoss".
    package static let name = "ContrastiveTensionLoss"

    /// Its options.
    struct Settings: LossSettings {
        var posNegRatio = 8

        static let options = OptionList<Settings>([
            Option(
                "pos_neg_ratio", \.posNegRatio, "with one text column: one in this many pairs has equal texts",
                check: .atLeast(1))
        ])
    }

    private let posNegRatio: Int
    private let tape = Tape()

    /// Creates the loss.
    ///
    /// - Throws: `TuttiError` for a ratio below 1.
    package init(posNegRatio: Int = 8) throws(TuttiError) {
        guard posNegRatio >= 1 else {
            throw TuttiError.loss(
                Self.name, option: "pos_neg_ratio", problem: "\(posNegRatio) is not a positive number")
        }
        self.posNegRatio = posNegRatio
    }

    /// pos_neg_ratio.
    package var options: [(name: String, value: JSONValue)] { Settings(posNegRatio: posNegRatio).listed }

    /// A twin that embeds the first column, while the model embeds the last; and which texts are equal.
    package var requirements: LossRequirements {
        var needs = LossRequirements()
        needs.texts = [.student: .last, .twin: .first]
        needs.needsTextKeys = true
        return needs
    }

    /// Refuses labels other than 0 and 1, and more than two columns.
    package func check(_ setting: LossSetting) throws(TuttiError) {
        guard (1...2).contains(setting.columns.count) else {
            throw TuttiError.loss(
                Self.name, problem: "the data has \(setting.columns.count) text columns",
                hint: "It needs one, or pairs of texts.")
        }
        let suits: Bool
        switch setting.labels {
        case .none: suits = true
        case .integers(let range): suits = setting.columns.count == 2 && range.lowerBound >= 0 && range.upperBound <= 1
        case .numbers(let range): suits = setting.columns.count == 2 && range.lowerBound >= 0 && range.upperBound <= 1
        case .lists: suits = false
        }
        guard suits else {
            throw TuttiError.loss(
                Self.name, problem: "the labels are not 1 for the same text and 0 for different ones",
                hint: "Exclude the label column with columns: [...]; equal texts are then found automatically.")
        }
    }

    /// This rank's part of the sum over pairs. Collective.
    package func evaluate(_ batch: LossBatch, gradients: LossGradients?, in context: LossContext) throws -> Double {
        try tape.evaluate(batch, gradients, context) { tape in
            let first = tape.column(0, of: .twin)  // [b, D]
            let second = batch.textColumns == 1 ? try partners(tape) : tape.column(0)  // [b, D]
            let scores = tape.rowProducts(first, second)  // [b, 1]
            let answers = try answers(batch, tape)  // [b, 1]
            return tape.sum(tape.subtract(tape.softplus(scores), tape.multiply(scores, answers)))
        }
    }

    /// With one column: the model's embedding of the text that each row is paired with, [b, D]. Collective.
    private func partners(_ tape: Tape) throws -> TapeValue {
        let all = try tape.gatherRows(tape.column(0))  // [N, D]
        var random = tape.context.draw.generator(purpose: 0)
        let places = (0..<all.rows).map { place in
            isPair(place) || all.rows == 1 ? place : (place + Int.random(in: 1..<all.rows, using: &random)) % all.rows
        }
        return tape.takeRows(all, Array(places[tape.ranks.offset..<tape.ranks.offset + tape.batch.rows]))
    }

    /// 1 if both texts of a row are the same, else 0, [b, 1].
    private func answers(_ batch: LossBatch, _ tape: Tape) throws -> TapeValue {
        if batch.labels != nil, batch.textColumns > 1 { return try tape.labels(of: Self.name) }
        let answers = tape.newMatrix(batch.rows, 1)
        for row in 0..<batch.rows {
            let isSame: Bool
            if batch.textColumns == 1 {
                isSame = isPair(tape.ranks.offset + row) || tape.ranks.total == 1
            } else {
                guard let keys = batch.textKeys else { preconditionFailure("ContrastiveTensionLoss: no text keys") }
                isSame = keys[row] == keys[batch.rows + row]
            }
            answers[row, 0] = isSame ? 1 : 0
        }
        return tape.constant(answers)
    }

    private func isPair(_ place: Int) -> Bool { place % posNegRatio == 0 }

    /// BibTeX of the paper.
    static let citation = """
        @inproceedings{carlsson2021semantic,
            title={Semantic Re-tuning with Contrastive Tension},
            author={Fredrik Carlsson and Amaru Cuba Gyllensten and Evangelia Gogoulou and Erik Ylip{"a}{"a} Hellqvist and \
        Magnus Sahlgren},
            booktitle={International Conference on Learning Representations},
            year={2021},
            url={https://openreview.net/forum?id=Ov_sMNau-PF}
        }
        """

    /// What the registry knows of it.
    static let entry = LossEntry(
        name: name, summary: "model and twin distinguish equal texts from different ones: needs only texts",
        inputs: [
            LossInput("text"), LossInput("sentence_A", "sentence_B"),
            LossInput("sentence_A", "sentence_B", label: .binary),
        ],
        settings: Settings.self,
        citation: citation,
        make: { settings throws(TuttiError) in try ContrastiveTensionLoss(posNegRatio: settings.posNegRatio) })
}
