// Does the model embed a text where a teacher embeds its source?
//
// What: 100 times the mean squared difference of the teacher's embeddings of the source texts and the model's
// embeddings of the target texts, rounded to single precision where the reference rounds.
//
//   keys  <name>_negative_mse
//   file  mse_evaluation_<name>_results.csv (with the underscore even without a name): epoch, steps, MSE
//
// Reference: sentence_transformers/sentence_transformer/evaluation/mse.py.

import TuttiCorpus
import TuttiEnsemble
import TuttiFormats
import TuttiGround
import TuttiModels

/// Judges a model by its distance from a teacher.
package final class MSEEvaluator: Evaluator {
    /// Its options.
    struct Settings: EvaluatorSettings {
        var common = CommonEvaluatorSettings()
        var table = TableSettings()
        var teacher = TeacherSettings()

        static let options = OptionList<Settings>(
            TableSettings.options("source, target", in: \.table) + TeacherSettings.options.lifted(to: \.teacher))
    }

    package static let className = "MSEEvaluator"
    package var name: String { common.id }
    package let title = "Knowledge Distillation"
    package var primaryMetric: String { prefixed("negative_mse") }
    private let targets: [String]
    private let teacher: TeacherEmbeddings
    private let common: CommonEvaluatorSettings

    /// An evaluator of the model's embeddings of `targets` against the teacher's of `sources`, text by text.
    ///
    /// The teacher encodes the sources by `compute` at the first evaluation and is let go then.
    package init(
        sources: [String], targets: [String], teacher: any SentenceEncoding, compute: FrozenCompute = .fp32,
        common: CommonEvaluatorSettings = CommonEvaluatorSettings()
    ) {
        precondition(sources.count == targets.count, "\(sources.count) source texts, \(targets.count) target texts")
        self.targets = targets
        self.teacher = TeacherEmbeddings(of: sources, by: teacher, compute: compute, common: common)
        self.common = common
    }

    package var metricKeys: [String] { [primaryMetric] }

    package var configuration: JSONObject { common.changes("truncate_dim") }

    package func evaluate(
        model: any SentenceEncoding, ensemble: any Ensemble, context: EvaluationContext
    ) throws -> [Metric] {
        let wanted = try teacher.embeddings(ensemble, context)
        let unique = UniqueTexts(targets)
        let rows = try model.encode(
            unique.texts, prompt: nil, tokensPerBatch: context.tokensPerBatch, ensemble: ensemble)
        let cut = common.cut(rows)
        try teacher.check(cut)
        return try ensemble.metricsOnRoot {
            let error = wanted.meanSquaredError(cut.gathering(unique.places), times: 100)
            if common.writesResults {
                let file = ResultsFile(name: "mse_evaluation_\(name)_results.csv", columns: ["MSE"])
                try file.append([Double(error)], context)
            }
            return [(primaryMetric, -Double(error))]
        }
    }
}

extension MSEEvaluator {
    /// What configurations and the command know of it.
    static let entry = EvaluatorEntry(
        name: className, summary: "squared distance from the embeddings of a teacher",
        data: "a table of two text columns: source for the teacher, target for the model; one column is both",
        settings: Settings.self
    ) { (settings, options) throws(TuttiError) in
        let table = try options.table(settings.table, textColumns: 1, meaning: "the source and the target")
        let (teacher, compute) = try options.teacher(settings.teacher)
        return MSEEvaluator(
            sources: table.texts(column: 0), targets: table.texts(column: min(1, table.columnNames.count - 1)),
            teacher: teacher, compute: compute, common: settings.common)
    }
}
