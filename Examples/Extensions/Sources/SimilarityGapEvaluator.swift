// An evaluator written outside the package: one class, its options, one line that registers it.

import Tutti

/// By how much the mean similarity of similar pairs is above that of the others.
final class SimilarityGapEvaluator: Evaluator {
    struct Settings: EvaluatorSettings {
        var common = CommonEvaluatorSettings()
        var table = TableSettings()
        var limit = 0.5

        static let options = OptionList<Settings>(
            TableSettings.options("sentence1, sentence2, score", in: \.table) + [
                Option("limit", \.limit, "the score from which on a pair is similar", check: .within(0...1))
            ])
    }

    static let className = "SimilarityGapEvaluator"
    let title = "Similarity Gap"
    var name: String { settings.common.id }
    var primaryMetric: String { prefixed("gap") }
    var metricKeys: [String] { [primaryMetric] }
    /// What the model card tells of the options.
    var configuration: JSONObject { settings.changes("limit").merging(settings.common.changes("truncate_dim")) }

    private let firsts: [String]
    private let seconds: [String]
    private let scores: [Double]
    private let settings: Settings

    init(firsts: [String], seconds: [String], scores: [Double], settings: Settings = Settings()) {
        (self.firsts, self.seconds, self.scores, self.settings) = (firsts, seconds, scores, settings)
    }

    func evaluate(model: any SentenceEncoding, ensemble: any Ensemble, context: EvaluationContext) throws -> [Metric] {
        let rows = try model.encode(
            firsts + seconds, prompt: nil, tokensPerBatch: context.tokensPerBatch, ensemble: ensemble)
        return try ensemble.metricsOnRoot {
            let cut = settings.common.cut(rows)
            let similarities = SimilarityFunction.cosine.ofPairs(
                cut.gathering(Array(0..<firsts.count)), cut.gathering(Array(firsts.count..<cut.count)))
            func mean(similar: Bool) -> Double {
                let own = zip(similarities, scores).filter { ($0.1 >= settings.limit) == similar }
                return own.reduce(0) { $0 + Double($1.0) } / Double(own.count)
            }
            let gap = mean(similar: true) - mean(similar: false)
            if settings.common.writesResults {
                let suffix = name.isEmpty ? "" : "_" + name
                try ResultsFile(name: "similarity_gap\(suffix)_results.csv", columns: ["gap"]).append([gap], context)
            }
            return [(primaryMetric, gap)]
        }
    }

    static let entry = EvaluatorEntry(
        name: className, summary: "the mean similarity of similar pairs less that of the others",
        data: "a table of two text columns and a score: sentence1, sentence2, score", settings: Settings.self
    ) { (settings, options) throws(TuttiError) in
        let table = try options.table(settings.table, textColumns: 2, meaning: "the two sentences")
        return SimilarityGapEvaluator(
            firsts: table.texts(column: 0), seconds: table.texts(column: 1), scores: try table.scores(),
            settings: settings)
    }
}
