// Is the anchor closer to its positive than to its negative?
//
// What: accuracy = share of triplets with sim(anchor, positive) > sim(anchor, negative) + margin. The comparison is
// strict, ties are wrong, and the share is a single-precision mean, as in the reference. Anchors are encoded with the
// model's query prompt, positives and negatives with its document prompt.
//
//   keys  <name>_<function>_accuracy, with several functions also <name>_max_accuracy
//   file  triplet_evaluation[_name]_results.csv: epoch, steps, accuracy_<function> ...
//
// Reference: sentence_transformers/sentence_transformer/evaluation/triplet.py.

import TuttiCorpus
import TuttiEnsemble
import TuttiFormats
import TuttiGround
import TuttiModels
import TuttiObjectives

/// Judges a model by how often it ranks a positive above a negative.
public final class TripletEvaluator: Evaluator {
    /// Its options.
    struct Settings: EvaluatorSettings {
        var common = CommonEvaluatorSettings()
        var table = TableSettings()
        var margins = TripletMargins()
        var similarity = SimilarityChoice()

        static let options = OptionList<Settings>(
            TableSettings.options("anchor, positive, negative", in: \.table)
                + [Option("margin", \.margins, "by how much the positive wins")]
                + SimilarityChoice.options(main: "main_similarity_function", in: \.similarity))
    }

    /// "TripletEvaluator".
    public static let className = "TripletEvaluator"
    /// The name of the data.
    public var name: String { settings.common.id }
    /// "Triplet".
    public let title = "Triplet"
    /// The accuracy of the main function, of the only one, or the largest.
    public let primaryMetric: String
    private let anchors: [String]
    private let positives: [String]
    private let negatives: [String]
    private let functions: [SimilarityFunction]
    private let settings: Settings

    /// An evaluator of the triplets (anchors[i], positives[i], negatives[i]).
    ///
    /// `functions` must not be empty; `main` names the primary metric, otherwise it is that of the only function or the
    /// largest of several. `margins` without a function count as zero.
    public convenience init(
        anchors: [String], positives: [String], negatives: [String], name: String = "",
        functions: [SimilarityFunction] = [.cosine], main: SimilarityFunction? = nil,
        margins: [SimilarityFunction: Float] = [:], truncatedDimension: Int? = nil, writesResults: Bool = true
    ) {
        var settings = Settings()
        settings.common = CommonEvaluatorSettings(
            id: name, truncatedDimension: truncatedDimension, writesResults: writesResults)
        settings.margins = TripletMargins(margins)
        settings.similarity.main = main
        self.init(
            anchors: anchors, positives: positives, negatives: negatives, functions: functions, settings: settings)
    }

    private init(
        anchors: [String], positives: [String], negatives: [String], functions: [SimilarityFunction],
        settings: Settings
    ) {
        precondition(
            anchors.count == positives.count && anchors.count == negatives.count,
            "\(anchors.count) anchors, \(positives.count) positives, \(negatives.count) negatives")
        precondition(!functions.isEmpty, "no similarity function")
        self.anchors = anchors
        self.positives = positives
        self.negatives = negatives
        self.functions = functions
        self.settings = settings
        let primary =
            settings.similarity.main.map { "\($0.rawValue)_accuracy" }
            ?? (functions.count > 1 ? "max_accuracy" : "\(functions[0].rawValue)_accuracy")
        primaryMetric = metricKey(primary, of: settings.common.id)
    }

    /// The accuracy of every function, and the largest of several.
    public var metricKeys: [String] {
        (functions.map { "\($0.rawValue)_accuracy" } + (functions.count > 1 ? ["max_accuracy"] : [])).map(prefixed)
    }

    /// Margins and truncation, where they differ from the defaults.
    public var configuration: JSONObject {
        settings.changes("margin").merging(settings.common.changes("truncate_dim"))
    }

