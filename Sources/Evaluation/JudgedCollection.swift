// Queries, documents and the judgements between them, prepared for searching.
//
// What: queries without a relevant document are dropped, as in the reference. Documents are grouped by text, and the
// groups are numbered by their smallest id; a search over groups that prefers lower numbers on ties, opened into ids,
// gives the order (-score, id ascending) over all documents: a group beyond the best k groups has k ids before it.
//
// Reference: sentence_transformers/sentence_transformer/evaluation/information_retrieval.py (6.2).

import TuttiCorpus
import TuttiFormats
import TuttiModels
import TuttiObjectives

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
    public let documentCount: Int
    /// The ids of each distinct text, ascending.
    private let documentIDs: [[String]]
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
        let ascending = documents.map { (key: ByteKey($0.id), document: $0) }.sorted { $0.key < $1.key }
        let unique = UniqueTexts(ascending.map(\.document.text))
        var ids = [[String]](repeating: [], count: unique.texts.count)
        for (place, entry) in zip(unique.places, ascending) { ids[place].append(entry.document.id) }
        documentTexts = unique.texts
        documentIDs = ids
        documentCount = documents.count
    }

    /// The best `depth` documents of every query.
    func rankings(
        queries: Embeddings, documents: Embeddings, by similarity: SimilarityFunction, depth: Int
    ) -> [Ranking] {
        let found = searchDocuments(queries: queries, documents: documents, similarity: similarity, k: depth)
        return (0..<queries.count).map { query in
            var hits: [(key: ByteKey, id: String, score: Float)] = []
            for (text, score) in found.best(query) {
                for id in documentIDs[text].prefix(depth) { hits.append((ByteKey(id), id, score)) }
            }
            hits.sort { $0.score != $1.score ? $0.score > $1.score : $0.key < $1.key }
            return Ranking(query: query, documents: hits.prefix(depth).map { ($0.id, $0.score) })
        }
    }

    /// The judgements of a ranking.
    func judged(_ ranking: Ranking) -> JudgedRanking {
        let relevant = relevant[ranking.query]
        return JudgedRanking(
            isRelevant: ranking.documents.map { relevant.contains(ByteKey($0.id)) }, relevantCount: relevant.count)
    }
}

extension InformationRetrievalEvaluator {
    /// What configurations and the command know of it.
    static let entry = EvaluatorEntry(
        name: className, summary: "accuracy, precision, recall, nDCG, MRR and MAP of a search in a corpus",
        data: "three BEIR files: corpus.jsonl, queries.jsonl, qrels.tsv",
        options: [
            EvaluatorOptionDescription(required: "corpus", .file, "the documents, JSON lines of _id, title and text"),
            EvaluatorOptionDescription(required: "queries", .file, "the queries, JSON lines of _id and text"),
            EvaluatorOptionDescription(
                required: "qrels", .file, "the relevant documents, tab-separated query-id, corpus-id, score"),
            EvaluatorOptionDescription("corpus_chunk_size", .integer, "taken for compatibility, without effect"),
            EvaluatorOptionDescription("accuracy_at_k", cutoffs: [1, 3, 5, 10], "cut-offs of accuracy"),
            EvaluatorOptionDescription(
                "precision_recall_at_k", cutoffs: [1, 3, 5, 10], "cut-offs of precision and recall"),
            EvaluatorOptionDescription("mrr_at_k", cutoffs: [10], "cut-offs of the mean reciprocal rank"),
            EvaluatorOptionDescription("ndcg_at_k", cutoffs: [10], "cut-offs of nDCG"),
            EvaluatorOptionDescription("map_at_k", cutoffs: [100], "cut-offs of the mean average precision"),
            .similarityFunctions,
            EvaluatorOptionDescription("score_functions", .texts, "another name of similarity_fn_names"),
            EvaluatorOptionDescription(
                "main_score_function", .text, "the function of the primary metric; by default the best one"),
            EvaluatorOptionDescription("query_prompt", .text, "put before queries in place of the model's prompt"),
            EvaluatorOptionDescription("query_prompt_name", .text, "not available: give the text as query_prompt"),
            EvaluatorOptionDescription("corpus_prompt", .text, "put before documents in place of the model's prompt"),
            EvaluatorOptionDescription("corpus_prompt_name", .text, "not available: give the text as corpus_prompt"),
            EvaluatorOptionDescription(
                "write_predictions", .flag, standard: .bool(false), "write the rankings as JSON lines"),
        ],
        make: make)

    /// Makes the evaluator that `options` describe, from the BEIR files that it names.
    private static func make(_ options: EvaluatorOptions) throws(TuttiError) -> any Evaluator {
        if let size = try options.int("corpus_chunk_size"), size < 1 {
            throw options.error("corpus_chunk_size", "is \(size), which must be at least 1")
        }
        for key in ["query_prompt_name", "corpus_prompt_name"] where try options.string(key) != nil {
            let spelled = key.replacingSuffix("_name", with: "")
            throw options.error(
                key, "prompts cannot be named here", hint: "Give the text of the prompt as '\(spelled)'.")
        }
        let main = try options.similarity("main_score_function")
        let listKey = options.object.contains(key: "score_functions") ? "score_functions" : "similarity_fn_names"
        let functions = try options.similarities(listKey, main: main)
        var cutoffs = RetrievalCutoffs()
        cutoffs.accuracy = try options.cutoffs("accuracy_at_k", cutoffs.accuracy)
        cutoffs.precisionRecall = try options.cutoffs("precision_recall_at_k", cutoffs.precisionRecall)
        cutoffs.reciprocalRank = try options.cutoffs("mrr_at_k", cutoffs.reciprocalRank)
        cutoffs.discountedGain = try options.cutoffs("ndcg_at_k", cutoffs.discountedGain)
        cutoffs.averagePrecision = try options.cutoffs("map_at_k", cutoffs.averagePrecision)
        var settings = RetrievalSettings()
        settings.queryPrompt = try options.string("query_prompt")
        settings.documentPrompt = try options.string("corpus_prompt")
        settings.truncatedDimension = try options.truncatedDimension()
        settings.writesResults = try options.bool("write_csv") ?? true
        settings.writesPredictions = try options.bool("write_predictions") ?? false
        return InformationRetrievalEvaluator(
            try collection(options), name: try options.string("id") ?? "", cutoffs: cutoffs, functions: functions,
            main: main, settings: settings)
    }

    private static func collection(_ options: EvaluatorOptions) throws(TuttiError) -> JudgedCollection {
        let corpus = try RetrievalFiles.corpus(options.requiredString("corpus"))
        let queries = try RetrievalFiles.queries(options.requiredString("queries"))
        let judgementPath = try options.requiredString("qrels")
        var relevant: [(query: String, documents: [String])] = []
        for judgement in try RetrievalFiles.judgements(judgementPath) where judgement.score > 0 {
            relevant.append((judgement.query, [judgement.document]))
        }
        let collection = JudgedCollection(
            queries: zip(queries.ids, queries.texts).map { ($0, $1) },
            documents: zip(corpus.ids, corpus.texts).map { ($0, $1) }, relevant: relevant)
        guard !collection.queryIDs.isEmpty else {
            throw TuttiError(
                .data, "read evaluation data", judgementPath, "names no relevant document for any of the queries")
        }
        return collection
    }
}

extension String {
    /// The string with its ending `suffix` exchanged, or itself when it ends otherwise.
    fileprivate func replacingSuffix(_ suffix: String, with replacement: String) -> String {
        hasSuffix(suffix) ? dropLast(suffix.count) + replacement : self
    }
}
