// The best documents of every query, by tiles of scores, in memory that does not grow with the corpus.
//
// What: scores of a tile [queries, documents] come from one matrix product, and TopK merges the tile into each query's
// best k. Documents are numbered so that equal scores prefer the lower number; the caller numbers them by ascending
// corpus id, which gives the total order (-score, id) whatever the size of a tile.
// Legend: Q queries, N documents, D width, tile = 256 queries x 2048 documents (2 MB of scores).
//
// Reference: sentence_transformers InformationRetrievalEvaluator (6.2), which has this order since then.

import TuttiKernels
import TuttiModels
import TuttiObjectives

/// The best documents of each query.
struct RetrievalResult: Sendable {
    /// Documents kept for each query.
    let k: Int
    /// Document numbers [Q, k], best first; -1 where a query has fewer.
    let documents: [Int32]
    /// Their scores [Q, k].
    let scores: [Float]

    /// The best documents of one query, best first.
    func best(_ query: Int) -> [(document: Int, score: Float)] {
        (query * k..<(query + 1) * k).compactMap { place in
            documents[place] < 0 ? nil : (Int(documents[place]), scores[place])
        }
    }
}

/// Finds the `k` best of `documents` for each of `queries` under `similarity`.
func searchDocuments(
    queries: Embeddings, documents: Embeddings, similarity: SimilarityFunction, k: Int
) -> RetrievalResult {
    precondition(
        queries.dimension == documents.dimension,
        "queries of width \(queries.dimension), documents of \(documents.dimension)")
    let kept = min(k, documents.count)
    guard queries.count > 0, kept > 0 else { return RetrievalResult(k: 0, documents: [], scores: []) }
    let queryTile = 256
    let documentTile = 2048
    let q = similarity == .cosine ? queries.normalized() : queries
    let n = similarity == .cosine ? documents.normalized() : documents
    var indices = [Int32](repeating: -1, count: queries.count * kept)
    var values = [Float](repeating: -.infinity, count: queries.count * kept)
    var arena = Arena()
    let tile = arena.matrix(min(queryTile, q.count), min(documentTile, n.count))
    values.withUnsafeMutableBufferPointer { values in
        indices.withUnsafeMutableBufferPointer { indices in
            guard let values = values.baseAddress, let indices = indices.baseAddress else { return }
            for firstQuery in stride(from: 0, to: q.count, by: queryTile) {
                let queryRange = firstQuery..<min(firstQuery + queryTile, q.count)
                for firstDocument in stride(from: 0, to: n.count, by: documentTile) {
                    let documentRange = firstDocument..<min(firstDocument + documentTile, n.count)
                    let scores = tile.rows(0..<queryRange.count).columns(0..<documentRange.count)
                    fill(scores, q.matrix(queryRange), n.matrix(documentRange), similarity)
                    TopK.merge(
                        scores, first: firstDocument, values: values + firstQuery * kept,
                        indices: indices + firstQuery * kept, k: kept)
                }
            }
        }
    }
    return withExtendedLifetime((q, n)) { RetrievalResult(k: kept, documents: indices, scores: values) }
}

/// Scores of a tile: rows of `queries` against rows of `documents`.
private func fill(_ scores: Matrix, _ queries: Matrix, _ documents: Matrix, _ similarity: SimilarityFunction) {
    switch similarity {
    case .cosine, .dot: Gemm.multiply(queries, documents, transposeB: true, into: scores)
    case .euclidean, .manhattan:
        Parallel.forRange(queries.rows, grain: 1) { rows in
            for row in rows {
                let x = UnsafeBufferPointer(start: queries.row(row), count: queries.columns)
                for column in 0..<documents.rows {
                    let y = UnsafeBufferPointer(start: documents.row(column), count: documents.columns)
                    scores[row, column] = similarity.ofPair(x, y)
                }
            }
        }
    }
}
