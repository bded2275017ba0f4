// Batches of embeddings for tests of losses: made from numbers, or read from a golden file; dealt to ranks.

import Foundation
import TestSupport
import TuttiEnsemble
import TuttiGround
import TuttiKernels
import TuttiObjectives

/// One batch of all ranks, column after column; names as in the golden files.
struct ContrastiveCase: Codable, Sendable {
    var name: String
    var rows: Int
    var columns: Int
    var width: Int
    var similarity_fct: String
    var scale: Double
    var embeddings: [Float]  // [C * N * D]
    var loss: Double
    var gradient: [Double]

    /// The goldens of the reference.
    static func goldens() throws -> [ContrastiveCase] {
        let file = URL(fileURLWithPath: Goldens.path("objectives/multiple_negatives_ranking.jsonl"))
        return try Data(contentsOf: file).split(separator: UInt8(ascii: "\n")).map {
            try JSONDecoder().decode(ContrastiveCase.self, from: Data($0))
        }
    }

    /// A batch of random rows, without loss and gradient.
    static func random(rows: Int, columns: Int, width: Int, similarity: String, seed: UInt64 = 3) -> ContrastiveCase {
        var random = TinyRandom(seed)
        let factor: Float = similarity == "cos_sim" ? 1 : 0.5
        let embeddings = (0..<rows * columns * width).map { _ in factor * Float.random(in: -1...1, using: &random) }
        return ContrastiveCase(
            name: "random", rows: rows, columns: columns, width: width, similarity_fct: similarity,
            scale: similarity == "cos_sim" ? 20 : 1, embeddings: embeddings, loss: .nan, gradient: [])
    }

    func makeLoss(gather: Bool = true) throws -> any Loss {
        let options: JSONObject = [
            "scale": .number(scale), "similarity_fct": .string(similarity_fct), "gather_across_devices": .bool(gather),
        ]
        return try LossRegistry.make(name: "MultipleNegativesRankingLoss", options: options).loss
    }

    /// The part of `values`, laid out as the embeddings are, of some rows.
    func part<Element>(_ values: [Element], _ own: Range<Int>) -> [Element] {
        (0..<columns).flatMap { column in
            values[(column * rows + own.lowerBound) * width..<(column * rows + own.upperBound) * width]
        }
    }

    /// The value and gradient of the rank that has the rows `own`.
    func evaluate(
        _ own: Range<Int>, _ ensemble: any Ensemble, loss: (any Loss)? = nil
    ) throws -> (value: Double, gradient: [Float]) {
        let count = columns * own.count
        let block = FloatBlock(part(embeddings, own))
        let gradient = FloatBlock(count: count * width)
        let batch = LossBatch(embeddings: block.matrix(count, width), rows: own.count, columns: columns)
        let value = try (loss ?? makeLoss()).evaluate(
            batch, dEmbeddings: gradient.matrix(count, width), ensemble: ensemble)
        return (value, gradient.values)
    }

    /// The value and gradient in one process.
    func evaluate(loss: (any Loss)? = nil) throws -> (value: Double, gradient: [Float]) {
        try evaluate(0..<rows, LocalEnsemble.single(), loss: loss)
    }
}

/// Rows of one rank in several deals: balanced, most on the last, all on the first, all on the last.
func deals(of rows: Int, rank: Int, size: Int) -> [Range<Int>] {
    let balanced = rows * rank / size..<rows * (rank + 1) / size
    let skewed = rank..<(rank == size - 1 ? rows : rank + 1)
    let onlyFirst = rank == 0 ? 0..<rows : rows..<rows
    let onlyLast = rank == size - 1 ? 0..<rows : 0..<0
    return [balanced, skewed, onlyFirst, onlyLast]
}
