// What people do with embeddings, as functions: search, paraphrase mining, communities.
//
// All of them are exact, and equal scores are ordered by number, so that a result is a function of its embeddings alone.
//
// Reference: sentence_transformers/util/retrieval.py (semantic_search, paraphrase_mining, community_detection, 6.2).

import TuttiEnsemble
import TuttiGround
import TuttiKernels
import TuttiModels
import TuttiObjectives

/// A row of a corpus that was found for a query.
public struct SearchHit: Sendable, Equatable {
    /// The row of the corpus.
    public let corpusID: Int
    /// Its similarity to the query.
    public let score: Float
}

/// The `topK` rows of `corpus` that are most similar to each row of `queries`, best first.
///
/// Both must have the same width. Fewer hits come back where the corpus has fewer rows.
public func semanticSearch(
    queries: Embeddings, corpus: Embeddings, topK: Int = 10, similarity: SimilarityFunction = .cosine
) -> [[SearchHit]] {
    guard queries.count > 0 else { return [] }
    let search = DocumentSearch(queries: queries, similarity: similarity, k: min(max(topK, 0), corpus.count))
    search.add(corpus)
    let best = search.best()
    return (0..<queries.count).map { query in
        best.best(query).map { SearchHit(corpusID: $0.document, score: $0.score) }
    }
}

/// The pairs of `sentences` with the highest cosine similarity, best first: on rank zero, elsewhere none.
///
/// - Parameters:
///   - neighbours: other sentences that each may pair with.
///   - limit: pairs that are kept.
/// - Throws: as `SentenceEncoding.encode`.
///
/// Collective: every rank must call with the same sentences.
public func paraphraseMining(
    model: any SentenceEncoding, sentences: [String], neighbours: Int = 100, limit: Int = 500_000,
    ensemble: any Ensemble = LocalEnsemble.single()
) throws -> [SimilarPair] {
    let embeddings = try model.encode(sentences, prompt: nil, tokensPerBatch: 8192, ensemble: ensemble)
    var size = MiningSize()
    (size.neighbours, size.limit) = (neighbours, limit)
    return try mineParaphrases(embeddings, size: size, ensemble: ensemble)
}

/// Groups of embeddings whose cosine similarity to a central one is at least `threshold`, the largest group first.
///
/// The first row of a group is its centre, the others follow by falling similarity. A row is in one group at most: where
/// groups overlap, the larger keeps it, and what is left of the other counts if it still has `minimumSize` rows.
///
/// - Parameter batchSize: rows that are compared with all at once: `batchSize` times count floats of memory.
public func communityDetection(
    _ embeddings: Embeddings, threshold: Float = 0.75, minimumSize: Int = 10, batchSize: Int = 1024
) -> [[Int]] {
    let count = embeddings.count
    guard count > 0, count >= minimumSize else { return [] }
    let unit = embeddings.normalized()
    var arena = Arena()
    let tile = arena.matrix(min(max(1, batchSize), count), count)
    var found: [(center: Int, rows: [Int])] = []
    for first in stride(from: 0, to: count, by: tile.rows) {
        let rows = first..<min(first + tile.rows, count)
        let scores = tile.rows(0..<rows.count)
        Gemm.multiply(unit.matrix(rows), unit.matrix(0..<count), transposeB: true, into: scores, by: .tutti)
        for row in 0..<rows.count {
            let near = (0..<count).filter { scores[row, $0] >= threshold }
            guard near.count >= minimumSize else { continue }
            let sorted = near.sorted { (scores[row, $0], $1) > (scores[row, $1], $0) }
            found.append((first + row, sorted))
        }
    }
    withExtendedLifetime(unit) {}
    var isTaken = [Bool](repeating: false, count: count)
    var communities: [[Int]] = []
    for (center, rows) in found.enumerated().sorted(by: larger).map(\.element) where !isTaken[center] {
        let free = rows.filter { !isTaken[$0] }
        guard free.count >= minimumSize else { continue }
        let community = [center] + free.filter { $0 != center }
        for row in community { isTaken[row] = true }
        communities.append(community)
    }
    return communities.enumerated().sorted { ($0.element.count, $1.offset) > ($1.element.count, $0.offset) }
        .map(\.element)
}

/// Whether `a` has more rows than `b`, or as many and comes first.
private func larger(
    _ a: (offset: Int, element: (center: Int, rows: [Int])), _ b: (offset: Int, element: (center: Int, rows: [Int]))
) -> Bool {
    (a.element.rows.count, b.offset) > (b.element.rows.count, a.offset)
}

extension SimilarityFunction {
    /// The similarity of every row of `a` with every row of `b`: a.count rows of b.count scores.
    public func ofAll(_ a: Embeddings, _ b: Embeddings) -> [[Float]] {
        guard a.count > 0, b.count > 0 else { return Array(repeating: [], count: a.count) }
        switch self {
        case .cosine: return Self.products(a.normalized(), b.normalized())
        case .dot: return Self.products(a, b)
        // A product would lose the digits of small distances.
        case .euclidean, .manhattan: return (0..<a.count).map { row in (0..<b.count).map { ofPair(a[row], b[$0]) } }
        }
    }

    private static func products(_ a: Embeddings, _ b: Embeddings) -> [[Float]] {
        var arena = Arena()
        let product = arena.matrix(a.count, b.count)
        withExtendedLifetime((a, b)) {
            Gemm.multiply(
                a.matrix(0..<a.count), b.matrix(0..<b.count), transposeB: true, into: product, by: .tutti)
        }
        return (0..<a.count).map { row in (0..<b.count).map { product[row, $0] } }
    }
}

extension SentenceEncoder {
    /// The similarity of every row of `a` with every row of `b`, by the function of the model.
    public func similarities(_ a: Embeddings, _ b: Embeddings) -> [[Float]] { similarityFunction.ofAll(a, b) }

    /// The similarity of row i of `a` with row i of `b`, by the function of the model.
    public func pairwiseSimilarities(_ a: Embeddings, _ b: Embeddings) -> [Float] { similarityFunction.ofPairs(a, b) }

    private var similarityFunction: SimilarityFunction {
        guard let function = SimilarityFunction(rawValue: similarity) else {
            preconditionFailure("a model with the similarity \(similarity)")
        }
        return function
    }
}
