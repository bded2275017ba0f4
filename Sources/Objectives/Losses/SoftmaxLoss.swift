// SoftmaxLoss: a linear classifier on top of two embeddings, trained with the encoder.
//
// Legend: `b` rows on this rank, `N` rows of all ranks, `D` width, `K` classes, `V` concatenated vectors.

import TuttiEnsemble
import TuttiGround
import TuttiKernels

/// The cross entropy of a linear classifier that sees both embeddings of a pair.
///
///     loss = -1/N  sum_i  log softmax( W [u_i; v_i; |u_i - v_i|] + c )[y_i]
///
/// **When to use it**: pairs with a class, such as natural language inference, as Sentence-BERT was trained; for
/// embeddings to compare, entailment pairs with MultipleNegativesRankingLoss are usually stronger.
///
/// **Inputs**
///
/// | texts | labels |
/// |---|---|
/// | (sentence_A, sentence_B) | class: 0, 1, ..., num_labels - 1 |
///
/// **Parameters**: classifier.weight `[K, V D]` and classifier.bias `[K]`.
///
/// **Relations**: equals the reference on the batch of all ranks. The reference under DDP never sums the classifier's
/// gradients over ranks and never saves it; in Tutti it is part of the run, and of `loss.safetensors` next to
/// every saved model. The only loss_fct is the cross entropy.
///
/// **Citation**: Reimers and Gurevych 2019, "Sentence-BERT: Sentence Embeddings using Siamese BERT-Networks",
/// arXiv 1908.10084. **Reference**: sentence_transformers, losses/softmax.py.
public final class SoftmaxLoss: Loss {
    /// "SoftmaxLoss".
    public static let name = "SoftmaxLoss"

    /// The classifier's features of a pair.
    public struct Features: Sendable, Equatable {
        /// u and v.
        public var embeddings: Bool
        /// |u - v|.
        public var difference: Bool
        /// u * v.
        public var product: Bool

        /// The classifier's features of a pair.
        public init(embeddings: Bool = true, difference: Bool = true, product: Bool = false) {
            (self.embeddings, self.difference, self.product) = (embeddings, difference, product)
        }

        /// Concatenated vectors, `V`.
        public var count: Int { (embeddings ? 2 : 0) + (difference ? 1 : 0) + (product ? 1 : 0) }
    }

    /// Its options.
    struct Settings: LossSettings {
        var classes = 0
        var features = Features()
        var width: Int?
        var oldWidth: Int?

        static let options = OptionList<Settings>([
            Option("num_labels", \.classes, "number of classes", check: .atLeast(1), isRequired: true),
            Option("embedding_dimension", \.width, "the model's, if given"),
            Option("sentence_embedding_dimension", \.oldWidth, "the old name of embedding_dimension"),
            Option("concatenation_sent_rep", \.features.embeddings, "the classifier sees u and v"),
            Option("concatenation_sent_difference", \.features.difference, "the classifier sees |u - v|"),
            Option("concatenation_sent_multiplication", \.features.product, "the classifier sees u * v"),
        ])
    }

    /// Number of classes, `K`.
    public let classes: Int

    /// The classifier's features of a pair.
    public let features: Features

    private let width: Int?
    private let tape = Tape()

    /// Creates the loss.
    ///
    /// - Parameter width: the width of the embeddings; nil = the model's.
    /// - Throws: `TuttiError` without a class or without a feature.
    public init(classes: Int, features: Features = Features(), width: Int? = nil) throws(TuttiError) {
        guard classes > 0 else {
            throw TuttiError.loss(Self.name, option: "num_labels", problem: "\(classes) is not a positive number")
        }
        guard features.count > 0 else {
            throw TuttiError.loss(
                Self.name, problem: "the classifier has no input",
                hint: "One of concatenation_sent_rep, concatenation_sent_difference and "
                    + "concatenation_sent_multiplication must be true.")
        }
        (self.classes, self.features, self.width) = (classes, features, width)
    }

    /// num_labels and the classifier's features.
    public var options: [(name: String, value: JSONValue)] {
        Settings(classes: classes, features: features, width: width).listed
    }

    /// Refuses a width other than the model's, and labels that are not classes.
    public func check(_ setting: LossSetting) throws(TuttiError) {
        try setting.check(against: Self.entry)
        if let width, width != setting.width {
            throw TuttiError.loss(
                Self.name, option: "embedding_dimension",
                problem: "\(width), but the model has \(setting.width)",
                hint: "Omit it.")
        }
        if case .integers(let range) = setting.labels, range.lowerBound < 0 || range.upperBound >= classes {
            throw TuttiError.loss(
                Self.name, option: "num_labels",
                problem: "\(classes) classes, but the labels are \(setting.labels.words)",
                hint: "Labels must be 0 to num_labels - 1.")
        }
    }

    /// The classifier, initialized like a torch linear layer.
    public func parameters(_ setting: LossSetting) -> [LossParameter] {
        LossParameter.linear("classifier", inputs: features.count * setting.width, outputs: classes)
    }

    /// The classifier.
    public var classifier: LossClassifier? {
        LossClassifier(classes: classes, features: features, prefix: "classifier.")
    }

    /// This rank's part of the mean over all rows. Collective.
    public func evaluate(_ batch: LossBatch, gradients: LossGradients?, in context: LossContext) throws -> Double {
        try tape.evaluate(batch, gradients, context) { tape in
            let labels = try tape.labels(of: Self.name).matrix  // [b, 1]
            for row in 0..<labels.rows where !(0..<Float(classes)).contains(labels[row, 0]) {
                throw TuttiError.loss(
                    Self.name, problem: "label \(labels[row, 0]), but there are \(classes) classes",
                    hint: "Labels must be 0 to num_labels - 1.")
            }
            let costs = tape.crossEntropy(logits(tape.column(0), tape.column(1))) { Int(labels[$0, 0]) }  // [b, 1]
            return tape.sum(costs, times: 1 / tape.globalRows)
        }
    }

    private func logits(_ u: TapeValue, _ v: TapeValue) -> TapeValue {  // [b, K]
        var vectors: [TapeValue] = []
        if features.embeddings { vectors += [u, v] }
        if features.difference { vectors.append(tape.abs(tape.subtract(u, v))) }
        if features.product { vectors.append(tape.multiply(u, v)) }
        return tape.linear(tape.concatenateColumns(vectors), "classifier")
    }

    /// What the registry knows of it.
    static let entry = LossEntry(
        name: name,
        summary: "a linear classifier on top of two embeddings (natural language inference)",
        inputs: [LossInput("sentence_A", "sentence_B", label: .classNumber)],
        settings: Settings.self,
        citation: sentenceBERTCitation,
        make: { settings throws(TuttiError) in
            try SoftmaxLoss(
                classes: settings.classes, features: settings.features, width: settings.width ?? settings.oldWidth)
        })
}
