// The pairs that mining starts from: each distinct anchor with its distinct positives, and the distinct documents.
//
// What: a query that occurs several times has several positives, and none of them may become its negative. Documents
// are numbered in the order of their first appearance, the given corpus before the positives; that order breaks ties.
// Legend: Q distinct queries, N distinct documents, P distinct (query, positive) pairs.

import TuttiFormats
import TuttiGround

/// Queries, documents, and which documents are the positives of which query.
package struct MiningPairs: Sendable {
    /// The distinct anchors [Q] in the order of their first appearance.
    package let queries: [String]
    /// The distinct texts [N] that negatives are taken from; every positive is among them.
    package let documents: [String]
    /// The rows of the data set, repeated pairs included.
    package let rowCount: Int
    /// The most rows that any query has.
    package let maximumPositives: Int
    /// Documents of the positives [P], query after query.
    let positives: [Int]
    /// Where the positives of each query end in `positives` [Q].
    private let ends: [Int]

    /// The pairs (anchors[i], positives[i]), and further documents that may serve as negatives.
    package init(anchors: [String], positives: [String], corpus: [String] = []) {
        precondition(anchors.count == positives.count, "\(anchors.count) anchors, \(positives.count) positives")
        let queries = UniqueTexts(anchors)
        let documents = UniqueTexts(corpus + positives)
        var ofQuery = [[Int]](repeating: [], count: queries.texts.count)
        var rows = [Int](repeating: 0, count: queries.texts.count)
        var known: Set<[Int]> = []
        for (query, document) in zip(queries.places, documents.places[corpus.count...]) {
            rows[query] += 1
            if known.insert([query, document]).inserted { ofQuery[query].append(document) }
        }
        self.queries = queries.texts
        self.documents = documents.texts
        rowCount = anchors.count
        maximumPositives = rows.max() ?? 0
        self.positives = ofQuery.flatMap { $0 }
        var end = 0
        ends = ofQuery.map { documents in
            end += documents.count
            return end
        }
    }

    /// The places in `positives` of some queries, which follow each other.
    func positivePlaces(of queries: Range<Int>) -> Range<Int> {
        guard !queries.isEmpty else { return 0..<0 }
        return (queries.lowerBound == 0 ? 0 : ends[queries.lowerBound - 1])..<ends[queries.upperBound - 1]
    }

    /// The places in `positives` of one query.
    func positivePlaces(of query: Int) -> Range<Int> { positivePlaces(of: query..<query + 1) }

    /// Adds texts and their relations to a digest.
    func update(_ digest: inout Digest, _ part: MiningPairsPart) {
        switch part {
        case .documents: MiningPairs.update(&digest, documents)
        case .queries: MiningPairs.update(&digest, queries)
        case .positives:
            digest.update(maximumPositives)
            digest.update(rowCount)
            for number in positives + ends { digest.update(number) }
        }
    }

    private static func update(_ digest: inout Digest, _ texts: [String]) {
        digest.update(texts.count)
        for text in texts { digest.update(text) }
    }
}

/// The parts of `MiningPairs` that a digest may cover.
enum MiningPairsPart { case documents, queries, positives }
