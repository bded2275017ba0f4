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
    package enum Aggregate: String, Sendable, CaseIterable {
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
        data: "a folder with a sub-folder a data set (NanoMSMARCO ...): corpus.jsonl, queries.jsonl, qrels.tsv",
        options: [
            EvaluatorOptionDescription(required: "path", .folder, "the folder that holds the data sets"),
            EvaluatorOptionDescription("dataset_id", .folder, "another name of path; hub ids are not fetched"),
            EvaluatorOptionDescription(
                "dataset_names", .texts, "msmarco, nq ...: the data sets to judge; by default all thirteen"),
            EvaluatorOptionDescription(
                "aggregate_fn", .text, standard: .string("mean"), "mean, median, min or max over the data sets"),
            EvaluatorOptionDescription(
                "aggregate_key", .text, "the aggregate's name in keys and files; by default aggregate_fn"),
            EvaluatorOptionDescription("query_prompts", .texts, "one prompt for all queries, or an object by data set"),
            EvaluatorOptionDescription(
                "corpus_prompts", .texts, "one prompt for all documents, or an object by data set"),
        ] + RetrievalOptions.descriptions,
        make: make)

    /// Makes the evaluator that `options` describe, from the data sets of its folder.
    private static func make(_ options: EvaluatorOptions) throws(TuttiError) -> any Evaluator {
        guard try options.string("id") == nil else {
            throw options.error("id", "is no option of \(className), whose data sets have names of their own")
        }
        let retrieval = try RetrievalOptions(options)
        let aggregateName = try options.string("aggregate_fn") ?? "mean"
        guard let aggregate = Aggregate(rawValue: aggregateName) else {
            throw options.error(
                "aggregate_fn", "the function '\(aggregateName)' is not known",
                hint: TuttiError.hint(unknown: aggregateName, known: Aggregate.allCases.map(\.rawValue)))
        }
        let pathKey = options.object.contains(key: "path") ? "path" : "dataset_id"
        guard let path = try options.string(pathKey) else { throw options.error("path", "is missing") }
        let names = try options.strings("dataset_names") ?? NanoBEIRFolder.dataSets.map { $0.lowercased() }
        guard !names.isEmpty else {
            throw options.error("dataset_names", "is an empty list", hint: "Leave it out to judge all data sets.")
        }
        let folder = try NanoBEIRFolder(path, names: names, options)
        let queryPrompts = try options.prompts("query_prompts", dataSets: names)
        let documentPrompts = try options.prompts("corpus_prompts", dataSets: names)
        var dataSets: [DataSet] = []
        for (place, dataSet) in folder.places.enumerated() {
            dataSets.append(
                DataSet(
                    name: dataSet.name, collection: try NanoBEIRFolder.collection(dataSet.folder),
                    queryPrompt: queryPrompts?[place], documentPrompt: documentPrompts?[place]))
        }
        var configuration: JSONObject = [
            "dataset_names": .array(names.map { .string($0) }), "dataset_id": .string(path),
        ]
        for key in ["truncate_dim", "query_prompts", "corpus_prompts"] {
            if let value = options.object[key], !value.isNull { configuration.set(key, value) }
        }
        return NanoBEIREvaluator(
            dataSets, cutoffs: retrieval.cutoffs, functions: retrieval.functions, main: retrieval.main,
            aggregate: aggregate, aggregateKey: try options.string("aggregate_key") ?? aggregateName,
            settings: retrieval.settings, configuration: configuration)
    }
}

extension EvaluatorOptions {
    /// One prompt for every data set, or the member of an object that each of them must have; nil where none is given.
    fileprivate func prompts(_ key: String, dataSets: [String]) throws(TuttiError) -> [String]? {
        guard let value = object[key], !value.isNull else { return nil }
        if let prompt = value.string { return dataSets.map { _ in prompt } }
        guard let object = value.object else {
            throw error(key, "holds \(value.kindName) where a string or an object of strings is needed")
        }
        let missing = dataSets.filter { object[$0]?.string == nil }
        guard missing.isEmpty else {
            throw error(key, "has no prompt for \(missing.joined(separator: ", "))")
        }
        return dataSets.compactMap { object[$0]?.string }
    }
}
