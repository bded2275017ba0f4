// AnglELoss: CoSENTLoss with the difference of angles in complex space, where cosines saturate.
//
// Legend: `b` rows on this rank, `N` rows of all ranks, `C` text columns, `D` width.

import TuttiEnsemble
import TuttiGround
import TuttiKernels

/// CoSENTLoss with the angle of two embeddings that are read as complex numbers.
///
///     loss = log( 1 + sum over y_i < y_j of exp(s_i - s_j) ),   s_i = scale * | Re z_i + Im z_i |
///     z_i  = sum_k (u_k + i u_(k + D/2)) conj(v_k + i v_(k + D/2)) / (|u| |v|)
///
/// Re z is the cosine; the imaginary part still has a gradient where the cosine has none.
///
/// **When to use it**: as CoSENTLoss, for pairs with a score; also for an anchor with texts of which only the first
/// is similar.
///
/// **Inputs**
///
/// | texts | labels |
/// |---|---|
/// | (sentence_A, sentence_B) | score |
/// | (anchor, positive, negative_1, ..., negative_n) | none: 1 for the positive, 0 for the negatives |
/// | (anchor, positive, negative_1, ..., negative_n) | score of the positive; the negatives get 1 - score |
///
/// **Relations**: equals the reference in one process with the batch of all ranks. An odd width is padded with a zero.
///
/// **Memory**: as CoSENTLoss.
///
/// **Citation**: Li and Li 2024, "AoE: Angle-optimized Embeddings for Semantic Textual Similarity", ACL 2024.
/// **Reference**: sentence_transformers, losses/angle.py.
package final class AnglELoss: Loss {
    /// "AnglELoss".
    package static let name = "AnglELoss"

    /// Its options.
    struct Settings: LossSettings {
        var scale = 20.0

        static let options = OptionList<Settings>([
            Option("scale", \.scale, "factor on the angles, the inverse temperature", check: .positive)
        ])
    }

    private let scale: Double
    private let tape = Tape()

    /// Creates the loss.
    ///
    /// - Throws: `TuttiError` for a scale that is not a positive number.
    package init(scale: Double = 20) throws(TuttiError) {
        guard scale.isFinite, scale > 0 else {
            throw TuttiError.loss(Self.name, option: "scale", problem: "\(scale) is not a positive number")
        }
        self.scale = scale
    }

    /// scale.
    package var options: [(name: String, value: JSONValue)] { Settings(scale: scale).listed }

    /// Refuses pairs without a score, and labels that are lists.
    package func check(_ setting: LossSetting) throws(TuttiError) {
        try setting.check(against: Self.entry)
        guard setting.labels.width <= 1 else {
            throw TuttiError.loss(
                Self.name, problem: "the labels are \(setting.labels.words)", hint: "It takes one score per row.")
        }
    }

    /// The loss on rank zero, zero elsewhere. Collective.
    package func evaluate(_ batch: LossBatch, gradients: LossGradients?, in context: LossContext) throws -> Double {
        try tape.evaluate(batch, gradients, context) { tape in
            let anchors = tape.column(0)  // [b, D]
            let score = batch.columns > 2 && batch.labels == nil ? ones() : try tape.labels(of: Self.name)  // [b, 1]
            let opposite = tape.scaled(score, by: -1, plus: 1)  // [b, 1]
            var (angles, scores): ([TapeValue], [TapeValue]) = ([], [])
            for column in 1..<batch.columns {
                angles.append(try tape.gatherRows(tape.pairAngles(anchors, tape.column(column))))  // [N, 1]
                scores.append(try tape.gatherRows(column == 1 ? score : opposite))  // [N, 1]
            }
            return tape.once(
                tape.orderCost(tape.concatenateRows(angles), tape.concatenateRows(scores), scale: scale))
        }
    }

    private func ones() -> TapeValue {
        let matrix = tape.newMatrix(tape.column(0).rows, 1)
        matrix.fill(1)
        return tape.constant(matrix)
    }

    /// What the registry knows of it.
    static let entry = LossEntry(
        name: name,
        summary: "CoSENTLoss with angles in complex space, which do not saturate as cosines do",
        inputs: [
            LossInput("sentence_A", "sentence_B", label: .score),
            LossInput("anchor", "positive", "negative", repeatsLast: true),
            LossInput("anchor", "positive", "negative", repeatsLast: true, label: .score),
        ],
        settings: Settings.self,
        citation: """
            @inproceedings{li-li-2024-aoe,
                title = "{A}o{E}: Angle-optimized Embeddings for Semantic Textual Similarity",
                author = "Li, Xianming and Li, Jing",
                year = "2024",
                publisher = "Association for Computational Linguistics",
                url = "https://aclanthology.org/2024.acl-long.101/",
                doi = "10.18653/v1/2024.acl-long.101"
            }
            """,
        make: { settings throws(TuttiError) in try AnglELoss(scale: settings.scale) })
}
