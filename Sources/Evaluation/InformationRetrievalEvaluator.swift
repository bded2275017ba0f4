// Are the relevant documents of a query among the best of a corpus?
//
// What: every query is searched in the whole corpus, and accuracy, precision, recall, nDCG, MRR and MAP at cut-offs are
// averaged over the queries that have relevant documents. The ranking is the total order (-score, corpus id ascending),
// ids compared by code points. Each distinct text is encoded and scored once; documents of one text tie exactly.
//
// Who does what: documents come in chunks, dealt to the ranks from the longest to the shortest. A rank encodes its
// share of a chunk, keeps the best of them for every query, and forgets their embeddings; at the end the ranks' best
// are merged. So memory does not grow with the corpus, and neither chunks nor ranks show in the result, as far as the
// encoder gives a text the same bits in other batches, which its matrix product decides (--gemm tutti promises it).
//
//   keys  <name>_<function>_accuracy@k, precision@k, recall@k, ndcg@k, mrr@k, map@k
//   file  Information-Retrieval_evaluation[_name]_results.csv: epoch, steps, <function>-Accuracy@k ...
//
// Reference: sentence_transformers/sentence_transformer/evaluation/information_retrieval.py (6.2).

import Foundation
import TuttiCorpus
import TuttiEnsemble
import TuttiFormats
import TuttiGround
import TuttiModels
import TuttiObjectives

/// Judges a model by how well it finds the relevant documents of queries.
public final class InformationRetrievalEvaluator: Evaluator {
    /// Its options.
    struct Settings: EvaluatorSettings {
        var common = CommonEvaluatorSettings()
        var corpus = ""
        var queries = ""
        var judgements = ""
        var queryPrompt: String?
        var queryPromptName: String?
        var documentPrompt: String?
        var documentPromptName: String?
        var retrieval = RetrievalOptions()

        static let options = OptionList<Settings>(
            [
                Option(
                    "corpus", \.corpus, "the documents, JSON lines or Parquet of _id, title and text", words: "a file",
                    isRequired: true),
                Option(
                    "queries", \.queries, "the queries, JSON lines or Parquet of _id and text", words: "a file",
                    isRequired: true),
                Option(
                    "qrels", \.judgements,
                    "the relevant documents, tab-separated or Parquet, query-id, corpus-id, score",
                    words: "a file", isRequired: true),
                Option("query_prompt", \.queryPrompt, "put before queries in place of the model's prompt"),
                Option("query_prompt_name", \.queryPromptName, "the model's prompt that is put before queries"),
                Option("corpus_prompt", \.documentPrompt, "put before documents in place of the model's prompt"),
                Option(
                    "corpus_prompt_name", \.documentPromptName, "the model's prompt that is put before documents"),
            ] + RetrievalOptions.options.lifted(to: \.retrieval))
    }

    /// "InformationRetrievalEvaluator".
    public static let className = "InformationRetrievalEvaluator"
    /// The name of the data.
    public let name: String
    /// "Information Retrieval".
    public let title = "Information Retrieval"
    /// nDCG at the deepest cut-off of the main function, or of the best one at the first evaluation.
    public private(set) var primaryMetric: String
    private let collection: JudgedCollection
    private let cutoffs: RetrievalCutoffs
    private let functions: [SimilarityFunction]
    private let settings: RetrievalSettings
    private var isPrimaryChosen: Bool

    /// An evaluator of a collection of queries, documents and judgements.
    ///
    /// `functions` must not be empty; `main` names the primary metric's function, otherwise it is the best one at the
    /// first evaluation, and until then the first.
    public init(
        _ collection: JudgedCollection, name: String = "", cutoffs: RetrievalCutoffs = RetrievalCutoffs(),
        functions: [SimilarityFunction] = [.cosine], main: SimilarityFunction? = nil,
        settings: RetrievalSettings = RetrievalSettings()
    ) {
        precondition(!functions.isEmpty, "no similarity function")
        self.collection = collection
        self.name = name
        self.cutoffs = cutoffs
        self.functions = functions.sorted { $0.rawValue < $1.rawValue }
        self.settings = settings
        isPrimaryChosen = main != nil || functions.count == 1
        primaryMetric = metricKey(cutoffs.primaryKey(of: main ?? self.functions[0]), of: name)
    }

