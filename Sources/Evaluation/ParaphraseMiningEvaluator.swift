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
    /// Its options.
    package struct Settings: EvaluatorSettings {
        package var common = CommonEvaluatorSettings()
        var sentences = ""
        var duplicates = PairSource.none
        var marks = PairSource.none
        var isTransitive = false
        package var size = MiningSize()
        private var corpusChunk: Int?
        var reader = ReaderOptions()

        /// The defaults.
        package init() {}

        package static let options = OptionList<Settings>(
            [
                Option(
                    "sentences_map", \.sentences, "ids and sentences: two columns, JSON lines, or a JSON object",
                    words: "a file", isRequired: true),
                Option(
                    "duplicates_list", \.duplicates,
                    "pairs of ids: a file of two columns or JSON, or the pairs themselves",
                    words: "a file, or a list of pairs of strings"),
                Option(
                    "duplicates_dict", \.marks, "a JSON object {id: {id: true}}: a file, or the object itself",
                    words: "a file, or an object"),
                Option("add_transitive_closure", \.isTransitive, "duplicates of duplicates are duplicates"),
                Option("max_pairs", \.size.limit, "the most similar pairs that are looked at", check: .atLeast(1)),
                Option("top_k", \.size.neighbours, "the most similar others of each sentence", check: .atLeast(1)),
                Option(
                    "query_chunk_size", \.size.queryChunk,
                    "sentences searched for at once on a rank; the results do not depend on it", check: .atLeast(1)),
                Option(
                    "corpus_chunk_size", \.corpusChunk, "taken for compatibility, without effect",
                    check: .atLeast(1)),
            ] + ReaderOptions.options.lifted(to: \.reader))
    }

    package static let className = "ParaphraseMiningEvaluator"
    package var name: String { settings.common.id }
    package let title = "Paraphrase Mining"
    package let primaryMetric: String
    private let sentences: [String]
    private let duplicates: Duplicates
    private let settings: Settings

    /// An evaluator of `sentences`, whose ids must differ, and the pairs of ids that are duplicates.
    ///
    /// Of `settings` the files do not matter.
    package init(
        sentences: [(id: String, text: String)], duplicates: [(first: String, second: String)],
        settings: Settings = Settings()
    ) {
        let size = settings.size
        precondition(
            size.queryChunk >= 1 && size.limit >= 1 && size.neighbours >= 1,
            "chunks of \(size.queryChunk), \(size.limit) pairs, \(size.neighbours) neighbours")
        self.sentences = sentences.map(\.text)
        self.duplicates = Duplicates(duplicates, ids: sentences.map(\.id), isTransitive: settings.isTransitive)
        self.settings = settings
        primaryMetric = metricKey("average_precision", of: settings.common.id)
    }

    package var metricKeys: [String] { ["average_precision", "f1", "precision", "recall", "threshold"].map(prefixed) }

    package var configuration: JSONObject {
        settings.values("add_transitive_closure", "max_pairs", "top_k")
            .merging(settings.common.changes("truncate_dim"))
    }

    package func evaluate(
        model: any SentenceEncoding, ensemble: any Ensemble, context: EvaluationContext
    ) throws -> [Metric] {
        let unique = UniqueTexts(sentences)
        let rows = try model.encode(
            unique.texts, prompt: nil, tokensPerBatch: context.tokensPerBatch, ensemble: ensemble)
        let embeddings = settings.common.cut(rows).gathering(unique.places)
        let pairs = try mineParaphrases(embeddings, size: settings.size, ensemble: ensemble)
        return try ensemble.metricsOnRoot {
            let found = MinedQuality(pairs, duplicates: duplicates)
            if settings.common.writesResults {
                let file = ResultsFile(
                    name: settings.common.fileName("paraphrase_mining_evaluation"),
                    columns: ["precision", "recall", "f1", "threshold", "average_precision"])
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
        settings: Settings.self
    ) { (settings, options) throws(TuttiError) in
        try options.check(settings.reader)
        let path = settings.sentences
        let sentences = try TextPairs.read(path, options: settings.reader)
        var ids: Set<ByteKey> = []
        for (id, _) in sentences where !ids.insert(ByteKey(id)).inserted {
            throw TuttiError(.data, "read evaluation data", path, "holds the id '\(id)' twice")
        }
        // The reference links the pairs of the list only where both ids are known, those of the object always.
        let listed = try settings.duplicates.pairs(settings.reader).filter {
            ids.contains(ByteKey($0.first)) && ids.contains(ByteKey($0.second))
        }
        return ParaphraseMiningEvaluator(
            sentences: sentences.map { ($0.first, $0.second) },
            duplicates: try settings.marks.pairs(settings.reader) + listed, settings: settings)
    }
}

/// Pairs of ids: in a file, or in the configuration itself.
enum PairSource: OptionValue {
    /// Nowhere.
    case none
    /// In the file of this path.
    case file(String)
    /// In the configuration, as it writes them.
    case inline(JSONValue, pairs: [TextPairs.Pair])

    /// What a configuration writes, in words.
    static var words: String { "a file, or pairs" }

    /// Reads a path, or pairs.
    init(option json: JSONValue) throws(OptionProblem) {
        if let path = json.string {
            self = .file(path)
            return
        }
        do {
            self = .inline(json, pairs: try TextPairs.pairs(of: json, source: ""))
        } catch {
            throw OptionProblem(error.problem, hint: error.hint)
        }
    }

    /// The path, or the pairs.
    var optionJSON: JSONValue {
        switch self {
        case .none: .null
        case .file(let path): .string(path)
        case .inline(let json, _): json
        }
    }

    /// The pairs.
    ///
    /// - Throws: 66 for a missing file; 65 naming file and line.
    func pairs(_ reader: ReaderOptions) throws(TuttiError) -> [TextPairs.Pair] {
        switch self {
        case .none: []
        case .file(let path): try TextPairs.read(path, options: reader)
        case .inline(_, let pairs): pairs
        }
    }
}
