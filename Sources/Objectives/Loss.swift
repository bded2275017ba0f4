// Loss: what an objective is: a pure function from embeddings and labels to a value and the gradient of the embeddings.
//
// A loss never sees an encoder, so one chunked step serves every loss, and it sees all ranks, so that its value does
// not depend on how rows were dealt to them.
//
// Legend: `b` rows on this rank, `N` rows of all ranks, `C` text columns, `D` embedding width.

import TuttiEnsemble
import TuttiKernels

/// The embeddings of one batch on this rank; a view, owned by the caller.
public struct LossBatch {
    /// Column after column: rows `k * b ..< (k + 1) * b` embed text column k.
    /// There are no gaps between rows.
    public var embeddings: Matrix  // [C * b, D]

    /// Rows of the batch on this rank, `b`; may be zero.
    public var rows: Int

    /// Text columns, `C`; equal on all ranks.
    public var columns: Int

    /// The labels, if the data set has a label column.
    public var labels: UnsafeBufferPointer<Float>?  // [b, labelWidth]

    /// Numbers in one label.
    public var labelWidth: Int

    /// A batch of `rows` rows with `columns` texts each.
    public init(
        embeddings: Matrix, rows: Int, columns: Int, labels: UnsafeBufferPointer<Float>? = nil, labelWidth: Int = 1
    ) {
        precondition(
            rows >= 0 && columns > 0 && embeddings.rows == rows * columns,
            "LossBatch: \(embeddings.rows) embeddings for \(rows) rows of \(columns) columns")
        if let labels {
            precondition(
                labels.count == rows * labelWidth, "LossBatch: \(labels.count) labels, \(rows) rows of \(labelWidth)")
        }
        self.embeddings = embeddings
        self.rows = rows
        self.columns = columns
        self.labels = labels
        self.labelWidth = labelWidth
    }

    /// The embeddings of one text column.
    public func column(_ index: Int) -> Matrix { embeddings.rows(index * rows..<(index + 1) * rows) }  // [b, D]
}

/// A training objective.
///
/// A loss is used by one thread; it keeps its own memory, so that a step allocates nothing once the largest batch was
/// seen.
public protocol Loss: AnyObject {
    /// The class name that users of sentence-transformers know.
    static var name: String { get }

    /// The options in effect, in the order of the documentation, for the model card.
    var options: [(name: String, value: LossOption)] { get }

    /// Whether the value depends on which rank has which rows; then every rank gets as many as any other.
    var dependsOnDealing: Bool { get }

    /// This rank's part of the loss; the loss itself is the sum over ranks. Collective.
    ///
    /// - Parameters:
    ///   - batch: this rank's rows; an empty rank calls too.
    ///   - dEmbeddings: assigned the derivative of the *whole* loss by this rank's embeddings, `[C * b, D]`; nil =
    ///     evaluation only, the same choice on all ranks.
    ///   - ensemble: the ranks among which the batch was dealt.
    /// - Returns: the Partial value, already divided by the *global* denominator.
    /// - Throws: `EnsembleError` of a collective, `LossError` if the batch does not suit the loss.
    func evaluate(_ batch: LossBatch, dEmbeddings: Matrix?, ensemble: any Ensemble) throws -> Double
}

extension Loss {
    public var dependsOnDealing: Bool { false }
}