    /// The metrics at all cut-offs, function by function.
    public var metricKeys: [String] { functions.flatMap { cutoffs.keys(of: $0) }.map(prefixed) }

    /// Truncation and prompts, where they differ from the defaults.
    public var configuration: JSONObject {
        var options = Settings()
        options.common.truncatedDimension = settings.truncatedDimension
        options.queryPrompt = settings.queryPrompt
        options.documentPrompt = settings.documentPrompt
        return options.common.changes("truncate_dim").merging(options.changes("query_prompt", "corpus_prompt"))
    }

    /// Searches every query in the whole corpus, and judges the rankings. Collective.
    public func evaluate(
        model: any SentenceEncoding, ensemble: any Ensemble, context: EvaluationContext
    ) throws -> [Metric] {
        let queries = try model.encodeQueries(
            collection.queryTexts, prompt: settings.queryPrompt, tokensPerBatch: context.tokensPerBatch,
            ensemble: ensemble)
        let depth = cutoffs.deepest
        let found = try search(
            queries: settings.truncatedDimension.map(queries.truncated) ?? queries, depth: depth, model: model,
            ensemble: ensemble, context: context)
        let metrics = try ensemble.metricsOnRoot {
            var values: [Double] = []
            for (function, found) in zip(functions, found) {
                let rankings = collection.rankings(found, depth: depth)
                values += RetrievalMetrics(rankings.map(collection.judged), at: cutoffs).values
                if settings.writesPredictions { try writePredictions(rankings, function, context) }
            }
            let metrics = zip(metricKeys, values).map { ($0, $1) }
            if settings.writesResults {
                try cutoffs.write(
                    metrics, of: name, functions, to: "Information-Retrieval_evaluation\(suffix)_results.csv", context)
            }
            return metrics
        }
        recall(metrics)
        return metrics
    }

    /// Keeps the function that was the best one at the first evaluation.
    public func recall(_ first: [Metric]) {
        if !isPrimaryChosen, let best = cutoffs.bestKey(of: functions, in: first, of: name) { primaryMetric = best }
        isPrimaryChosen = true
    }

    /// The best `depth` distinct documents of every query under each function, complete on rank zero.
    private func search(
        queries: Embeddings, depth: Int, model: any SentenceEncoding, ensemble: any Ensemble,
        context: EvaluationContext
    ) throws -> [RetrievalResult] {
        let texts = collection.documentTexts
        let searches = functions.map {
            DocumentSearch(queries: queries, similarity: $0, k: min(depth, texts.count))
        }
        var numbers: [Int32] = []
        try ensemble.together("search the corpus") {
            let size = settings.corpusChunkSize
            for (turn, first) in stride(from: 0, to: texts.count, by: size).enumerated() {
                let chunk = first..<min(first + size, texts.count)
                let share = InformationRetrievalEvaluator.share(
                    of: chunk, lengths: { texts[$0].utf8.count }, turn: turn, ensemble: ensemble)
                guard !share.isEmpty else { continue }
                let documents = try model.encodeDocuments(
                    share.map { texts[$0] }, prompt: settings.documentPrompt, tokensPerBatch: context.tokensPerBatch,
                    ensemble: nil)
                let rows = settings.truncatedDimension.map(documents.truncated) ?? documents
                for search in searches { search.add(rows) }
                numbers += share.map { Int32($0) }
            }
        }
        return try searches.map { try $0.merged(numbers: numbers, ensemble: ensemble) }
    }

    /// This rank's documents of a chunk, ascending: dealt in turn from the longest to the shortest, the first one to
    /// another rank in every chunk.
    private static func share(
        of chunk: Range<Int>, lengths: (Int) -> Int, turn: Int, ensemble: any Ensemble
    ) -> [Int] {
        guard ensemble.size > 1 else { return Array(chunk) }
        let order = chunk.map { (length: lengths($0), document: $0) }.sorted {
            $0.length != $1.length ? $0.length > $1.length : $0.document < $1.document
        }
        let first = (ensemble.rank - turn % ensemble.size + ensemble.size) % ensemble.size
        return stride(from: first, to: order.count, by: ensemble.size).map { order[$0].document }.sorted()
    }

