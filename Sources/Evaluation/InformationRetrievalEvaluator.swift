// Are the relevant documents of a query among the best of a corpus?
//
// What: every query is searched in the whole corpus, and accuracy, precision, recall, nDCG, MRR and MAP at cut-offs are
// averaged over the queries that have relevant documents. The ranking is the total order (-score, corpus id ascending),
// ids compared by code points, so that it depends neither on tiles nor on the order of the corpus. Each distinct text
// is encoded and scored once; documents of one text tie exactly.
//
//   keys  <name>_<function>_accuracy@k, precision@k, recall@k, ndcg@k, mrr@k, map@k
//   file  Information-Retrieval_evaluation[_name]_results.csv: epoch, steps, <function>-Accuracy@k ...
//
// Reference: sentence_transformers/sentence_transformer/evaluation/information_retrieval.py (6.2).

import Foundation
import TuttiCorpus
import TuttiEnsemble
import TuttiFormats
import TuttiModels
import TuttiObjectives

/// Judges a model by how well it finds the relevant documents of queries.
public final class InformationRetrievalEvaluator: Evaluator {
    public static let className = "InformationRetrievalEvaluator"
    public let name: String
    public let title = "Information Retrieval"
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
        let deepest = cutoffs.discountedGain.max() ?? 10
        primaryMetric = metricKey("\((main ?? self.functions[0]).rawValue)_ndcg@\(deepest)", of: name)
    }

    public var metricKeys: [String] {
        functions.flatMap { function in
            [
                ("accuracy", cutoffs.accuracy), ("precision", cutoffs.precisionRecall),
                ("recall", cutoffs.precisionRecall),
                ("ndcg", cutoffs.discountedGain), ("mrr", cutoffs.reciprocalRank), ("map", cutoffs.averagePrecision),
            ].flatMap { metric, cutoffs in cutoffs.map { prefixed("\(function.rawValue)_\(metric)@\($0)") } }
        }
    }

    public var configuration: JSONObject {
        var object = JSONObject()
        if let width = settings.truncatedDimension { object.set("truncate_dim", .integer(Int64(width))) }
        if let prompt = settings.queryPrompt { object.set("query_prompt", .string(prompt)) }
        if let prompt = settings.documentPrompt { object.set("corpus_prompt", .string(prompt)) }
        return object
    }

    public func evaluate(
        model: any SentenceEncoding, ensemble: any Ensemble, context: EvaluationContext
    ) throws -> [Metric] {
        let queries = try model.encode(
            collection.queryTexts, prompt: settings.queryPrompt ?? model.queryPrompt,
            tokensPerBatch: context.tokensPerBatch, ensemble: ensemble)
        let documents = try model.encode(
            collection.documentTexts, prompt: settings.documentPrompt ?? model.documentPrompt,
            tokensPerBatch: context.tokensPerBatch, ensemble: ensemble)
        let metrics = try metricsOnRoot(ensemble) {
            let q = settings.truncatedDimension.map(queries.truncated) ?? queries
            let n = settings.truncatedDimension.map(documents.truncated) ?? documents
            var values: [Double] = []
            var columns: [Double] = []
            for function in functions {
                let rankings = collection.rankings(queries: q, documents: n, by: function, depth: cutoffs.deepest)
                let metrics = RetrievalMetrics(rankings.map(collection.judged), at: cutoffs)
                values += [
                    metrics.accuracy, metrics.precision, metrics.recall, metrics.discountedGain, metrics.reciprocalRank,
                    metrics.averagePrecision,
                ].flatMap { $0.map(\.value) }
                columns += metrics.accuracy.map(\.value)
                columns += zip(metrics.precision, metrics.recall).flatMap { [$0.value, $1.value] }
                columns += metrics.reciprocalRank.map(\.value) + metrics.discountedGain.map(\.value)
                columns += metrics.averagePrecision.map(\.value)
                if settings.writesPredictions { try writePredictions(rankings, function, context) }
            }
            if settings.writesResults { try resultsFile.append(columns, context) }
            return zip(metricKeys, values).map { ($0, $1) }
        }
        choosePrimary(metrics)
        return metrics
    }

    /// Fixes the primary metric at the first evaluation: nDCG at the deepest cut-off of the best function.
    private func choosePrimary(_ metrics: [Metric]) {
        guard !isPrimaryChosen else { return }
        isPrimaryChosen = true
        let ending = "_ndcg@\(cutoffs.discountedGain.max() ?? 10)"
        var best: Metric?
        for metric in metrics where metric.key.hasSuffix(ending) && metric.value > best?.value ?? -.infinity {
            best = metric
        }
        if let best { primaryMetric = best.key }
    }

    private var suffix: String { name.isEmpty ? "" : "_" + name }

    private var resultsFile: ResultsFile {
        let columns = functions.flatMap { function -> [String] in
            let f = function.rawValue
            return cutoffs.accuracy.map { "\(f)-Accuracy@\($0)" }
                + cutoffs.precisionRecall.flatMap { ["\(f)-Precision@\($0)", "\(f)-Recall@\($0)"] }
                + cutoffs.reciprocalRank.map { "\(f)-MRR@\($0)" } + cutoffs.discountedGain.map { "\(f)-NDCG@\($0)" }
                + cutoffs.averagePrecision.map { "\(f)-MAP@\($0)" }
        }
        return ResultsFile(
            name: "Information-Retrieval_evaluation\(suffix)_results.csv", columns: columns, lineEnd: "\n")
    }

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
        let path = "\(folder)/Information-Retrieval_evaluation\(suffix)_predictions_\(function.rawValue).jsonl"
        try AtomicWrite.file(path: path, text: lines.joined())
    }
}

/// What an evaluation of retrieval does besides searching.
public struct RetrievalSettings: Sendable {
    /// The prompt of queries in place of the model's.
    public var queryPrompt: String?
    /// The prompt of documents in place of the model's.
    public var documentPrompt: String?
    /// The leading dimensions that embeddings are cut to.
    public var truncatedDimension: Int?
    /// Whether a row is added to the CSV file.
    public var writesResults = true
    /// Whether the rankings are written as JSON lines.
    public var writesPredictions = false

    /// The reference's defaults.
    public init() {}
}
