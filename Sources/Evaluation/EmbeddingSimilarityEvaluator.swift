// Do similarities of embeddings go with human scores?
//
// What: Pearson's and Spearman's correlation of gold scores with the similarities of sentence pairs. With a precision
// the embeddings are normalised and quantized first, both sentences with the same ranges, so that it tells what an index
// of that precision would give; "float32" normalises only. Embeddings with NaN are not quantized: their metrics are NaN.
//
//   keys  <name>_pearson_<function>, <name>_spearman_<function>, with several functions also <name>_pearson_max and
//         <name>_spearman_max
//   file  similarity_evaluation[_name][_precision]_results.csv: epoch, steps, <function>_pearson, _spearman ...
//
// Reference: sentence_transformers/sentence_transformer/evaluation/embedding_similarity.py.

import TuttiCorpus
import TuttiEnsemble
import TuttiFormats
import TuttiGround
import TuttiModels
import TuttiObjectives

/// Judges a model by the correlation of its similarities with gold scores.
public final class EmbeddingSimilarityEvaluator: Evaluator {
    /// Its options.
    struct Settings: EvaluatorSettings {
        var common = CommonEvaluatorSettings()
        var table = TableSettings()
        var similarity = SimilarityChoice()
        var precision: EmbeddingPrecision?

        static let options = OptionList<Settings>(
            TableSettings.options("sentence1, sentence2, score", in: \.table)
                + SimilarityChoice.options(main: "main_similarity", in: \.similarity)
                + [Option("precision", \.precision, "normalise and quantize first")])
    }

    /// "EmbeddingSimilarityEvaluator".
    public static let className = "EmbeddingSimilarityEvaluator"
    /// The name of the data.
    public var name: String { settings.common.id }
    /// "Semantic Similarity".
    public let title = "Semantic Similarity"
    /// Spearman's correlation of the main function, of the only one, or the largest.
    public let primaryMetric: String
    private let firsts: [String]
    private let seconds: [String]
    private let scores: [Double]
    private let functions: [SimilarityFunction]
    private let settings: Settings

    /// An evaluator of the pairs (firsts[i], seconds[i]) with the gold scores[i].
    ///
    /// `functions` must not be empty; `main` names the primary metric, otherwise it is that of the only function or the
    /// largest of several.
    public convenience init(
        firsts: [String], seconds: [String], scores: [Double], name: String = "",
        functions: [SimilarityFunction] = [.cosine], main: SimilarityFunction? = nil, truncatedDimension: Int? = nil,
        precision: EmbeddingPrecision? = nil, writesResults: Bool = true
    ) {
        var settings = Settings()
        settings.common = CommonEvaluatorSettings(
            id: name, truncatedDimension: truncatedDimension, writesResults: writesResults)
        settings.similarity.main = main
        settings.precision = precision
        self.init(firsts: firsts, seconds: seconds, scores: scores, functions: functions, settings: settings)
    }

    private init(
        firsts: [String], seconds: [String], scores: [Double], functions: [SimilarityFunction], settings: Settings
    ) {
        precondition(
            firsts.count == seconds.count && firsts.count == scores.count,
            "\(firsts.count) first texts, \(seconds.count) second texts, \(scores.count) scores")
        precondition(!functions.isEmpty, "no similarity function")
        self.firsts = firsts
        self.seconds = seconds
        self.scores = scores
        self.functions = functions
        self.settings = settings
        let primary = settings.similarity.main.map(\.rawValue) ?? (functions.count > 1 ? "max" : functions[0].rawValue)
        primaryMetric = metricKey("spearman_" + primary, of: settings.common.id)
    }

    /// Pearson's and Spearman's correlation of every function, and the largest of several.
    public var metricKeys: [String] {
        (functions.map(\.rawValue) + (functions.count > 1 ? ["max"] : []))
            .flatMap { ["pearson_\($0)", "spearman_\($0)"] }.map(prefixed)
    }

    /// Truncation and precision, where they differ from the defaults.
    public var configuration: JSONObject {
        settings.common.changes("truncate_dim").merging(settings.changes("precision"))
    }

    /// Encodes both sentences of the pairs, and correlates their similarities with the scores. Collective.
    public func evaluate(
        model: any SentenceEncoding, ensemble: any Ensemble, context: EvaluationContext
    ) throws -> [Metric] {
        let unique = UniqueTexts(firsts + seconds)
        let rows = try model.encode(
            unique.texts, prompt: nil, tokensPerBatch: context.tokensPerBatch, ensemble: ensemble)
        return try ensemble.metricsOnRoot {
            let sentences = try quantized(settings.common.cut(rows).gathering(unique.places))
            let first = sentences.gathering(Array(0..<firsts.count))
            let second = sentences.gathering(Array(firsts.count..<sentences.count))
            var values: [Double] = []  // Pearson, Spearman of each function
            for function in functions {
                let similarities = function.ofPairs(first, second).map(Double.init)
                values.append(Correlation.pearson(scores, similarities))
                values.append(Correlation.spearman(scores, similarities))
            }
            if settings.common.writesResults {
                let file = ResultsFile(
                    name: settings.common.fileName("similarity_evaluation", suffix),
                    columns: functions.flatMap { ["\($0.rawValue)_pearson", "\($0.rawValue)_spearman"] })
                try file.append(values, context)
            }
            if functions.count > 1 {
                let largest = [0, 1].map { which in
                    stride(from: which, to: values.count, by: 2).map { values[$0] }.reduce(values[which]) {
                        $1 > $0 ? $1 : $0
                    }
                }
                values += largest
            }
            return zip(metricKeys, values).map { ($0, $1) }
        }
    }

    private var suffix: String { (settings.precision.map { "_" + $0.rawValue } ?? "") + "_results.csv" }

    /// The numbers that an index of the precision would hold.
    private func quantized(_ embeddings: Embeddings) throws(TuttiError) -> Embeddings {
        guard let precision = settings.precision, embeddings.flattened.allSatisfy(\.isFinite) else { return embeddings }
        let unit = embeddings.normalized()
        return precision == .float32 ? unit : try QuantizedEmbeddings(unit, precision).unpacked()
    }
}

extension EmbeddingSimilarityEvaluator {
    /// What configurations and the command know of it.
    static let entry = EvaluatorEntry(
        name: className, summary: "Pearson and Spearman correlation of similarities with gold scores",
        data: "a table of two text columns and a score: sentence1, sentence2, score",
        settings: Settings.self
    ) { (settings, options) throws(TuttiError) in
        let functions = try options.functions(settings.similarity)
        let table = try options.table(settings.table, textColumns: 2, meaning: "the two sentences")
        return EmbeddingSimilarityEvaluator(
            firsts: table.texts(column: 0), seconds: table.texts(column: 1), scores: try table.scores(),
            functions: functions, settings: settings)
    }
}
