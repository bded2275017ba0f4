// Does the model put the relevant documents of a query before the others of its list?
//
// What: each query has a list of positive and one of negative documents, ranked by similarity to the query. MAP,
// MRR@k and nDCG@k are averaged over the queries. Equal scores: MRR takes the order of the lists, positives first, as
// the reference does for up to sixteen documents (beyond, its sort leaves the order open); nDCG gives the documents of
// a tie their mean gain, and average precision counts a tie as one cut, as scikit-learn does. Samples without a
// positive or without a negative are dropped. Embeddings with NaN have NaN metrics.
//
// Who does what: every distinct text is encoded once, shared among the ranks; each rank judges its share of the
// samples, and rank zero averages in the order of the samples.
//
//   keys  <name>_map, <name>_mrr@k, <name>_ndcg@k
//   file  RerankingEvaluator[_name]_results_@k.csv: epoch, steps, MAP, MRR@k, NDCG@k
//
// Reference: sentence_transformers/sentence_transformer/evaluation/reranking.py (6.2).

import TuttiCorpus
import TuttiEnsemble
import TuttiFormats
import TuttiGround
import TuttiModels
import TuttiObjectives

/// Judges a model by how it orders the documents of a list.
package final class RerankingEvaluator: Evaluator {
    /// Its options.
    package struct Settings: EvaluatorSettings {
        package var common = CommonEvaluatorSettings()
        var dataset = DatasetSpecification(path: "")
        /// The k of MRR@k and nDCG@k.
        package var depth = 10
        package var similarity = SimilarityFunction.cosine
        private var usesBatchedEncoding: Bool?

        /// The defaults.
        package init() {}

        /// Of a data set's keys those that apply to samples with lists, and what they mean here.
        private static let data = DatasetSpecification.options.options.compactMap { option -> Option<Settings>? in
            let meanings: [String: String?] = [
                "path": "the samples", "split": nil, "rename": "other names for the keys of the samples",
                "rows": "the samples in use; all by default",
            ]
            guard let meaning = meanings[option.name] else { return nil }
            return option.meaning(meaning ?? option.meaning).lifted(to: \.dataset)
        }

        package static let options = OptionList<Settings>(
            data + [
                Option("at_k", \.depth, "cut-off of MRR and nDCG", check: .atLeast(1)),
                Option("mrr_at_k", \.depth, "older name of at_k, which it overrides", check: .atLeast(1)),
                Option(
                    "similarity_fct", \.similarity, "the similarity function; the model's own function is not asked"),
                Option("use_batched_encoding", \.usesBatchedEncoding, "taken for compatibility, without effect"),
            ])
    }

    package static let className = "RerankingEvaluator"
    package var name: String { settings.common.id }
    package let title = "Reranking"
    package let primaryMetric: String
    private let samples: [RerankingSample]
    private let settings: Settings

    /// An evaluator of `samples`.
    package init(_ samples: [RerankingSample], settings: Settings = Settings()) {
        precondition(settings.depth >= 1, "a cut-off of \(settings.depth)")
        self.samples = samples.filter { !$0.positives.isEmpty && !$0.negatives.isEmpty }
        self.settings = settings
        primaryMetric = metricKey("ndcg@\(settings.depth)", of: settings.common.id)
    }

    private var depth: Int { settings.depth }

    package var metricKeys: [String] { ["map", "mrr@\(depth)", "ndcg@\(depth)"].map(prefixed) }

    package var configuration: JSONObject {
        settings.values("at_k").merging(settings.common.changes("truncate_dim"))
    }

    package func evaluate(
        model: any SentenceEncoding, ensemble: any Ensemble, context: EvaluationContext
    ) throws -> [Metric] {
        let queries = UniqueTexts(samples.map(\.query))
        let documents = UniqueTexts(samples.flatMap { $0.positives + $0.negatives })
        let queryRows = settings.common.cut(
            try model.encodeQueries(queries.texts, tokensPerBatch: context.tokensPerBatch, ensemble: ensemble))
        let documentRows = settings.common.cut(
            try model.encodeDocuments(documents.texts, tokensPerBatch: context.tokensPerBatch, ensemble: ensemble))
        let share = ensemble.rank * samples.count / ensemble.size..<(ensemble.rank + 1) * samples.count / ensemble.size
        var place = samples[..<share.lowerBound].reduce(0) { $0 + $1.positives.count + $1.negatives.count }
        var own: [Double] = []
        for number in share {
            let sample = samples[number]
            let scores = (0..<sample.positives.count + sample.negatives.count).map { document in
                settings.similarity.ofPair(
                    queryRows[queries.places[number]], documentRows[documents.places[place + document]])
            }
            place += scores.count
            guard scores.allSatisfy({ !$0.isNaN }) else {  // no order: it would look like that of the lists
                own += [.nan, .nan, .nan]
                continue
            }
            let list = ScoredList(scores: scores, relevantCount: sample.positives.count)
            own += [list.averagePrecision, list.reciprocalRank(at: depth), list.normalisedGain(at: depth)]
        }
        let judged = try ensemble.gather(own.withUnsafeBytes(Array.init))
        return try ensemble.metricsOnRoot {
            let values = Array(judged.joined()).withUnsafeBytes { bytes in
                (0..<samples.count * 3).map { bytes.loadUnaligned(fromByteOffset: $0 * 8, as: Double.self) }
            }
            let means = (0..<3).map { metric in
                stride(from: metric, to: values.count, by: 3).reduce(0) { $0 + values[$1] } / Double(samples.count)
            }
            if settings.common.writesResults {
                let file = ResultsFile(
                    name: settings.common.fileName("RerankingEvaluator", "_results_@\(depth).csv"),
                    columns: ["MAP", "MRR@\(depth)", "NDCG@\(depth)"])
                try file.append(means, context)
            }
            return zip(metricKeys, means).map { ($0, $1) }
        }
    }
}

extension RerankingEvaluator {
    /// What configurations and the command know of it.
    static let entry = EvaluatorEntry(
        name: className, summary: "MAP, MRR@k and nDCG@k of ordering the positive and negative documents of queries",
        data:
            "JSON lines (or an array), or rows of Parquet or Arrow: query, positive (a text or a list), negative (a text or a list)",
        settings: Settings.self
    ) { (settings, _) throws(TuttiError) in
        let evaluator = RerankingEvaluator(try RerankingSample.read(settings.dataset), settings: settings)
        guard !evaluator.samples.isEmpty else {
            throw TuttiError(
                .data, "read evaluation data", settings.dataset.path,
                "has no sample with both a positive and a negative document")
        }
        return evaluator
    }
}
