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
    public static let className = "EmbeddingSimilarityEvaluator"
    public let name: String
    public let title = "Semantic Similarity"
    public let primaryMetric: String
    private let firsts: [String]
    private let seconds: [String]
    private let scores: [Double]
    private let functions: [SimilarityFunction]
    private let truncatedDimension: Int?
    private let precision: EmbeddingPrecision?
    private let writesResults: Bool

    /// An evaluator of the pairs (firsts[i], seconds[i]) with the gold scores[i].
    ///
    /// `functions` must not be empty; `main` names the primary metric, otherwise it is that of the only function or the
    /// largest of several.
    public init(
        firsts: [String], seconds: [String], scores: [Double], name: String = "",
        functions: [SimilarityFunction] = [.cosine], main: SimilarityFunction? = nil, truncatedDimension: Int? = nil,
        precision: EmbeddingPrecision? = nil, writesResults: Bool = true
    ) {
        precondition(
            firsts.count == seconds.count && firsts.count == scores.count,
            "\(firsts.count) first texts, \(seconds.count) second texts, \(scores.count) scores")
        precondition(!functions.isEmpty, "no similarity function")
        self.firsts = firsts
        self.seconds = seconds
        self.scores = scores
        self.name = name
        self.functions = functions
        self.truncatedDimension = truncatedDimension
        self.precision = precision
        self.writesResults = writesResults
        let primary = main.map(\.rawValue) ?? (functions.count > 1 ? "max" : functions[0].rawValue)
        primaryMetric = metricKey("spearman_" + primary, of: name)
    }

    public var metricKeys: [String] {
        (functions.map(\.rawValue) + (functions.count > 1 ? ["max"] : []))
            .flatMap { ["pearson_\($0)", "spearman_\($0)"] }.map(prefixed)
    }

    public var configuration: JSONObject {
        var object = JSONObject()
        if let width = truncatedDimension { object.set("truncate_dim", .integer(Int64(width))) }
        if let precision { object.set("precision", .string(precision.rawValue)) }
        return object
    }

    public func evaluate(
        model: any SentenceEncoding, ensemble: any Ensemble, context: EvaluationContext
    ) throws -> [Metric] {
        let unique = UniqueTexts(firsts + seconds)
        let rows = try model.encode(
            unique.texts, prompt: nil, tokensPerBatch: context.tokensPerBatch, ensemble: ensemble)
        return try metricsOnRoot(ensemble) {
            let cut = truncatedDimension.map(rows.truncated) ?? rows
            let sentences = try quantized(cut.gathering(unique.places))
            let first = sentences.gathering(Array(0..<firsts.count))
            let second = sentences.gathering(Array(firsts.count..<sentences.count))
            var values: [Double] = []  // Pearson, Spearman of each function
            for function in functions {
                let similarities = function.ofPairs(first, second).map(Double.init)
                values.append(Correlation.pearson(scores, similarities))
                values.append(Correlation.spearman(scores, similarities))
            }
            if writesResults {
                let file = ResultsFile(
                    name: "similarity_evaluation\(suffix)_results.csv",
                    columns: functions.flatMap { ["\($0.rawValue)_pearson", "\($0.rawValue)_spearman"] },
                    lineEnd: "\r\n")
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

    private var suffix: String {
        [name, precision?.rawValue ?? ""].filter { !$0.isEmpty }.map { "_" + $0 }.joined()
    }

    /// The numbers that an index of the precision would hold.
    private func quantized(_ embeddings: Embeddings) throws(TuttiError) -> Embeddings {
        guard let precision, embeddings.flattened.allSatisfy(\.isFinite) else { return embeddings }
        let unit = embeddings.normalized()
        return precision == .float32 ? unit : try QuantizedEmbeddings(unit, precision).unpacked()
    }
}

extension EmbeddingSimilarityEvaluator {
    /// What configurations and the command know of it.
    static let entry = EvaluatorEntry(
        name: className, summary: "Pearson and Spearman correlation of similarities with gold scores",
        data: "a table of two text columns and a score: sentence1, sentence2, score",
        options: EvaluatorOptionDescription.table("sentence1, sentence2, score") + [
            .similarityFunctions,
            EvaluatorOptionDescription(
                "main_similarity", .text, "the function of the primary metric; by default the best one"),
            EvaluatorOptionDescription(
                "precision", .text, "normalise and quantize first: float32, int8, uint8, binary or ubinary"),
        ],
        make: make)

    /// Makes the evaluator that `options` describe, from the first two text columns and the label of its table.
    private static func make(_ options: EvaluatorOptions) throws(TuttiError) -> any Evaluator {
        let precision = try precision(options)
        let main = try options.similarity("main_similarity")
        let functions = try options.similarities("similarity_fn_names", main: main)
        let table = try options.table(textColumns: 2, meaning: "the two sentences")
        return EmbeddingSimilarityEvaluator(
            firsts: table.texts(column: 0), seconds: table.texts(column: 1), scores: try options.scores(of: table),
            name: try options.string("id") ?? "", functions: functions, main: main,
            truncatedDimension: try options.truncatedDimension(), precision: precision,
            writesResults: try options.bool("write_csv") ?? true)
    }

    private static func precision(_ options: EvaluatorOptions) throws(TuttiError) -> EmbeddingPrecision? {
        guard let name = try options.string("precision") else { return nil }
        if let precision = EmbeddingPrecision(rawValue: name) { return precision }
        throw options.error(
            "precision", "the precision '\(name)' is not known",
            hint: TuttiError.hint(unknown: name, known: EmbeddingPrecision.names))
    }
}
