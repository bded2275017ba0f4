// Loss: what an objective is: a function from embeddings and labels to a value and the gradient of the embeddings.
//
// A loss never sees an encoder, so one chunked step serves every loss, and it sees all ranks, so that its value does
// not depend on how rows were dealt to them. What else it needs it declares (LossRequirements.swift): other roles such as
// frozen guides or a trained twin, lower layers, a decoder, parameters of its own. Training provides that and calls
// `evaluate`.
//
// One rule covers all distribution: THE LOSS IS THE SUM OF WHAT THE RANKS RETURN, and every gradient is the derivative
// of that sum. What every rank computes alike, one rank returns (`Tape.once`).
//
// Legend: `b` rows on this rank, `N` rows of all ranks, `C` text columns, `D` embedding width, `L` layers looked at.

import TuttiEnsemble
import TuttiGround
import TuttiKernels

/// The embeddings of one batch on this rank; a view, owned by the caller.
public struct LossBatch {
    /// Layer after layer, the last layer last; inside a layer column after column: rows `k * b ..< (k + 1) * b` of a
    /// layer embed text column k. There are no gaps between rows.
    public var embeddings: Matrix  // [L * C * b, D]

    /// Layers of the encoder that were pooled, `L`; 1 unless the loss asked for more.
    public var layers = 1

    /// Which layers they are, ascending, where the loss asked; empty where it looks at the last one alone.
    public var layerNumbers: [Int] = []

    /// Rows of the batch on this rank, `b`; may be zero.
    public var rows: Int

    /// Text columns that the encoder embedded, `C`; equal on all ranks.
    public var columns: Int

    /// Text columns of the data, embedded or not; equal on all ranks.
    public var textColumns: Int

    /// The labels, if the data set has a label column.
    public var labels: UnsafeBufferPointer<Float>?  // [b, labelWidth]

    /// Numbers in one label.
    public var labelWidth: Int

    /// What the other roles that the loss asked for make of their texts, column after column.
    public var others: [Role: Matrix] = [:]  // [columns of the role * b, width of the role]

    /// Numbers that are equal where texts have equal tokens, if the loss asked for them: of all columns of the data.
    public var textKeys: UnsafeBufferPointer<UInt64>?  // [textColumns * b]

    /// A batch of `rows` rows with `columns` texts each, at `layers` layers of the encoder.
    public init(
        embeddings: Matrix, rows: Int, columns: Int, labels: UnsafeBufferPointer<Float>? = nil, labelWidth: Int = 1,
        layers: Int = 1
    ) {
        precondition(
            rows >= 0 && columns > 0 && layers > 0 && embeddings.rows == layers * rows * columns,
            "LossBatch: \(embeddings.rows) embeddings for \(layers) layers of \(rows) rows of \(columns) columns")
        if let labels {
            precondition(
                labels.count == rows * labelWidth, "LossBatch: \(labels.count) labels, \(rows) rows of \(labelWidth)")
        }
        self.embeddings = embeddings
        self.layers = layers
        self.rows = rows
        self.columns = columns
        textColumns = columns
        self.labels = labels
        self.labelWidth = labelWidth
    }

    /// The embeddings by a role; nil where the loss did not ask for it.
    public subscript(role: Role) -> Matrix? { role == .student ? embeddings : others[role] }

    /// The embeddings of one text column at the last layer.
    public func column(_ index: Int) -> Matrix {  // [b, D]
        let first = ((layers - 1) * columns + index) * rows
        return embeddings.rows(first..<first + rows)
    }

    /// The same rows at one of the layers, 0 for the lowest of them.
    public func layer(_ index: Int) -> LossBatch {
        var batch = self
        batch.embeddings = embeddings.rows(index * columns * rows..<(index + 1) * columns * rows)
        batch.layers = 1
        batch.layerNumbers = []
        return batch
    }
}

/// Where a loss puts gradients: all of them are assigned.
public struct LossGradients {
    /// The derivative by `LossBatch.embeddings`.
    public var embeddings: Matrix  // [L * C * b, D]

    /// The derivatives by those of `LossBatch.others` that are trained.
    public var others: [Role: Matrix]

    /// Room for gradients in the shapes of the batch.
    public init(embeddings: Matrix, others: [Role: Matrix] = [:]) {
        self.embeddings = embeddings
        self.others = others
    }

    /// The derivative by the embeddings of a role; nil where it is not trained or was not asked for.
    public subscript(role: Role) -> Matrix? { role == .student ? embeddings : others[role] }
}

