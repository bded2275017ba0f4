// The most similar pairs in a list of sentences.
//
// What: every sentence has its `neighbours` best other sentences; a pair is a candidate if one of the two is among
// the other's best, and the best `limit` candidates are kept. The order is total everywhere, (-score, smaller number,
// larger number), where the reference leaves equal scores to the order in which they come.
//
// Who does what: every rank holds all embeddings and searches for its share of the sentences, some thousands at a time;
// it keeps its best `limit` pairs, and rank zero merges those of one rank after another.
//
// Reference: sentence_transformers/util/retrieval.py (paraphrase_mining_embeddings, 6.2).

import TuttiEnsemble
import TuttiModels
import TuttiObjectives

/// Two sentences and their similarity.
public struct SimilarPair: Sendable, Equatable {
    /// Their similarity.
    public let score: Float
    /// The smaller number.
    public let first: Int32
    /// The larger number.
    public let second: Int32

    /// Whether it comes before another pair.
    func precedes(_ other: SimilarPair) -> Bool {
        if score != other.score { return score > other.score }
        return first != other.first ? first < other.first : second < other.second
    }
}

/// The size of a mining.
package struct MiningSize: Sendable {
    /// Sentences searched for at once on a rank.
    package var queryChunk = 5_000
    /// Pairs kept.
    package var limit = 500_000
    /// Other sentences kept for each.
    package var neighbours = 100
}

/// The pairs of sentences with the highest cosine similarity, best first: on rank zero, elsewhere none.
///
/// Collective: every rank must call with the same embeddings and size.
func mineParaphrases(_ embeddings: Embeddings, size: MiningSize, ensemble: any Ensemble) throws -> [SimilarPair] {
    let (count, world) = (embeddings.count, ensemble.size)
    let share = ensemble.rank * count / world..<(ensemble.rank + 1) * count / world
    var pairs: [SimilarPair] = []
    for begin in stride(from: share.lowerBound, to: share.upperBound, by: size.queryChunk) {
        let queries = begin..<min(begin + size.queryChunk, share.upperBound)
        let search = DocumentSearch(
            queries: embeddings.gathering(Array(queries)), similarity: .cosine, k: min(size.neighbours + 1, count))
        search.add(embeddings)
        let found = search.best()
        for query in queries {
            let others = found.best(query - begin).filter { $0.document != query }
            for (other, score) in others.prefix(size.neighbours) {
                pairs.append(
                    SimilarPair(score: score, first: Int32(min(query, other)), second: Int32(max(query, other))))
            }
        }
        pairs.keepBest(size.limit)
    }
    let own = pairs.flatMap { pair in
        withUnsafeBytes(of: (pair.score.bitPattern, pair.first, pair.second), Array.init)
    }
    for rank in 1..<max(world, 1) {
        let theirs = try ensemble.broadcast(own, root: rank)
        guard ensemble.isRoot else { continue }
        theirs.withUnsafeBytes { bytes in
            for place in stride(from: 0, to: bytes.count, by: 12) {
                let bits = bytes.loadUnaligned(fromByteOffset: place, as: UInt32.self)
                pairs.append(
                    SimilarPair(
                        score: Float(bitPattern: bits),
                        first: bytes.loadUnaligned(fromByteOffset: place + 4, as: Int32.self),
                        second: bytes.loadUnaligned(fromByteOffset: place + 8, as: Int32.self)))
            }
        }
        pairs.keepBest(size.limit)
    }
    return ensemble.isRoot ? pairs : []
}

extension [SimilarPair] {
    /// Sorts, drops repetitions and keeps the first `limit`.
    fileprivate mutating func keepBest(_ limit: Int) {
        sort { $0.precedes($1) }
        var kept = 0
        for place in indices where kept < limit && (kept == 0 || self[place] != self[kept - 1]) {
            self[kept] = self[place]
            kept += 1
        }
        removeLast(count - kept)
    }
}
