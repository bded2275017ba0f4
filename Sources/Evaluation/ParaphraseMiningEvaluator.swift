// Are the most similar pairs of a list of sentences its duplicates?
//
// What: the pairs that mining finds are gone through from the most similar down; precision and recall at every distinct
// score give the average precision, the best F1 and the threshold between the scores around it. Pairs of one score
// count together. Every distinct text is encoded once; the prompt is the model's default one, as in the reference.
//
//   keys  <name>_average_precision, f1, precision, recall, threshold
//   file  paraphrase_mining_evaluation[_name]_results.csv: epoch, steps, precision, recall, f1, threshold,
//         average_precision
//
// Reference: sentence_transformers/sentence_transformer/evaluation/paraphrase_mining.py (6.2).

import TuttiCorpus
import TuttiEnsemble
import TuttiFormats
import TuttiGround
import TuttiModels

/// Judges a model by the duplicates that it finds in a list of sentences.
package final class ParaphraseMiningEvaluator: Evaluator {
    package static let className = "ParaphraseMiningEvaluator"
    package let name: String
    package let title = "Paraphrase Mining"
    package let primaryMetric: String
    private let sentences: [String]
    private let duplicates: Duplicates
    private let isTransitive: Bool
    private let size: MiningSize
    private let truncatedDimension: Int?
    private let writesResults: Bool

    /// An evaluator of `sentences`, whose ids must differ, and the pairs of ids that are duplicates.
    ///
    /// `maximumPairs` pairs are looked at, and of each sentence the `neighbours` best others; `queryChunkSize`
    /// sentences are searched for at once on a rank, which the results do not depend on.
    package init(
        sentences: [(id: String, text: String)], duplicates: [(first: String, second: String)], name: String = "",
        addsTransitiveClosure: Bool = false, queryChunkSize: Int = 5_000, maximumPairs: Int = 500_000,
        neighbours: Int = 100, truncatedDimension: Int? = nil, writesResults: Bool = true
    ) {
        precondition(
            queryChunkSize >= 1 && maximumPairs >= 1 && neighbours >= 1,
            "chunks of \(queryChunkSize), \(maximumPairs) pairs, \(neighbours) neighbours")
        self.sentences = sentences.map(\.text)
        self.duplicates = Duplicates(duplicates, ids: sentences.map(\.id), isTransitive: addsTransitiveClosure)
        self.name = name
        isTransitive = addsTransitiveClosure
        size = MiningSize(queryChunk: queryChunkSize, limit: maximumPairs, neighbours: neighbours)
        self.truncatedDimension = truncatedDimension
        self.writesResults = writesResults
        primaryMetric = metricKey("average_precision", of: name)
    }

    package var metricKeys: [String] { ["average_precision", "f1", "precision", "recall", "threshold"].map(prefixed) }

    package var configuration: JSONObject {
        var object: JSONObject = [
            "add_transitive_closure": .bool(isTransitive), "max_pairs": .integer(Int64(size.limit)),
            "top_k": .integer(Int64(size.neighbours)),
        ]
        if let width = truncatedDimension { object.set("truncate_dim", .integer(Int64(width))) }
        return object
    }

    package func evaluate(
        model: any SentenceEncoding, ensemble: any Ensemble, context: EvaluationContext
    ) throws -> [Metric] {
        let unique = UniqueTexts(sentences)
        let rows = try model.encode(
            unique.texts, prompt: nil, tokensPerBatch: context.tokensPerBatch, ensemble: ensemble)
        let embeddings = (truncatedDimension.map(rows.truncated) ?? rows).gathering(unique.places)
        let pairs = try mineParaphrases(embeddings, size: size, ensemble: ensemble)
        return try metricsOnRoot(ensemble) {
            let found = MinedQuality(pairs, duplicates: duplicates)
            if writesResults {
                let file = ResultsFile(
                    name: "paraphrase_mining_evaluation\(name.isEmpty ? "" : "_" + name)_results.csv",
                    columns: ["precision", "recall", "f1", "threshold", "average_precision"], lineEnd: "\r\n")
                try file.append(
                    [found.precision, found.recall, found.f1, found.threshold, found.averagePrecision], context)
            }
            let values = [found.averagePrecision, found.f1, found.precision, found.recall, found.threshold]
            return zip(metricKeys, values).map { ($0, $1) }
        }
    }
}

/// How well ordered pairs find duplicates.
private struct MinedQuality {
    var (averagePrecision, f1, precision, recall, threshold) = (0.0, 0.0, 0.0, 0.0, 0.0)

