// Does the classifier on top of the embeddings tell the classes of sentence pairs?
//
// What: the share of pairs whose most likely class is their label. Texts are encoded without a prompt, as the reference
// does. In training the head of the run's loss is judged, elsewhere the one in the file `classifier`
// (SoftmaxClassifier.swift has the details). Logits that are NaN make the accuracy NaN.
//
//   keys  <name>_accuracy
//   file  accuracy_evaluation[_name]_results.csv: epoch, steps, accuracy
//
// Reference: sentence_transformers/sentence_transformer/evaluation/label_accuracy.py.

import TuttiCorpus
import TuttiEnsemble
import TuttiFormats
import TuttiGround
import TuttiModels

/// Judges a model and its classifier by the share of pairs with the right class.
package final class LabelAccuracyEvaluator: Evaluator {
    /// Its options.
    struct Settings: EvaluatorSettings {
        var common = CommonEvaluatorSettings()
        var table = TableSettings()
        var classifier: String?
        var features = SoftmaxClassifier.Features()

        static let options = OptionList<Settings>(
            TableSettings.options("sentence1, sentence2, label", in: \.table) + [
                Option(
                    "classifier", \.classifier,
                    "a trained model's loss.safetensors; in training by default the run's own loss", words: "a file"),
                Option(
                    "concatenation_sent_rep", \.features.embeddings, "the file's classifier sees both embeddings"),
                Option(
                    "concatenation_sent_difference", \.features.difference, "it sees their absolute difference"),
                Option("concatenation_sent_multiplication", \.features.product, "it sees their product"),
            ])
    }

    package static let className = "LabelAccuracyEvaluator"
    package var name: String { common.id }
    package let title = "Label Accuracy"
    package var primaryMetric: String { prefixed("accuracy") }
    private let firsts: [String]
    private let seconds: [String]
    private let labels: [Int]
    private let classifier: SoftmaxClassifier
    private let common: CommonEvaluatorSettings

    /// An evaluator of the pairs (firsts[i], seconds[i]) with the classes labels[i]; there must be a pair.
    package init(
        firsts: [String], seconds: [String], labels: [Int], classifier: SoftmaxClassifier,
        common: CommonEvaluatorSettings = CommonEvaluatorSettings()
    ) {
        precondition(
            firsts.count == seconds.count && firsts.count == labels.count && !firsts.isEmpty,
            "\(firsts.count) first texts, \(seconds.count) second texts, \(labels.count) labels")
        self.firsts = firsts
        self.seconds = seconds
        self.labels = labels
        self.classifier = classifier
        self.common = common
    }

    package var metricKeys: [String] { [primaryMetric] }

    package func evaluate(
        model: any SentenceEncoding, ensemble: any Ensemble, context: EvaluationContext
    ) throws -> [Metric] {
        let unique = UniqueTexts(firsts + seconds)
        let rows = try model.encode(
            unique.texts, prompt: "", tokensPerBatch: context.tokensPerBatch, ensemble: ensemble)
        guard rows.dimension == classifier.dimension else {
            throw TuttiError(
                .usage, "evaluate", "classifier",
                "takes embeddings of width \(classifier.dimension), and the model gives \(rows.dimension)")
        }
        return try ensemble.metricsOnRoot {
            let found = classifier.classes(
                rows.gathering(Array(unique.places.prefix(firsts.count))),
                rows.gathering(Array(unique.places.dropFirst(firsts.count))))
            let right = zip(found, labels).reduce(0) { $0 + ($1.0 == $1.1 ? 1 : 0) }
            let accuracy = found.contains(nil) ? .nan : Double(right) / Double(labels.count)
            if common.writesResults {
                let file = ResultsFile(name: common.fileName("accuracy_evaluation"), columns: ["accuracy"])
                try file.append([accuracy], context)
            }
            return [(primaryMetric, accuracy)]
        }
    }
}

extension LabelAccuracyEvaluator {
    /// What configurations and the command know of it.
    static let entry = EvaluatorEntry(
        name: className, summary: "accuracy of the classifier that SoftmaxLoss trains",
        data: "a table of two text columns and a label: sentence1, sentence2, label (classes from 0)",
        settings: Settings.self
    ) { (settings, options) throws(TuttiError) in
        guard settings.common.truncatedDimension == nil else {
            throw options.error("truncate_dim", "the classifier takes whole embeddings", hint: "Leave it out.")
        }
        let classifier = try classifier(settings, options)
        let table = try options.table(settings.table, textColumns: 2, meaning: "the two sentences")
        return LabelAccuracyEvaluator(
            firsts: table.texts(column: 0), seconds: table.texts(column: 1),
            labels: try table.classes(count: classifier.classCount), classifier: classifier, common: settings.common)
    }

    /// The classifier of the file that is named, else the one of the run.
    private static func classifier(
        _ settings: Settings, _ options: EvaluatorOptions
    ) throws(TuttiError) -> SoftmaxClassifier {
        guard settings.features.count > 0 else {
            throw options.error("concatenation_sent_rep", "all parts of the classifier's input are switched off")
        }
        if let path = settings.classifier {
            return try SoftmaxClassifier(path: path, features: settings.features)
        }
        guard let classifier = options.classifier else {
            throw options.error(
                "classifier", "is missing, and there is no run with a SoftmaxLoss",
                hint: "Give the loss.safetensors of a model that was trained with SoftmaxLoss.")
        }
        return classifier
    }
}
