// The most similar documents of every query, with the documents spread over the ranks.
//
// What: a document chunk lies whole on one rank, and a query's scores against it are one matrix product of a fixed
// shape; each rank keeps its best candidates, and the lists of all ranks are merged by the total order (-score,
// document number). Which candidates are found thus depends neither on the number of ranks nor on the order in which
// chunks were searched. The similarities that are returned are computed again pair by pair in double precision and rounded once:
// equal texts tie exactly, and a positive has one score, as candidate and as positive.
//
// Legend: Q queries of a block, N documents, D width, k candidates kept, W ranks.

import TuttiEnsemble
import TuttiKernels
import TuttiModels
import TuttiObjectives

/// The candidates of some queries, best first.
struct Candidates: Sendable, Equatable {
    /// Candidates kept for each query: as many as asked for, or all documents.
    let depth: Int
    /// Document numbers [Q, depth]; -1 where a score was no number.
    var documents: [Int32]
    /// Similarities [Q, depth].
    var scores: [Float]
    /// Similarities of the queries' positives, query after query.
    var positiveScores: [Float]
}

/// This rank's documents, and the search in those of all ranks.
struct CandidateSearch {
    private let ensemble: any Ensemble
    private let similarity: SimilarityFunction
    private let documentCount: Int
    private let chunkSize: Int
    /// Places and unit embeddings of the chunks that lie on this rank: numbers rank, rank + W, ...
    private var chunks: [(places: Range<Int>, rows: Embeddings)] = []
    /// Queries searched at once: what is exchanged is W x blockSize x depth entries.
    private static let blockSize = 256

    /// A search in `documentCount` documents, of which none are there yet; they come in chunks of `chunkSize`.
    init(ensemble: any Ensemble, similarity: SimilarityFunction, documentCount: Int, chunkSize: Int) {
        self.ensemble = ensemble
        self.similarity = similarity
        self.documentCount = documentCount
        self.chunkSize = chunkSize
    }

    /// Adds a chunk of documents, unit rows; it stays on one rank. Every rank must add all chunks in their order.
    mutating func add(chunk: Int, places: Range<Int>, rows: Embeddings) {
        precondition(places.lowerBound == chunk * chunkSize, "chunk \(chunk) begins at \(places.lowerBound)")
        if chunk % ensemble.size == ensemble.rank { chunks.append((places, rows)) }
    }

    /// The `depth` best documents of `queries`, unit rows, whose positives are the documents `positives`: one list a
    /// query. Only rank zero gets the lists; the others get an empty one.
    /// Collective.
    func candidates(of queries: Embeddings, positives: [ArraySlice<Int>], depth: Int) throws -> Candidates {
        let depth = min(depth, documentCount)
        var found = Candidates(depth: depth, documents: [], scores: [], positiveScores: [])
        for first in stride(from: 0, to: queries.count, by: CandidateSearch.blockSize) {
            let block = first..<min(first + CandidateSearch.blockSize, queries.count)
            let lists = try ensemble.gather(ownCandidates(block, of: queries, depth: depth))
            guard ensemble.isRoot else { continue }
            for query in 0..<block.count {
                let merged = CandidateSearch.merge(lists, query: query, depth: depth)
                found.documents += merged.map(\.document)
                found.scores += merged.map(\.similarity)
            }
        }
        found.positiveScores = try positiveScores(queries, positives)
        return found
    }

    /// This rank's best candidates of a block, as the bytes of [Q, depth] entries.
    private func ownCandidates(_ block: Range<Int>, of queries: Embeddings, depth: Int) -> [UInt8] {
        var arena = Arena()
        let count = block.count
        let values = arena.floats(count * depth)
        let indices = UnsafeMutablePointer<Int32>.allocate(capacity: count * depth)
        defer { indices.deallocate() }
        TopK.clear(values: values, indices: indices, rows: count, k: depth)
        let widest = chunks.map(\.places.count).max() ?? 0
        let tile = arena.matrix(count, widest)  // [Q, chunk]
        for (places, rows) in chunks {
            let scores = tile.columns(0..<places.count)
            withExtendedLifetime((queries, rows)) {
                rank(queries.matrix(block), rows.matrix(0..<rows.count), into: scores)
            }
            TopK.merge(scores, first: places.lowerBound, values: values, indices: indices, k: depth)
        }
        var entries = [CandidateEntry](repeating: CandidateEntry(), count: count * depth)
        entries.withUnsafeMutableBufferPointer { entries in
            let entries = SharedEntries(base: entries)
            Parallel.forRange(count, grain: 1) { range in
                for place in range.lowerBound * depth..<range.upperBound * depth where indices[place] >= 0 {
                    let document = indices[place]
                    entries.base[place] = CandidateEntry(
                        document: document, rankingScore: values[place],
                        similarity: ofPair(queries[block.lowerBound + place / depth], Int(document)) ?? .nan)
                }
            }
        }
        return withExtendedLifetime(arena) { entries.withUnsafeBytes(Array.init) }
    }

