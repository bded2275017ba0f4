// CosineSimilarityLoss: the cosine of a pair must equal its score.
//
// Legend: `b` rows on this rank, `N` rows of all ranks, `D` width.

import TuttiEnsemble
import TuttiGround
import TuttiKernels

/// The mean distance of each pair's cosine from its score.
///
///     loss = 1/N  sum_i  fct( transformation(cos(u_i, v_i)), y_i )
///
/// **When to use it**: pairs with a similarity score, such as STS, if the score itself matters. CoSENTLoss, which only
/// uses the order of scores, is usually stronger.
///
/// **Inputs**
///
/// | texts | labels |
/// |---|---|
/// | (sentence_A, sentence_B) | score, usually 0 ... 1 |
///
/// torch's module path may precede the names, as in the reference's model cards. BCELoss needs Sigmoid: a cosine is not
/// a probability.
///
/// **Relations**: equals the reference on the batch of all ranks; uneven and empty ranks make no difference.
///
/// **Reference**: sentence_transformers, losses/cosine_similarity.py.
public final class CosineSimilarityLoss: Loss {
    /// "CosineSimilarityLoss".
    public static let name = "CosineSimilarityLoss"

    /// How a cosine is compared with its score.
    public enum Comparison: String, OptionChoice {
        /// The squared difference.
        case squared = "MSELoss"
        /// The absolute difference.
        case absolute = "L1Loss"
        /// The cross entropy with a probability.
        case crossEntropy = "BCELoss"
        /// The cross entropy with the sigmoid of the number.
        case logitCrossEntropy = "BCEWithLogitsLoss"

        /// The names without "Loss".
        public static var synonyms: [String: Comparison] {
            ["MSE": .squared, "L1": .absolute, "BCE": .crossEntropy, "BCEWithLogits": .logitCrossEntropy]
        }
    }

    /// The transformation of a cosine before the comparison.
    public enum Transformation: String, OptionChoice {
        /// Nothing.
        case identity = "Identity"
        /// 1 / (1 + e^-x).
        case sigmoid = "Sigmoid"
    }

    /// Its options.
    struct Settings: LossSettings {
        var comparison = Comparison.squared
        var transformation = Transformation.identity

        static let options = OptionList<Settings>([
            Option("loss_fct", \.comparison, "how cosine and score are compared; BCELoss needs Sigmoid"),
            Option("cos_score_transformation", \.transformation, "applied to the cosine"),
        ])
    }

    private let comparison: Comparison
    private let transformation: Transformation
    private let tape = Tape()

    /// Creates the loss.
    ///
    /// - Throws: `TuttiError` for the cross entropy of a cosine that is not a probability.
    public init(comparison: Comparison = .squared, transformation: Transformation = .identity) throws(TuttiError) {
        guard comparison != .crossEntropy || transformation == .sigmoid else {
            throw TuttiError.loss(
                Self.name, option: "loss_fct", problem: "BCELoss of a cosine, which may be negative",
                hint: "Use cos_score_transformation Sigmoid, or BCEWithLogitsLoss.")
        }
        self.comparison = comparison
        self.transformation = transformation
    }

    /// loss_fct and cos_score_transformation.
    public var options: [(name: String, value: JSONValue)] {
        Settings(comparison: comparison, transformation: transformation).listed
    }

    /// Refuses data other than pairs with a score, and scores that are not probabilities for a cross entropy.
    public func check(_ setting: LossSetting) throws(TuttiError) {
        try setting.check(against: Self.entry)
        let range: ClosedRange<Double>
        switch setting.labels {
        case .integers(let whole): range = Double(whole.lowerBound)...Double(whole.upperBound)
        case .numbers(let numbers): range = numbers
        case .none, .lists: return
        }
        guard comparison != .squared, comparison != .absolute, range.lowerBound < 0 || range.upperBound > 1 else {
            return
        }
        throw TuttiError.loss(
            Self.name, option: "loss_fct",
            problem: "\(comparison.rawValue) needs scores from 0 to 1, but the labels are \(setting.labels.words)",
            hint: "Scale the scores, or use MSELoss.")
    }

    /// This rank's part of the mean over all rows. Collective.
    public func evaluate(_ batch: LossBatch, gradients: LossGradients?, in context: LossContext) throws -> Double {
        try tape.evaluate(batch, gradients, context) { tape in
            let scores = try tape.labels(of: Self.name)  // [b, 1]
            let cosines = tape.pairCosines(tape.column(0), tape.column(1))  // [b, 1]
            let costs: TapeValue  // [b, 1]
            switch (comparison, transformation) {
            case (.squared, _): costs = tape.square(tape.subtract(transformed(cosines), scores))
            case (.absolute, _): costs = tape.abs(tape.subtract(transformed(cosines), scores))
            case (.crossEntropy, _): costs = crossEntropy(cosines, scores)  // the sigmoid is in it
            case (.logitCrossEntropy, _): costs = crossEntropy(transformed(cosines), scores)
            }
            return tape.sum(costs, times: 1 / tape.globalRows)
        }
    }

    private func transformed(_ cosines: TapeValue) -> TapeValue {
        transformation == .sigmoid ? tape.sigmoid(cosines) : cosines
    }

    /// -y log sigmoid(x) - (1 - y) log(1 - sigmoid(x)) = log(1 + e^x) - y x.
    private func crossEntropy(_ logits: TapeValue, _ scores: TapeValue) -> TapeValue {
        tape.subtract(tape.softplus(logits), tape.multiply(scores, logits))
    }

    /// What the registry knows of it.
    static let entry = LossEntry(
        name: name,
        summary: "the cosine of a pair must equal its score",
        inputs: [LossInput("sentence_A", "sentence_B", label: .score)],
        settings: Settings.self,
        make: { settings throws(TuttiError) in
            try CosineSimilarityLoss(comparison: settings.comparison, transformation: settings.transformation)
        })
}