    /// Judges `pairs`, best first.
    init(_ pairs: [SimilarPair], duplicates: Duplicates) {
        guard duplicates.count > 0 else { return }
        var (hits, hitsBefore) = (0, 0)
        for (place, pair) in pairs.enumerated() {
            if duplicates.contains(Int(pair.first), Int(pair.second)) { hits += 1 }
            let next = pairs[min(place + 1, pairs.count - 1)]
            if place + 1 < pairs.count, next.score == pair.score { continue }
            if hits > hitsBefore {
                let precision = Double(hits) / Double(place + 1)
                let recall = Double(hits) / Double(duplicates.count)
                let f1 = 2 * precision * recall / (precision + recall)
                averagePrecision += precision * Double(hits - hitsBefore)
                if f1 > self.f1 {
                    (self.f1, self.precision, self.recall) = (f1, precision, recall)
                    threshold = (Double(pair.score) + Double(next.score)) / 2
                }
            }
            hitsBefore = hits
        }
        averagePrecision /= Double(duplicates.count)
    }
}

extension ParaphraseMiningEvaluator {
    /// What configurations and the command know of it.
    static let entry = EvaluatorEntry(
        name: className, summary: "average precision and F1 of finding the duplicates among sentences by similarity",
        data: "a file of ids and sentences, and pairs of ids that are duplicates",
        options: [
            EvaluatorOptionDescription(
                required: "sentences_map", .file, "ids and sentences: two columns, JSON lines, or a JSON object"),
            EvaluatorOptionDescription(
                "duplicates_list", .textPairs, "pairs of ids: a file of two columns or JSON, or the pairs themselves"),
            EvaluatorOptionDescription(
                "duplicates_dict", .file, "a JSON object {id: {id: true}}: a file, or the object itself"),
            EvaluatorOptionDescription(
                "add_transitive_closure", .flag, standard: .bool(false), "duplicates of duplicates are duplicates"),
            EvaluatorOptionDescription(
                "max_pairs", .integer, standard: .integer(500_000), "the most similar pairs that are looked at"),
            EvaluatorOptionDescription(
                "top_k", .integer, standard: .integer(100), "the most similar others of each sentence"),
            EvaluatorOptionDescription(
                "query_chunk_size", .integer, standard: .integer(5_000),
                "sentences searched for at once on a rank; the results do not depend on it"),
            EvaluatorOptionDescription("corpus_chunk_size", .integer, "taken for compatibility, without effect"),
        ] + EvaluatorOptionDescription.separatedValues,
        make: make)

    /// Makes the evaluator that `options` describe.
    private static func make(_ options: EvaluatorOptions) throws(TuttiError) -> any Evaluator {
        _ = try options.size("corpus_chunk_size", 100_000)
        let size = MiningSize()
        let (chunk, limit) = (
            try options.size("query_chunk_size", size.queryChunk), try options.size("max_pairs", size.limit)
        )
        let neighbours = try options.size("top_k", size.neighbours)
        let isTransitive = try options.bool("add_transitive_closure") ?? false
        let path = try options.requiredString("sentences_map")
        let sentences = try TextPairs.read(path, options: try options.readerOptions())
        var ids: Set<ByteKey> = []
        for (id, _) in sentences where !ids.insert(ByteKey(id)).inserted {
            throw TuttiError(.data, "read evaluation data", path, "holds the id '\(id)' twice")
        }
        // The reference links the pairs of the list only where both ids are known, those of the object always.
        let listed = try pairs("duplicates_list", options).filter {
            ids.contains(ByteKey($0.first)) && ids.contains(ByteKey($0.second))
        }
        return ParaphraseMiningEvaluator(
            sentences: sentences.map { ($0.first, $0.second) },
            duplicates: try pairs("duplicates_dict", options) + listed, name: try options.string("id") ?? "",
            addsTransitiveClosure: isTransitive, queryChunkSize: chunk, maximumPairs: limit, neighbours: neighbours,
            truncatedDimension: try options.truncatedDimension(), writesResults: try options.bool("write_csv") ?? true)
    }

    /// The pairs in the option `key`, or in the file that it names.
    private static func pairs(_ key: String, _ options: EvaluatorOptions) throws(TuttiError) -> [TextPairs.Pair] {
        guard let value = options.object[key], !value.isNull else { return [] }
        if let path = value.string { return try TextPairs.read(path, options: try options.readerOptions()) }
        do {
            return try TextPairs.pairs(of: value, source: key)
        } catch {
            throw options.error(key, error.problem, hint: error.hint)
        }
    }
}
