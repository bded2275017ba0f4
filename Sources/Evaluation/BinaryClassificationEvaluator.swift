// Does one threshold on the similarity tell similar pairs from dissimilar ones?
//
// What: for every similarity function the best accuracy and the best F1 over all thresholds, average precision, and the
// Matthews correlation at the threshold of the best F1 (Metrics/BinaryCuts.swift has the rules of ties and thresholds).
// Euclidean and Manhattan are distances here, not their negatives, so that thresholds read as distances. Embeddings
// with NaN have NaN metrics.
//
//   keys  <name>_<function>_accuracy, accuracy_threshold, f1, f1_threshold, precision, recall, ap, mcc; with several
//         functions also <name>_max_<each>
//   file  binary_classification_evaluation[_name]_results.csv: epoch, steps, <function>_accuracy ...
//
// Reference: sentence_transformers/sentence_transformer/evaluation/binary_classification.py (6.2).

import TuttiCorpus
import TuttiEnsemble
import TuttiFormats
import TuttiGround
import TuttiModels
import TuttiObjectives

/// Judges a model by how well a threshold on its similarities finds the similar pairs.
public final class BinaryClassificationEvaluator: Evaluator {
    /// Its options.
    struct Settings: EvaluatorSettings {
        var common = CommonEvaluatorSettings()
        var table = TableSettings()
        var similarity = SimilarityChoice()

        static let options = OptionList<Settings>(
            TableSettings.options("sentence1, sentence2, label", in: \.table)
                + SimilarityChoice.options(in: \.similarity))
    }

    /// "BinaryClassificationEvaluator".
    public static let className = "BinaryClassificationEvaluator"
    /// The name of the data.
    public var name: String { common.id }
    /// "Binary Classification".
    public let title = "Binary Classification"
    /// The average precision of the only function, or the largest.
    public let primaryMetric: String
    private let firsts: [String]
    private let seconds: [String]
    private let isSimilar: [Bool]
    private let functions: [SimilarityFunction]
    private let common: CommonEvaluatorSettings

    /// The metrics of a function in the order of the keys.
    private static let metrics = [
        "accuracy", "accuracy_threshold", "f1", "f1_threshold", "precision", "recall", "ap", "mcc",
    ]
    /// The places in `metrics` of the columns of a function in the file.
    private static let columns = [0, 1, 2, 4, 5, 3, 6, 7]

    /// An evaluator of the pairs (firsts[i], seconds[i]), of which some are similar.
    ///
    /// There must be a pair and a function.
    public convenience init(
        firsts: [String], seconds: [String], isSimilar: [Bool], name: String = "",
        functions: [SimilarityFunction] = [.cosine], truncatedDimension: Int? = nil, writesResults: Bool = true
    ) {
        self.init(
            firsts: firsts, seconds: seconds, isSimilar: isSimilar, functions: functions,
            common: CommonEvaluatorSettings(
                id: name, truncatedDimension: truncatedDimension, writesResults: writesResults))
    }

    private init(
        firsts: [String], seconds: [String], isSimilar: [Bool], functions: [SimilarityFunction],
        common: CommonEvaluatorSettings
    ) {
        precondition(
            firsts.count == seconds.count && firsts.count == isSimilar.count && !firsts.isEmpty,
            "\(firsts.count) first texts, \(seconds.count) second texts, \(isSimilar.count) labels")
        precondition(!functions.isEmpty, "no similarity function")
        self.firsts = firsts
        self.seconds = seconds
        self.isSimilar = isSimilar
        self.functions = functions
        self.common = common
        primaryMetric = metricKey((functions.count > 1 ? "max" : functions[0].rawValue) + "_ap", of: common.id)
    }

    /// The eight metrics of every function, and the largest of several.
    public var metricKeys: [String] {
        (functions.map(\.rawValue) + (functions.count > 1 ? ["max"] : [])).flatMap { function in
            Self.metrics.map { prefixed("\(function)_\($0)") }
        }
    }

    /// The truncation, if any.
    public var configuration: JSONObject { common.changes("truncate_dim") }

    /// Encodes both sentences of the pairs, and looks for the best thresholds of their similarities. Collective.
    public func evaluate(
        model: any SentenceEncoding, ensemble: any Ensemble, context: EvaluationContext
    ) throws -> [Metric] {
        let unique = UniqueTexts(firsts + seconds)
        let rows = try model.encode(
            unique.texts, prompt: nil, tokensPerBatch: context.tokensPerBatch, ensemble: ensemble)
        return try ensemble.metricsOnRoot {
            let cut = common.cut(rows)
            let first = cut.gathering(Array(unique.places.prefix(firsts.count)))
            let second = cut.gathering(Array(unique.places.dropFirst(firsts.count)))
            var values = functions.map { judge($0.ofPairs(first, second), by: $0) }
            if common.writesResults {
                let file = ResultsFile(
                    name: common.fileName("binary_classification_evaluation"),
                    columns: functions.flatMap { function in
                        Self.columns.map { "\(function.rawValue)_\(Self.metrics[$0])" }
                    })
                try file.append(values.flatMap { values in Self.columns.map { row(values[$0], of: $0) } }, context)
            }
            if functions.count > 1 {
                let largest = Self.metrics.indices.map { metric in
                    values.dropFirst().reduce(values[0][metric]) { $1[metric] > $0 ? $1[metric] : $0 }
                }
                values.append(largest)
            }
            return zip(metricKeys, values.joined()).map { ($0, $1) }
        }
    }

    /// The metrics of one function in the order of `metrics`.
    private func judge(_ similarities: [Float], by function: SimilarityFunction) -> [Double] {
        guard similarities.allSatisfy({ !$0.isNaN }) else { return Self.metrics.map { _ in .nan } }
        let isDistance = function == .euclidean || function == .manhattan
        let cuts = BinaryCuts(
            scores: isDistance ? similarities.map { -$0 } : similarities, isSimilar: isSimilar,
            largerIsAlike: !isDistance)
        let (accuracy, f1) = (cuts.bestAccuracy, cuts.bestF1)
        return [
            accuracy.value, Double(accuracy.threshold), f1.value, Double(f1.threshold), f1.precision, f1.recall,
            cuts.averagePrecision, f1.matthews,
        ]
    }

    /// A metric as the file has it: thresholds with the digits of single precision.
    private func row(_ value: Double, of metric: Int) -> Double {
        Self.metrics[metric].hasSuffix("threshold") ? ResultsFile.digits(Float(value)) : value
    }
}

extension BinaryClassificationEvaluator {
    /// What configurations and the command know of it.
    static let entry = EvaluatorEntry(
        name: className, summary: "accuracy, F1, average precision and Matthews correlation of similar or not",
        data: "a table of two text columns and a label: sentence1, sentence2, label (1 similar, 0 not)",
        settings: Settings.self
    ) { (settings, options) throws(TuttiError) in
        let functions = try options.functions(settings.similarity)
        let table = try options.table(settings.table, textColumns: 2, meaning: "the two sentences")
        return BinaryClassificationEvaluator(
            firsts: table.texts(column: 0), seconds: table.texts(column: 1),
            isSimilar: try table.classes(count: 2).map { $0 == 1 }, functions: functions, common: settings.common)
    }
}
