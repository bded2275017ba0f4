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
    package static let className = "LabelAccuracyEvaluator"
    package let name: String
    package let title = "Label Accuracy"
    package var primaryMetric: String { prefixed("accuracy") }
    private let firsts: [String]
    private let seconds: [String]
    private let labels: [Int]
    private let classifier: SoftmaxClassifier
    private let writesResults: Bool

    /// An evaluator of the pairs (firsts[i], seconds[i]) with the classes labels[i]; there must be a pair.
    package init(
        firsts: [String], seconds: [String], labels: [Int], classifier: SoftmaxClassifier, name: String = "",
        writesResults: Bool = true
    ) {
        precondition(
            firsts.count == seconds.count && firsts.count == labels.count && !firsts.isEmpty,
            "\(firsts.count) first texts, \(seconds.count) second texts, \(labels.count) labels")
        self.firsts = firsts
        self.seconds = seconds
        self.labels = labels
        self.classifier = classifier
        self.name = name
        self.writesResults = writesResults
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
        return try metricsOnRoot(ensemble) {
            let found = classifier.classes(
                rows.gathering(Array(unique.places.prefix(firsts.count))),
                rows.gathering(Array(unique.places.dropFirst(firsts.count))))
            let right = zip(found, labels).reduce(0) { $0 + ($1.0 == $1.1 ? 1 : 0) }
            let accuracy = found.contains(nil) ? .nan : Double(right) / Double(labels.count)
            if writesResults {
                let file = ResultsFile(
                    name: "accuracy_evaluation\(name.isEmpty ? "" : "_" + name)_results.csv", columns: ["accuracy"],
                    lineEnd: "\r\n")
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
        options: EvaluatorOptionDescription.table("sentence1, sentence2, label") + [
            EvaluatorOptionDescription(
                "classifier", .file, "a trained model's loss.safetensors; in training by default the run's own loss"),
            EvaluatorOptionDescription(
                "concatenation_sent_rep", .flag, standard: .bool(true), "the file's classifier sees both embeddings"),
            EvaluatorOptionDescription(
                "concatenation_sent_difference", .flag, standard: .bool(true), "it sees their absolute difference"),
            EvaluatorOptionDescription(
                "concatenation_sent_multiplication", .flag, standard: .bool(false), "it sees their product"),
        ],
        make: make)

    /// Makes the evaluator that `options` describe, from the first two text columns and the label of its table.
    private static func make(_ options: EvaluatorOptions) throws(TuttiError) -> any Evaluator {
        if options.object.contains(key: "truncate_dim") {
            throw options.error("truncate_dim", "the classifier takes whole embeddings", hint: "Leave it out.")
        }
        let classifier = try classifier(options)
        let table = try options.table(textColumns: 2, meaning: "the two sentences")
        return LabelAccuracyEvaluator(
            firsts: table.texts(column: 0), seconds: table.texts(column: 1),
            labels: try options.classes(of: table, count: classifier.classCount), classifier: classifier,
            name: try options.string("id") ?? "", writesResults: try options.bool("write_csv") ?? true)
    }

    /// The classifier of the file that is named, else the one of the run.
    private static func classifier(_ options: EvaluatorOptions) throws(TuttiError) -> SoftmaxClassifier {
        let features = SoftmaxClassifier.Features(
            embeddings: try options.bool("concatenation_sent_rep") ?? true,
            difference: try options.bool("concatenation_sent_difference") ?? true,
            product: try options.bool("concatenation_sent_multiplication") ?? false)
        guard features.count > 0 else {
            throw options.error("concatenation_sent_rep", "all parts of the classifier's input are switched off")
        }
        if let path = try options.string("classifier") { return try SoftmaxClassifier(path: path, features: features) }
        guard let classifier = options.classifier else {
            throw options.error(
                "classifier", "is missing, and there is no run with a SoftmaxLoss",
                hint: "Give the loss.safetensors of a model that was trained with SoftmaxLoss.")
        }
        return classifier
    }
}
