// Queries, documents and the judgements between them, prepared for searching.
//
// What: queries without a relevant document are dropped, as in the reference. Documents are grouped by text, and the
// groups are numbered by their smallest id; a search over groups that prefers lower numbers on ties, opened into ids,
// gives the order (-score, id ascending) over all documents: a group beyond the best k groups has k ids before it.
//
// Reference: sentence_transformers/sentence_transformer/evaluation/information_retrieval.py (6.2).

import TuttiFormats

/// A query's best documents in order.
struct Ranking: Sendable {
    /// The query's place among the judged queries.
    let query: Int
    /// The documents, best first.
    let documents: [(id: String, score: Float)]
}

/// A retrieval test collection.
public struct JudgedCollection: Sendable {
    /// The names of the judged queries, in the order of the given queries.
    public let queryIDs: [String]
    /// Their texts.
    public let queryTexts: [String]
    /// The distinct document texts, by the smallest id that has the text.
    public let documentTexts: [String]
    /// The number of documents, repeated texts counted.
    public var documentCount: Int { documentIDs.count }
    /// The ids of all documents, those of one text together and ascending, texts in their order.
    private let documentIDs: [String]
    /// Where the ids of each text end in `documentIDs`.
    private let idEnds: [Int]
    /// The ids of the relevant documents of each judged query, by bytes.
    private let relevant: [Set<ByteKey>]

    /// A collection of (id, text) queries and documents and, by query id, the ids of relevant documents.
    public init(
        queries: [(id: String, text: String)], documents: [(id: String, text: String)],
        relevant: [(query: String, documents: [String])]
    ) {
        var judgements: [ByteKey: Set<ByteKey>] = [:]
        for (query, ids) in relevant { judgements[ByteKey(query), default: []].formUnion(ids.map { ByteKey($0) }) }
        let judged = queries.filter { !(judgements[ByteKey($0.id)] ?? []).isEmpty }
        queryIDs = judged.map(\.id)
        queryTexts = judged.map(\.text)
        self.relevant = judged.map { judgements[ByteKey($0.id)] ?? [] }
        let ascending = documents.indices.sorted { ByteKey(documents[$0].id) < ByteKey(documents[$1].id) }
        let unique = UniqueTexts(ascending.map { documents[$0].text })
        var ends = [Int](repeating: 0, count: unique.texts.count)
        for place in unique.places { ends[place] += 1 }
        for place in ends.indices.dropFirst() { ends[place] += ends[place - 1] }
        var next = [0] + ends.dropLast()
        var ids = [String](repeating: "", count: documents.count)
        for (place, document) in zip(unique.places, ascending) {
            ids[next[place]] = documents[document].id
            next[place] += 1
        }
        documentTexts = unique.texts
        documentIDs = ids
        idEnds = ends
    }

    /// The best `depth` documents of every query, from the best `depth` texts.
    func rankings(_ found: RetrievalResult, depth: Int) -> [Ranking] {
        queryIDs.indices.map { query in
            var hits: [(id: String, score: Float)] = []
            for (text, score) in found.best(query) {
                let ids = documentIDs[(text == 0 ? 0 : idEnds[text - 1])..<idEnds[text]]
                for id in ids.prefix(depth) { hits.append((id, score)) }
            }
            hits.sort { $0.score != $1.score ? $0.score > $1.score : ByteKey($0.id) < ByteKey($1.id) }
            return Ranking(query: query, documents: Array(hits.prefix(depth)))
        }
    }

    /// The judgements of a ranking.
    func judged(_ ranking: Ranking) -> JudgedRanking {
        let relevant = relevant[ranking.query]
        return JudgedRanking(
            isRelevant: ranking.documents.map { relevant.contains(ByteKey($0.id)) }, relevantCount: relevant.count)
    }
}
