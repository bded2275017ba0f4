// The best documents of every query, among documents that arrive block by block and are then forgotten.
//
// What: scores of a tile [queries, documents] come from one matrix product, and TopK merges the tile into each query's
// best k. Documents are numbered as they arrive and equal scores prefer the lower number, so the result depends neither
// on blocks nor on tiles; every score comes from Gemm's reproducible product, so that it depends on its two embeddings
// alone, and equal embeddings tie exactly wherever they lie. Several ranks that each saw a share of the documents merge
// their results by the same order, one rank after another, so that no rank holds more than two results.
// Legend: Q queries, N documents, D width, tile = 256 queries x 2048 documents (2 MB of scores).
//
// Reference: sentence_transformers InformationRetrievalEvaluator (6.2), which has this order since then.

import TuttiEnsemble
import TuttiKernels
import TuttiModels
import TuttiObjectives

/// The best documents of each query, best first; equal scores by ascending number.
package struct RetrievalResult: Sendable {
    /// Documents kept for each query.
    let k: Int
    /// Document numbers [Q, k]; -1 where a query has fewer.
    fileprivate(set) var documents: [Int32]
    /// Their scores [Q, k].
    fileprivate(set) var scores: [Float]

    /// No documents yet for `queries` queries.
    init(queries: Int, k: Int) {
        self.k = k
        documents = [Int32](repeating: -1, count: queries * k)
        scores = [Float](repeating: -.infinity, count: queries * k)
    }

    /// The best documents of one query, best first.
    package func best(_ query: Int) -> [(document: Int, score: Float)] {
        (query * k..<(query + 1) * k).compactMap { place in
            documents[place] < 0 ? nil : (Int(documents[place]), scores[place])
        }
    }
}

/// Finds the best documents of a set of queries.
package final class DocumentSearch {
    private static let queryTile = 256
    private static let documentTile = 2048
    private let similarity: SimilarityFunction
    private let queryCount: Int
    private let dimension: Int
    private let queries: Embeddings
    private var arena = Arena()
    private var result: RetrievalResult
    private var documentCount = 0

    /// A search for the `k` best documents of each of `queries` under `similarity`.
    package init(queries: Embeddings, similarity: SimilarityFunction, k: Int) {
        self.similarity = similarity
        queryCount = queries.count
        dimension = queries.dimension
        self.queries = similarity == .cosine ? Embeddings(count: queries.count, dimension: dimension) : queries
        result = RetrievalResult(queries: queries.count, k: k)
        guard similarity == .cosine, queryCount > 0 else { return }
        RowKernels.normalize(
            queries.matrix(0..<queryCount), norms: arena.floats(queryCount), into: self.queries.matrix(0..<queryCount))
        withExtendedLifetime(queries) {}
    }

    /// Looks through the rows `range` of `documents`, all by default; they are numbered on from those before.
    package func add(_ documents: Embeddings, _ range: Range<Int>? = nil) {
        let range = range ?? 0..<documents.count
        defer { documentCount += range.count }
        guard queryCount > 0, result.k > 0, !range.isEmpty else { return }
        precondition(
            documents.dimension == dimension, "queries of width \(dimension), documents of \(documents.dimension)")
        arena.reset()
        let tile = arena.matrix(min(Self.queryTile, queryCount), min(Self.documentTile, range.count))
        let unit = arena.matrix(min(Self.documentTile, range.count), dimension)
        let norms = arena.floats(Self.documentTile)
        for first in stride(from: range.lowerBound, to: range.upperBound, by: Self.documentTile) {
            let rows = first..<min(first + Self.documentTile, range.upperBound)
            var block = documents.matrix(rows)
            if similarity == .cosine {
                let normalized = unit.rows(0..<rows.count)
                RowKernels.normalize(block, norms: norms, into: normalized)
                block = normalized
            }
            add(block, numberedFrom: documentCount + first - range.lowerBound, tile: tile)
        }
        withExtendedLifetime(documents) {}
    }

    private func add(_ documents: Matrix, numberedFrom number: Int, tile: Matrix) {
        for first in stride(from: 0, to: queryCount, by: Self.queryTile) {
            let rows = first..<min(first + Self.queryTile, queryCount)
            let scores = tile.rows(0..<rows.count).columns(0..<documents.rows)
            fill(scores, queries.matrix(rows), documents)
            result.merge(scores, ofQueriesFrom: first, documentsFrom: number)
        }
    }

    /// Scores of a tile: rows of `queries` against rows of `documents`.
    private func fill(_ scores: Matrix, _ queries: Matrix, _ documents: Matrix) {
        switch similarity {
        case .cosine, .dot: Gemm.multiply(queries, documents, transposeB: true, into: scores, by: .tutti)
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

    /// The best of the documents so far.
    package func best() -> RetrievalResult { result }

    /// On rank zero the best of the documents of all ranks, elsewhere the best of this rank's.
    ///
    /// `numbers` holds what this rank's documents are called among those of all ranks, ascending in their order here.
    /// Collective: every rank must call with the same queries and k.
    func merged(numbers: [Int32], ensemble: any Ensemble) throws -> RetrievalResult {
        precondition(numbers.count == documentCount, "\(numbers.count) numbers for \(documentCount) documents")
        for place in result.documents.indices where result.documents[place] >= 0 {
            result.documents[place] = numbers[Int(result.documents[place])]
        }
        for rank in 1..<max(ensemble.size, 1) {
            var theirs = ensemble.rank == rank ? result : RetrievalResult(queries: queryCount, k: result.k)
            try theirs.documents.withUnsafeMutableBytes { try ensemble.broadcast($0, root: rank) }
            try theirs.scores.withUnsafeMutableBytes { try ensemble.broadcast($0, root: rank) }
            if ensemble.isRoot { result.merge(theirs) }
        }
        return result
    }
}

extension RetrievalResult {
    /// Keeps the best of these and of the tile `new`, whose rows and columns are queries and documents from these on.
    fileprivate mutating func merge(_ new: Matrix, ofQueriesFrom query: Int, documentsFrom document: Int) {
        scores.withUnsafeMutableBufferPointer { values in
            documents.withUnsafeMutableBufferPointer { indices in
                guard let values = values.baseAddress, let indices = indices.baseAddress else { return }
                TopK.merge(
                    new, first: document, values: values + query * k, indices: indices + query * k, k: k)
            }
        }
    }

    /// Keeps the best of both for every query.
    fileprivate mutating func merge(_ other: RetrievalResult) {
        for first in stride(from: 0, to: documents.count, by: max(k, 1)) {
            let (ownDocuments, ownScores) = (Array(documents[first..<first + k]), Array(scores[first..<first + k]))
            var (own, theirs) = (0, 0)
            for place in 0..<k {
                let takesTheirs = RetrievalResult.precedes(
                    other.documents[first + theirs], other.scores[first + theirs], ownDocuments[own], ownScores[own])
                documents[first + place] = takesTheirs ? other.documents[first + theirs] : ownDocuments[own]
                scores[first + place] = takesTheirs ? other.scores[first + theirs] : ownScores[own]
                if takesTheirs { theirs += 1 } else { own += 1 }
            }
        }
    }

    /// Whether the first of two documents comes before the second: higher score, then lower number, absent ones last.
    private static func precedes(_ a: Int32, _ aScore: Float, _ b: Int32, _ bScore: Float) -> Bool {
        guard a >= 0, b >= 0 else { return a >= 0 }
        return aScore != bScore ? aScore > bScore : a < b
    }
}