    /// Scores that order documents as the similarity does: unit vectors order alike by cosine, inner product and
    /// Euclidean distance.
    private func rank(_ queries: Matrix, _ documents: Matrix, into scores: Matrix) {
        guard similarity == .manhattan else {
            return Gemm.multiply(queries, documents, transposeB: true, into: scores)
        }
        Parallel.forRange(queries.rows, grain: 1) { rows in
            for row in rows {
                let query = UnsafeBufferPointer(start: queries.row(row), count: queries.columns)
                for column in 0..<documents.rows {
                    let document = UnsafeBufferPointer(start: documents.row(column), count: documents.columns)
                    scores[row, column] = similarity.ofPair(query, document)
                }
            }
        }
    }

    /// The similarity of a query and a document, nil where the document lies on another rank.
    private func ofPair(_ query: UnsafeBufferPointer<Float>, _ document: Int) -> Float? {
        let number = document / chunkSize
        guard number % ensemble.size == ensemble.rank else { return nil }
        let chunk = chunks[number / ensemble.size]
        return withExtendedLifetime(chunk.rows) {
            let row = chunk.rows[document - chunk.places.lowerBound]
            // Rows have unit length already: scaling them again would only round twice.
            return (similarity == .cosine ? .dot : similarity).ofPair(query, row)
        }
    }

    /// Similarities of queries and their positives, each computed by the rank that has the document.
    private func positiveScores(_ queries: Embeddings, _ positives: [ArraySlice<Int>]) throws -> [Float] {
        var scores: [Double] = []
        for (query, documents) in positives.enumerated() {
            for document in documents {
                scores.append(withExtendedLifetime(queries) { Double(ofPair(queries[query], document) ?? -0.0) })
            }
        }
        // One rank has a number, the others -0, which changes no number, not even 0 or -0: the sum is exact.
        try scores.withUnsafeMutableBufferPointer { try ensemble.allReduceSum($0) }
        return scores.map { Float($0) }
    }

    /// The best of all ranks' lists for one query: found by ranking score, then ordered by similarity.
    private static func merge(_ lists: [[UInt8]], query: Int, depth: Int) -> [CandidateEntry] {
        var entries: [CandidateEntry] = []
        let width = MemoryLayout<CandidateEntry>.stride
        for list in lists {
            list.withUnsafeBytes { bytes in
                for place in query * depth..<(query + 1) * depth {
                    let entry = bytes.loadUnaligned(fromByteOffset: place * width, as: CandidateEntry.self)
                    if entry.document >= 0 { entries.append(entry) }
                }
            }
        }
        entries.sort {
            $0.rankingScore != $1.rankingScore ? $0.rankingScore > $1.rankingScore : $0.document < $1.document
        }
        let best = entries.prefix(depth).sorted {
            $0.similarity != $1.similarity ? $0.similarity > $1.similarity : $0.document < $1.document
        }
        return best + repeatElement(CandidateEntry(), count: depth - best.count)
    }
}

/// A candidate on its way between ranks.
private struct CandidateEntry: BitwiseCopyable {
    var document: Int32 = -1
    /// What the ranks agree by which candidates are the best.
    var rankingScore: Float = -.infinity
    var similarity: Float = -.infinity
}

/// Entries of which each worker writes its own.
private struct SharedEntries: @unchecked Sendable {
    let base: UnsafeMutableBufferPointer<CandidateEntry>
}