/// With whom, with what and when a loss is evaluated.
public struct LossContext {
    /// The ranks among which the batch was dealt.
    public var ensemble: any Ensemble

    /// The factor of all gradients (not of the value): the weight of this loss in whatever is minimised.
    public var weight = 1.0

    /// The random numbers of this step, equal on all ranks.
    public var draw = LossDraw(seed: 0, step: 0)

    /// The parameters that the loss owns.
    public var parameters = LossParameters()

    /// The decoder, if the loss asked for one.
    public var decoder: (any SentenceDecoder)?

    /// An evaluation among `ensemble`.
    public init(ensemble: any Ensemble) { self.ensemble = ensemble }
}

/// A training objective.
///
/// A loss is used by one thread; it keeps its own memory, so that a step takes none once the largest batch was seen.
public protocol Loss: AnyObject {
    /// The class name that users of sentence-transformers know.
    static var name: String { get }

    /// The options in effect, in the order of the documentation, for the model card.
    var options: [(name: String, value: JSONValue)] { get }

    /// What it needs besides the embeddings of the last layer.
    var requirements: LossRequirements { get }

    /// Losses inside this one.
    var nested: [ConfiguredLoss] { get }

    /// Whether the value depends on which rank has which rows; then every rank gets as many as any other.
    var dependsOnDealing: Bool { get }

    /// The summands that are logged under their own names, of the last evaluation; this rank's parts, like the value.
    /// The same names in the same order after every evaluation.
    var parts: [(name: String, value: Double)] { get }

    /// The value for a global batch of `rows` rows of `columns` texts if all similarities are equal: that of a model
    /// which tells nothing apart. Nil where there is no such value.
    func chance(rows: Double, columns: Int) -> Double?

    /// Refuses a model or data that the loss cannot work with, before the first step.
    func check(_ setting: LossSetting) throws(TuttiError)

    /// The parameters that it owns, for embeddings of the model in `setting`.
    func parameters(_ setting: LossSetting) -> [LossParameter]

    /// The classifier of pairs that it trains, if it does: evaluators judge it as it is then.
    var classifier: LossClassifier? { get }

    /// The layers that it looks at in a step, ascending, the last layer included; 0 is the embedding output.
    func layers(of count: Int, draw: LossDraw) -> [Int]

    /// This rank's part of the loss; the loss itself is the sum over ranks. Collective.
    ///
    /// - Parameters:
    ///   - batch: this rank's rows; an empty rank calls too.
    ///   - gradients: assigned `context.weight` times the derivative of the *whole* loss by this rank's embeddings;
    ///     gradients of own parameters are added to. nil = evaluation only, the same choice on all ranks.
    /// - Returns: this rank's summand of the value, already divided by the *global* denominator.
    /// - Throws: `TuttiError` of a collective, or if the batch does not suit the loss.
    func evaluate(_ batch: LossBatch, gradients: LossGradients?, in context: LossContext) throws -> Double
}

extension Loss {
    /// What the losses inside it need.
    public var requirements: LossRequirements { LossRequirements(of: nested) }
    /// No losses inside it.
    public var nested: [ConfiguredLoss] { [] }
    /// Whether the value of a loss inside it does.
    public var dependsOnDealing: Bool { nested.contains { $0.loss.dependsOnDealing } }
    /// No parts of its own.
    public var parts: [(name: String, value: Double)] { [] }
    /// Not known.
    public func chance(rows: Double, columns: Int) -> Double? { nil }

    /// Asks the losses inside it.
    public func check(_ setting: LossSetting) throws(TuttiError) {
        for inner in nested { try inner.loss.check(setting) }
    }

    /// The parameters of the losses inside it.
    public func parameters(_ setting: LossSetting) -> [LossParameter] { nested.flatMap { $0.loss.parameters(setting) } }

    /// The classifier of the first loss inside it that trains one.
    public var classifier: LossClassifier? { nested.lazy.compactMap(\.loss.classifier).first }

    /// The layers of the first loss inside it that looks at several; else the last layer.
    public func layers(of count: Int, draw: LossDraw) -> [Int] {
        nested.first { $0.loss.requirements.needsLayers }?.loss.layers(of: count, draw: draw) ?? [count]
    }

    /// This rank's part of the loss where nothing but embeddings and labels is needed. Collective.
    public func evaluate(_ batch: LossBatch, dEmbeddings: Matrix?, ensemble: any Ensemble) throws -> Double {
        try evaluate(
            batch, gradients: dEmbeddings.map { LossGradients(embeddings: $0) }, in: LossContext(ensemble: ensemble))
    }
}