    /// Encodes anchors, positives and negatives, and compares their similarities. Collective.
    public func evaluate(
        model: any SentenceEncoding, ensemble: any Ensemble, context: EvaluationContext
    ) throws -> [Metric] {
        let queries = UniqueTexts(anchors)
        let documents = UniqueTexts(positives + negatives)
        let queryRows = try model.encodeQueries(
            queries.texts, tokensPerBatch: context.tokensPerBatch, ensemble: ensemble)
        let documentRows = try model.encodeDocuments(
            documents.texts, tokensPerBatch: context.tokensPerBatch, ensemble: ensemble)
        return try ensemble.metricsOnRoot {
            let a = settings.common.cut(queryRows.gathering(queries.places))
            let p = settings.common.cut(documentRows.gathering(Array(documents.places.prefix(anchors.count))))
            let n = settings.common.cut(documentRows.gathering(Array(documents.places.dropFirst(anchors.count))))
            let accuracies = functions.map { accuracy(anchors: a, positives: p, negatives: n, by: $0) }
            if settings.common.writesResults {
                let file = ResultsFile(
                    name: settings.common.fileName("triplet_evaluation"),
                    columns: functions.map { "accuracy_\($0.rawValue)" })
                try file.append(accuracies, context)
            }
            let largest = functions.count > 1 ? accuracies.max().map { [$0] } ?? [] : []
            return zip(metricKeys, accuracies + largest).map { ($0, $1) }
        }
    }

    /// The share of triplets in the right order.
    private func accuracy(
        anchors: Embeddings, positives: Embeddings, negatives: Embeddings, by function: SimilarityFunction
    ) -> Double {
        let near = function.ofPairs(anchors, positives)
        let far = function.ofPairs(anchors, negatives)
        let margin = settings.margins.byFunction[function] ?? 0
        let right = zip(near, far).reduce(0) { $0 + ($1.0 > $1.1 + margin ? 1 : 0) }
        return Double(Float(right) / Float(near.count))
    }
}

extension TripletEvaluator {
    /// What configurations and the command know of it.
    static let entry = EvaluatorEntry(
        name: className, summary: "accuracy of sim(anchor, positive) > sim(anchor, negative) + margin",
        data: "a table of three text columns: anchor, positive, negative",
        settings: Settings.self
    ) { (settings, options) throws(TuttiError) in
        let functions = try options.functions(settings.similarity)
        let table = try options.table(settings.table, textColumns: 3, meaning: "anchor, positive and negative")
        return TripletEvaluator(
            anchors: table.texts(column: 0), positives: table.texts(column: 1), negatives: table.texts(column: 2),
            functions: functions, settings: settings)
    }
}

/// By how much the similarity of the positive must be larger, for each function.
struct TripletMargins: OptionValue {
    /// The margins; a function without one has none.
    var byFunction: [SimilarityFunction: Float]

    /// These margins.
    init(_ byFunction: [SimilarityFunction: Float] = [:]) { self.byFunction = byFunction }

    /// What a configuration writes, in words.
    static var words: String { "a number, or an object of numbers by function" }

    /// One margin for all functions, or an object of margins by function.
    init(option json: JSONValue) throws(OptionProblem) {
        byFunction = [:]
        if let number = json.double {
            for function in SimilarityFunction.allCases { byFunction[function] = Float(number) }
            return
        }
        guard let object = json.object else { throw .expected(Self.words, found: json) }
        for (name, value) in object {
            guard let number = value.double else { throw .expected("a number", found: value, at: name) }
            byFunction[try SimilarityName(name).function] = Float(number)
        }
    }

    /// Zero where there are no margins, else all of them.
    var optionJSON: JSONValue {
        guard byFunction.values.contains(where: { $0 != 0 }) else { return .number(0) }
        var values = JSONObject()
        for function in [SimilarityFunction.cosine, .dot, .manhattan, .euclidean] {
            values.set(function.rawValue, .number(Double(byFunction[function] ?? 0)))
        }
        return .object(values)
    }
}
