// Retrieval over the NanoBEIR collection: thirteen small corpora, each judged alone, and their aggregate.
//
// What: every data set is an InformationRetrievalEvaluator named Nano<DataSet>; the aggregate of a metric is its mean
// (or median, minimum, maximum) over the data sets. With truncate_dim the width is part of all names.
//
//   keys  Nano<DataSet>[_<dim>]_<function>_ndcg@10 ... and NanoBEIR_<aggregate>[_<dim>]_<function>_ndcg@10 ...
//   files one Information-Retrieval_evaluation_Nano<DataSet>_results.csv each, and
//         NanoBEIR_evaluation_<aggregate>_results.csv: epoch, steps, <function>-Accuracy@k ...
//
// Reference: sentence_transformers/sentence_transformer/evaluation/nano_beir.py (6.2); its data:
// huggingface.co/datasets/sentence-transformers/NanoBEIR-en.

import TuttiEnsemble
import TuttiFormats
import TuttiGround
import TuttiModels
import TuttiObjectives

/// Judges a model by retrieval in several collections.
package final class NanoBEIREvaluator: Evaluator {
    /// Its options.
    struct Settings: EvaluatorSettings {
        var common = CommonEvaluatorSettings()
        var path = ""
        var dataSets = NanoBEIRFolder.dataSets.map { $0.lowercased() }
        var aggregate = Aggregate.mean
        var aggregateKey: String?
        var queryPrompts: DataSetPrompts?
        var documentPrompts: DataSetPrompts?
        var retrieval = RetrievalOptions()

        static let options = OptionList<Settings>(
            [
                Option(
                    "dataset_id", words: "a folder", "another name of path; hub ids are not fetched",
                    read: { (json, owner) throws(OptionProblem) in
                        if !json.isNull { owner.path = try String(option: json) }
                    }, write: { $0.path.isEmpty ? .null : .string($0.path) }),
                Option(
                    "path", \.path, "the folder that holds the data sets", words: "a folder", isRequired: true,
                    substitute: "dataset_id"),
                Option(
                    "dataset_names", \.dataSets, "the data sets to judge; by default all thirteen",
                    words: "a list of strings",
                    check: OptionCheck("not empty") { names in
                        names.isEmpty ? "is an empty list; leave it out to judge all data sets" : nil
                    }),
                Option("aggregate_fn", \.aggregate, "what is made of the values of the data sets"),
                Option(
                    "aggregate_key", \.aggregateKey, "the aggregate's name in keys and files; by default aggregate_fn"),
                Option("query_prompts", \.queryPrompts, "one prompt for all queries, or an object by data set"),
                Option("corpus_prompts", \.documentPrompts, "one prompt for all documents, or an object by data set"),
            ] + RetrievalOptions.options.lifted(to: \.retrieval))
    }

    package static let className = "NanoBEIREvaluator"
    package let name: String
    package let title = "Nano BEIR"
    package private(set) var primaryMetric: String
    package let configuration: JSONObject
    private let parts: [InformationRetrievalEvaluator]
    private let cutoffs: RetrievalCutoffs
    private let functions: [SimilarityFunction]
    private let aggregate: Aggregate
    private let aggregateKey: String
    private let writesResults: Bool
    private var isPrimaryChosen: Bool

    /// How the values of the data sets become one.
    package enum Aggregate: String, OptionChoice {
        /// The arithmetic mean.
        case mean
        /// The middle value, or the mean of the two middle ones.
        case median
        /// The smallest value.
        case min
        /// The largest value.
        case max

        /// The aggregate of at least one value.
        func of(_ values: [Double]) -> Double {
            let sorted = values.sorted()
            switch self {
            case .mean: return values.reduce(0, +) / Double(values.count)
            case .median: return (sorted[(sorted.count - 1) / 2] + sorted[sorted.count / 2]) / 2
            case .min: return sorted[0]
            case .max: return sorted[sorted.count - 1]
            }
        }
    }

    /// A collection with its human-readable name and the prompts for it.
    package struct DataSet: Sendable {
        /// The name, such as "NanoMSMARCO".
        package let name: String
        /// Queries, documents and judgements.
        package let collection: JudgedCollection
        /// The prompt of queries in place of the model's.
        package let queryPrompt: String?
        /// The prompt of documents in place of the model's.
        package let documentPrompt: String?

        /// A collection named `name`.
        package init(
            name: String, collection: JudgedCollection, queryPrompt: String? = nil, documentPrompt: String? = nil
        ) {
            self.name = name
            self.collection = collection
            self.queryPrompt = queryPrompt
            self.documentPrompt = documentPrompt
        }
    }

    /// An evaluator of `dataSets`; `settings` hold for all of them, apart from the prompts.
    ///
    /// `aggregateKey` names the aggregate in keys and file names. `main` as in `InformationRetrievalEvaluator`.
    package init(
        _ dataSets: [DataSet], cutoffs: RetrievalCutoffs = RetrievalCutoffs(),
        functions: [SimilarityFunction] = [.cosine], main: SimilarityFunction? = nil, aggregate: Aggregate = .mean,
        aggregateKey: String = "mean", settings: RetrievalSettings = RetrievalSettings(),
        configuration: JSONObject = JSONObject()
    ) {
        precondition(!dataSets.isEmpty && !functions.isEmpty, "no data set or no similarity function")
        let width = settings.truncatedDimension.map { "_\($0)" } ?? ""
        name = "NanoBEIR_\(aggregateKey)\(width)"
        parts = dataSets.map { dataSet in
            var settings = settings
            settings.queryPrompt = dataSet.queryPrompt
            settings.documentPrompt = dataSet.documentPrompt
            return InformationRetrievalEvaluator(
                dataSet.collection, name: dataSet.name + width, cutoffs: cutoffs, functions: functions, main: main,
                settings: settings)
        }
        self.cutoffs = cutoffs
        self.functions = functions.sorted { $0.rawValue < $1.rawValue }
        self.aggregate = aggregate
        self.aggregateKey = aggregateKey
        self.configuration = configuration
        writesResults = settings.writesResults
        isPrimaryChosen = main != nil || functions.count == 1
        primaryMetric = metricKey(cutoffs.primaryKey(of: main ?? self.functions[0]), of: name)
    }

    package var metricKeys: [String] { parts.flatMap(\.metricKeys) + aggregateKeys.map(prefixed) }

    private var aggregateKeys: [String] { functions.flatMap { cutoffs.keys(of: $0) } }

    /// The data sets, and the aggregate where there are several.
    package var reported: [any Evaluator] { parts.count > 1 ? parts + [self] : parts }

    package func evaluate(
        model: any SentenceEncoding, ensemble: any Ensemble, context: EvaluationContext
    ) throws -> [Metric] {
        let metrics = try parts.map { try $0.evaluate(model: model, ensemble: ensemble, context: context) }
        // Metrics come in the order of the keys, the same for every data set.
        let aggregates = aggregateKeys.indices.map { place in
            (prefixed(aggregateKeys[place]), aggregate.of(metrics.map { $0[place].value }))
        }
        if writesResults {
            try ensemble.onRoot {
                try cutoffs.write(
                    aggregates, of: name, functions, to: "NanoBEIR_evaluation_\(aggregateKey)_results.csv", context)
            }
        }
        choosePrimary(aggregates)
        return metrics.joined() + aggregates
    }

    package func recall(_ first: [Metric]) {
        for part in parts { part.recall(first) }
        choosePrimary(first)
    }

    private func choosePrimary(_ metrics: [Metric]) {
        if !isPrimaryChosen, let best = cutoffs.bestKey(of: functions, in: metrics, of: name) { primaryMetric = best }
        isPrimaryChosen = true
    }
}

