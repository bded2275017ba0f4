// A batch that is written down in a test, for losses whose value follows by hand.

import TestSupport
import TuttiEnsemble
import TuttiGround
import TuttiKernels
import TuttiObjectives

/// A batch of one rank: column after column, row after row.
struct SmallBatch {
    var columns: [[[Float]]]
    var labels: [Float] = []
    var labelWidth = 1

    init(_ columns: [[[Float]]], labels: [Float] = [], labelWidth: Int = 1) {
        (self.columns, self.labels, self.labelWidth) = (columns, labels, labelWidth)
    }

    /// Pairs of (1, 0) with unit vectors of these cosines.
    init(cosines: [Float], labels: [Float]) {
        self.init(
            [cosines.map { _ in [1, 0] }, cosines.map { [$0, (1 - $0 * $0).squareRoot()] }], labels: labels)
    }

    /// The value and the gradient of a loss without parameters, in one process.
    func evaluate(
        _ name: String, _ options: JSONObject = [:]
    ) throws -> (value: Double, gradient: [Float]) {
        let loss = try LossRegistry.make(name: name, options: options).loss
        let (rows, width) = (columns[0].count, columns[0].first?.count ?? 2)
        let block = FloatBlock(columns.flatMap { $0.flatMap { $0 } })
        let gradient = FloatBlock(count: block.count)
        gradient.pointer.update(repeating: .nan, count: gradient.count)
        var batch = LossBatch(
            embeddings: block.matrix(columns.count * rows, width), rows: rows, columns: columns.count)
        let value = try labels.withUnsafeBufferPointer { labels in
            if !labels.isEmpty || rows == 0 { (batch.labels, batch.labelWidth) = (labels, labelWidth) }
            return try loss.evaluate(
                batch, dEmbeddings: gradient.matrix(columns.count * rows, width), ensemble: LocalEnsemble.single())
        }
        return (value, gradient.values)
    }
}
