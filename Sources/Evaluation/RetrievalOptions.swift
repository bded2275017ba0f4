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

/// Cut-offs, similarity functions and settings, as the options name them.
struct RetrievalOptions {
    /// Where metrics look.
    let cutoffs: RetrievalCutoffs
    /// The similarity functions, at least one.
    let functions: [SimilarityFunction]
    /// The function of the primary metric, if one is named.
    let main: SimilarityFunction?
    /// Everything else.
    var settings = RetrievalSettings()

    /// Reads the options that all evaluators of retrieval take.
    ///
    /// Throws: `.usage` naming the option.
    init(_ options: EvaluatorOptions) throws(TuttiError) {
        main = try options.similarity("main_score_function")
        let listKey = options.object.contains(key: "score_functions") ? "score_functions" : "similarity_fn_names"
        functions = try options.similarities(listKey, main: main)
        var cutoffs = RetrievalCutoffs()
        cutoffs.accuracy = try options.cutoffs("accuracy_at_k", cutoffs.accuracy)
        cutoffs.precisionRecall = try options.cutoffs("precision_recall_at_k", cutoffs.precisionRecall)
        cutoffs.reciprocalRank = try options.cutoffs("mrr_at_k", cutoffs.reciprocalRank)
        cutoffs.discountedGain = try options.cutoffs("ndcg_at_k", cutoffs.discountedGain)
        cutoffs.averagePrecision = try options.cutoffs("map_at_k", cutoffs.averagePrecision)
        self.cutoffs = cutoffs
        settings.truncatedDimension = try options.truncatedDimension()
        settings.writesResults = try options.bool("write_csv") ?? true
        settings.writesPredictions = try options.bool("write_predictions") ?? false
        settings.corpusChunkSize = try options.size("corpus_chunk_size", settings.corpusChunkSize)
    }

    /// The options that `init` reads.
    static let descriptions = [
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
        EvaluatorOptionDescription(
            "corpus_chunk_size", .integer, standard: .integer(50_000),
            "documents whose embeddings all ranks together hold at once; the results do not depend on it"),
        EvaluatorOptionDescription(
            "write_predictions", .flag, standard: .bool(false), "write the rankings as JSON lines"),
    ]
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

extension EvaluatorOptions {
    /// The integer at `key`, at least 1, or `standard`.
    func size(_ key: String, _ standard: Int) throws(TuttiError) -> Int {
        guard let size = try int(key) else { return standard }
        guard size >= 1 else { throw error(key, "is \(size), which must be at least 1") }
        return size
    }

    /// The prompt given as text at `key`, else the model's prompt that `key`_name names, else nil.
    func prompt(_ key: String) throws(TuttiError) -> String? {
        let text = try string(key)
        guard let name = try string(key + "_name") else { return text }
        guard let named = modelPrompts[name] else {
            throw error(
                key + "_name", "the model has no prompt '\(name)'",
                hint: TuttiError.hint(unknown: name, known: modelPrompts.keys.sorted()))
        }
        return text ?? named
    }
}