extension NanoBEIREvaluator {
    /// What configurations and the command know of it.
    static let entry = EvaluatorEntry(
        name: className, summary: "the retrieval metrics of each data set of NanoBEIR, and their mean",
        data:
            "a folder as the hub has it (corpus/, queries/ and qrels/ of Parquet files by data set), or with a sub-folder a "
            + "data set (NanoMSMARCO ...) of corpus, queries and qrels, in Parquet or as corpus.jsonl, queries.jsonl, qrels.tsv",
        settings: Settings.self, make: make)

    /// Makes the evaluator that `settings` describe, from the data sets of its folder.
    private static func make(
        _ settings: Settings, _ options: EvaluatorOptions
    ) throws(TuttiError) -> any Evaluator {
        guard settings.common.id.isEmpty else {
            throw options.error("id", "\(className) takes no id: its data sets have names of their own")
        }
        let retrieval = settings.retrieval
        let functions = try options.functions(retrieval.similarity)
        let names = settings.dataSets
        let folder = try NanoBEIRFolder(settings.path, names: names, options)
        let queryPrompts = try options.prompts(settings.queryPrompts, "query_prompts", dataSets: names)
        let documentPrompts = try options.prompts(settings.documentPrompts, "corpus_prompts", dataSets: names)
        var dataSets: [DataSet] = []
        for (place, dataSet) in folder.places.enumerated() {
            dataSets.append(
                DataSet(
                    name: dataSet.name, collection: try dataSet.files.collection(),
                    queryPrompt: queryPrompts?[place], documentPrompt: documentPrompts?[place]))
        }
        return NanoBEIREvaluator(
            dataSets, cutoffs: retrieval.cutoffs, functions: functions, main: retrieval.similarity.main,
            aggregate: settings.aggregate, aggregateKey: settings.aggregateKey ?? settings.aggregate.rawValue,
            settings: retrieval.settings(settings.common),
            configuration: settings.values("dataset_names", "dataset_id")
                .merging(settings.common.changes("truncate_dim"))
                .merging(settings.changes("query_prompts", "corpus_prompts")))
    }
}

/// Prompts for the queries, or the documents, of several data sets.
struct DataSetPrompts: OptionValue {
    /// One for all of them, or an object by the data sets' names.
    let optionJSON: JSONValue

    /// What a configuration writes, in words.
    static var words: String { "a string, or an object of strings" }

    /// Reads a string, or an object.
    init(option json: JSONValue) throws(OptionProblem) {
        guard json.string != nil || json.object != nil else { throw .expected(Self.words, found: json) }
        for (name, prompt) in json.object ?? JSONObject() where prompt.string == nil {
            throw .expected("a string", found: prompt, at: name)
        }
        optionJSON = json
    }

    /// The prompt of a data set; nil where it has none.
    subscript(dataSet: String) -> String? { optionJSON.string ?? optionJSON[dataSet]?.string }
}

extension EvaluatorOptions {
    /// The prompt of every data set; nil where `prompts` are not given.
    fileprivate func prompts(
        _ prompts: DataSetPrompts?, _ key: String, dataSets: [String]
    ) throws(TuttiError) -> [String]? {
        guard let prompts else { return nil }
        let missing = dataSets.filter { prompts[$0] == nil }
        guard missing.isEmpty else {
            throw error(key, "has no prompt for \(missing.joined(separator: ", "))")
        }
        return dataSets.compactMap { prompts[$0] }
    }
}