    private var suffix: String { name.isEmpty ? "" : "_" + name }

    /// One JSON line a query with its best documents.
    private func writePredictions(
        _ rankings: [Ranking], _ function: SimilarityFunction, _ context: EvaluationContext
    ) throws(TuttiError) {
        guard let outputDirectory = context.outputDirectory else { return }
        let folder = outputDirectory + "/eval"
        do {
            try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        } catch {
            throw TuttiError(.retryable, "write predictions", folder, "cannot be made: \(error.localizedDescription)")
        }
        let lines = rankings.map { ranking in
            let results = ranking.documents.map { hit in
                JSONValue.object(["corpus_id": .string(hit.id), "score": .number(Double(hit.score))])
            }
            return JSONValue.object([
                "query_id": .string(collection.queryIDs[ranking.query]),
                "query": .string(collection.queryTexts[ranking.query]), "results": .array(results),
            ]).serialized(asciiOnly: true) + "\n"
        }
        let name = "Information-Retrieval_evaluation\(suffix)_predictions_\(function.rawValue).jsonl"
        try AtomicWrite.file(path: "\(folder)/\(ResultsFile.fileName(name))", text: lines.joined())
    }
}

extension InformationRetrievalEvaluator {
    /// What configurations and the command know of it.
    static let entry = EvaluatorEntry(
        name: className, summary: "accuracy, precision, recall, nDCG, MRR and MAP of a search in a corpus",
        data: "three BEIR files: corpus.jsonl, queries.jsonl, qrels.tsv, or the same columns in Parquet",
        settings: Settings.self
    ) { (settings, options) throws(TuttiError) in
        let retrieval = settings.retrieval
        let functions = try options.functions(retrieval.similarity)
        let queryPrompt = try options.prompt(
            settings.queryPrompt, orNamed: settings.queryPromptName, "query_prompt_name")
        let documentPrompt = try options.prompt(
            settings.documentPrompt, orNamed: settings.documentPromptName, "corpus_prompt_name")
        let corpus = try RetrievalFiles.corpus(settings.corpus)
        let queries = try RetrievalFiles.queries(settings.queries)
        return InformationRetrievalEvaluator(
            try JudgedCollection(queries: queries, documents: corpus, judgements: [settings.judgements]),
            name: settings.common.id, cutoffs: retrieval.cutoffs, functions: functions,
            main: retrieval.similarity.main,
            settings: retrieval.settings(settings.common, queryPrompt: queryPrompt, documentPrompt: documentPrompt))
    }
}

extension EvaluatorOptions {
    /// The prompt `text`, else the model's prompt of a name that the option `key` gives, else nil.
    fileprivate func prompt(
        _ text: String?, orNamed name: String?, _ key: String
    ) throws(TuttiError) -> String? {
        guard let name else { return text }
        guard let named = modelPrompts[name] else {
            throw error(
                key, "the model has no prompt '\(name)'",
                hint: TuttiError.hint(unknown: name, known: modelPrompts.keys.sorted()))
        }
        return text ?? named
    }
}

extension JudgedCollection {
    /// A collection of texts with the judgements in the files `paths`, of which those with a score above zero count.
    ///
    /// Throws: `.missingFile`; `.data` naming file and line, or for a file without a relevant document of any query.
    init(queries: NamedTexts, documents: NamedTexts, judgements paths: [String]) throws(TuttiError) {
        var relevant: [(query: String, documents: [String])] = []
        for path in paths {
            for judgement in try RetrievalFiles.judgements(path) where judgement.score > 0 {
                relevant.append((judgement.query, [judgement.document]))
            }
        }
        self.init(
            queries: zip(queries.ids, queries.texts).map { ($0, $1) },
            documents: zip(documents.ids, documents.texts).map { ($0, $1) }, relevant: relevant)
        guard !queryIDs.isEmpty else {
            throw TuttiError(
                .data, "read evaluation data", paths.joined(separator: ", "),
                "names no relevant document for any of the queries")
        }
    }
}
