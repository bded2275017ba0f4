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
    public static let className = "TripletEvaluator"
    public let name: String
    public let title = "Triplet"
    public let primaryMetric: String
    private let anchors: [String]
    private let positives: [String]
    private let negatives: [String]
    private let functions: [SimilarityFunction]
    private let margins: [SimilarityFunction: Float]
    private let truncatedDimension: Int?
    private let writesResults: Bool

    /// An evaluator of the triplets (anchors[i], positives[i], negatives[i]).
    ///
    /// `functions` must not be empty; `main` names the primary metric, otherwise it is that of the only function or the
    /// largest of several. `margins` without a function count as zero.
    public init(
        anchors: [String], positives: [String], negatives: [String], name: String = "",
        functions: [SimilarityFunction] = [.cosine], main: SimilarityFunction? = nil,
        margins: [SimilarityFunction: Float] = [:], truncatedDimension: Int? = nil, writesResults: Bool = true
    ) {
        precondition(
            anchors.count == positives.count && anchors.count == negatives.count,
            "\(anchors.count) anchors, \(positives.count) positives, \(negatives.count) negatives")
        precondition(!functions.isEmpty, "no similarity function")
        self.anchors = anchors
        self.positives = positives
        self.negatives = negatives
        self.name = name
        self.functions = functions
        self.margins = margins
        self.truncatedDimension = truncatedDimension
        self.writesResults = writesResults
        let primary =
            main.map { "\($0.rawValue)_accuracy" }
            ?? (functions.count > 1 ? "max_accuracy" : "\(functions[0].rawValue)_accuracy")
        primaryMetric = metricKey(primary, of: name)
    }

    public var metricKeys: [String] {
        (functions.map { "\($0.rawValue)_accuracy" } + (functions.count > 1 ? ["max_accuracy"] : [])).map(prefixed)
    }

    public var configuration: JSONObject {
        var object = JSONObject()
        if margins.values.contains(where: { $0 != 0 }) {
            var values = JSONObject()
            for function in [SimilarityFunction.cosine, .dot, .manhattan, .euclidean] {
                values.set(function.rawValue, .number(Double(margins[function] ?? 0)))
            }
            object.set("margin", .object(values))
        }
        if let width = truncatedDimension { object.set("truncate_dim", .integer(Int64(width))) }
        return object
    }

    public func evaluate(
        model: any SentenceEncoding, ensemble: any Ensemble, context: EvaluationContext
    ) throws -> [Metric] {
        let queries = UniqueTexts(anchors)
        let documents = UniqueTexts(positives + negatives)
        let queryRows = try model.encode(
            queries.texts, prompt: model.queryPrompt, tokensPerBatch: context.tokensPerBatch, ensemble: ensemble)
        let documentRows = try model.encode(
            documents.texts, prompt: model.documentPrompt, tokensPerBatch: context.tokensPerBatch, ensemble: ensemble)
        return try metricsOnRoot(ensemble) {
            let a = cut(queryRows.gathering(queries.places))
            let p = cut(documentRows.gathering(Array(documents.places.prefix(anchors.count))))
            let n = cut(documentRows.gathering(Array(documents.places.dropFirst(anchors.count))))
            let accuracies = functions.map { accuracy(anchors: a, positives: p, negatives: n, by: $0) }
            if writesResults {
                let file = ResultsFile(
                    name: "triplet_evaluation\(name.isEmpty ? "" : "_" + name)_results.csv",
                    columns: functions.map { "accuracy_\($0.rawValue)" }, lineEnd: "\r\n")
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
        let margin = margins[function] ?? 0
        let right = zip(near, far).reduce(0) { $0 + ($1.0 > $1.1 + margin ? 1 : 0) }
        return Double(Float(right) / Float(near.count))
    }

    private func cut(_ embeddings: Embeddings) -> Embeddings {
        truncatedDimension.map(embeddings.truncated) ?? embeddings
    }
}

extension TripletEvaluator {
    /// What configurations and the command know of it.
    static let entry = EvaluatorEntry(
        name: className, summary: "accuracy of sim(anchor, positive) > sim(anchor, negative) + margin",
        data: "a table of three text columns: anchor, positive, negative",
        options: EvaluatorOptionDescription.table("anchor, positive, negative") + [
            EvaluatorOptionDescription("margin", .numbers, standard: .number(0), "by how much the positive wins"),
            .similarityFunctions,
            EvaluatorOptionDescription(
                "main_similarity_function", .text, "the function of the primary metric; by default the best one"),
        ],
        make: make)

    /// Makes the evaluator that `options` describe, from the first three text columns of its table.
    private static func make(_ options: EvaluatorOptions) throws(TuttiError) -> any Evaluator {
        let main = try options.similarity("main_similarity_function")
        let functions = try options.similarities("similarity_fn_names", main: main)
        let table = try options.table(textColumns: 3, meaning: "anchor, positive and negative")
        return TripletEvaluator(
            anchors: table.texts(column: 0), positives: table.texts(column: 1), negatives: table.texts(column: 2),
            name: try options.string("id") ?? "", functions: functions, main: main, margins: try margins(options),
            truncatedDimension: try options.truncatedDimension(), writesResults: try options.bool("write_csv") ?? true)
    }

    /// One margin for all functions, or an object of margins by function.
    private static func margins(_ options: EvaluatorOptions) throws(TuttiError) -> [SimilarityFunction: Float] {
        guard let value = options.object["margin"], !value.isNull else { return [:] }
        var margins: [SimilarityFunction: Float] = [:]
        if let number = value.double {
            for function in SimilarityFunction.allCases { margins[function] = Float(number) }
            return margins
        }
        guard let object = value.object else {
            throw options.error("margin", "holds \(value.kindName) where a number or an object of numbers is needed")
        }
        for (name, value) in object {
            guard let function = SimilarityFunction(rawValue: name) else {
                throw options.error(
                    "margin", "the similarity function '\(name)' is not known",
                    hint: TuttiError.hint(unknown: name, known: SimilarityFunction.names))
            }
            guard let number = value.double else {
                throw options.error("margin.\(name)", "holds \(value.kindName) where a number is needed")
            }
            margins[function] = Float(number)
        }
        return margins
    }
}
