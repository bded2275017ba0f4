// What an evaluation of retrieval can be told besides its data, for one collection or for many of them.
//
// Reference: the constructors of InformationRetrievalEvaluator and NanoBEIREvaluator (6.2).

import TuttiFormats
import TuttiGround
import TuttiObjectives

/// What an evaluation of retrieval does besides judging.
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
    /// Distinct documents whose embeddings all ranks together hold at once.
    public var corpusChunkSize = 50_000

    /// The reference's defaults.
    public init() {}
}

/// The options that all evaluators of retrieval take.
struct RetrievalOptions: DescribedSettings {
    /// Where metrics look.
    var cutoffs = RetrievalCutoffs()
    /// The similarity functions, and the one of the primary metric.
    var similarity = SimilarityChoice()
    /// What is done besides judging; prompts, truncation and the CSV file are told elsewhere.
    private var settings = RetrievalSettings()

    /// Cut-offs, functions and the size of the search.
    static let options = OptionList<RetrievalOptions>(
        [
            cutoffs("accuracy_at_k", \.cutoffs.accuracy, "cut-offs of accuracy"),
            cutoffs("precision_recall_at_k", \.cutoffs.precisionRecall, "cut-offs of precision and recall"),
            cutoffs("mrr_at_k", \.cutoffs.reciprocalRank, "cut-offs of the mean reciprocal rank"),
            cutoffs("ndcg_at_k", \.cutoffs.discountedGain, "cut-offs of nDCG"),
            cutoffs("map_at_k", \.cutoffs.averagePrecision, "cut-offs of the mean average precision"),
        ] + SimilarityChoice.options(main: "main_score_function", in: \.similarity) + [
            Option(
                "score_functions", \.similarity.names, "another name of similarity_fn_names",
                check: SimilarityChoice.distinct),
            Option(
                "corpus_chunk_size", \.settings.corpusChunkSize,
                "documents whose embeddings all ranks together hold at once; the results do not depend on it",
                check: .atLeast(1)),
            Option("write_predictions", \.settings.writesPredictions, "write the rankings as JSON lines"),
        ])

    private static func cutoffs(
        _ name: String, _ path: WritableKeyPath<RetrievalOptions, [Int]> & Sendable, _ meaning: String
    ) -> Option<RetrievalOptions> {
        Option(
            name, path, meaning,
            check: OptionCheck("at least 1") { cutoffs in
                cutoffs.isEmpty ? "is an empty list" : cutoffs.first { $0 < 1 }.map { "\($0) is below 1" }
            })
    }

    /// The settings of an evaluation with `common` options and these prompts.
    func settings(
        _ common: CommonEvaluatorSettings, queryPrompt: String? = nil, documentPrompt: String? = nil
    ) -> RetrievalSettings {
        var settings = settings
        settings.queryPrompt = queryPrompt
        settings.documentPrompt = documentPrompt
        settings.truncatedDimension = common.truncatedDimension
        settings.writesResults = common.writesResults
        return settings
    }
}

extension RetrievalCutoffs {
    /// Adds a row with `metrics`, whose keys begin with `name`, to the CSV file named `file`.
    ///
    /// Throws: `.retryable` naming the file when it cannot be written.
    func write(
        _ metrics: [Metric], of name: String, _ functions: [SimilarityFunction], to file: String,
        _ context: EvaluationContext
    ) throws(TuttiError) {
        let values = Dictionary(metrics.map { ($0.key, $0.value) }, uniquingKeysWith: { first, _ in first })
        let columns = columns(of: functions)
        try ResultsFile(name: file, columns: columns.map(\.title), lineEnd: "\n").append(
            columns.map { values[metricKey($0.key, of: name)] ?? .nan }, context)
    }

    /// The primary key of the function that reaches the largest value, the first of equals.
    func bestKey(of functions: [SimilarityFunction], in metrics: [Metric], of name: String) -> String? {
        var best: Metric?
        for key in functions.map({ metricKey(primaryKey(of: $0), of: name) }) {
            guard let metric = metrics.first(where: { $0.key == key }) else { continue }
            if metric.value > best?.value ?? -.infinity { best = metric }
        }
        return best?.key
    }
}
