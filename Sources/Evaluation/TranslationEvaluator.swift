// Is the translation of a text the nearest of all texts in the other language?
//
// What: the nearest target of every source by cosine, and the nearest source of every target; a match is right when its
// text is the expected one, wherever it stands, so that repeated texts are no errors. Of equally near texts the first
// counts. Texts of equal embeddings are searched once, so that they tie exactly. Embeddings with NaN have NaN metrics.
//
//   keys  <name>_src2trg_accuracy, <name>_trg2src_accuracy, <name>_mean_accuracy
//   file  translation_evaluation[_name]_results.csv: epoch, steps, src2trg, trg2src
//
// Reference: sentence_transformers/sentence_transformer/evaluation/translation.py (6.2).

import Foundation
import TuttiCorpus
import TuttiEnsemble
import TuttiFormats
import TuttiGround
import TuttiModels
import TuttiObjectives

/// Judges a model by how often a translation is the nearest text.
package final class TranslationEvaluator: Evaluator {
    /// Its options.
    struct Settings: EvaluatorSettings {
        var common = CommonEvaluatorSettings()
        var table = TableSettings()
        var reportsWrongMatches = false

        static let options = OptionList<Settings>(
            TableSettings.options("source, target", in: \.table) + [
                Option("print_wrong_matches", \.reportsWrongMatches, "print every source whose match is wrong")
            ])
    }

    package static let className = "TranslationEvaluator"
    package var name: String { common.id }
    package let title = "Translation"
    package var primaryMetric: String { prefixed("mean_accuracy") }
    private let sources: [String]
    private let targets: [String]
    private let common: CommonEvaluatorSettings
    private let reportsWrongMatches: Bool

    /// An evaluator of texts and their translations, of which there must be one.
    ///
    /// `reportsWrongMatches` gives every source whose nearest target is wrong to the context's `report`.
    package init(
        sources: [String], targets: [String], common: CommonEvaluatorSettings = CommonEvaluatorSettings(),
        reportsWrongMatches: Bool = false
    ) {
        precondition(
            sources.count == targets.count && !sources.isEmpty, "\(sources.count) sources, \(targets.count) targets")
        self.sources = sources
        self.targets = targets
        self.common = common
        self.reportsWrongMatches = reportsWrongMatches
    }

    package var metricKeys: [String] {
        ["src2trg_accuracy", "trg2src_accuracy", "mean_accuracy"].map(prefixed)
    }

    package var configuration: JSONObject { common.changes("truncate_dim") }

    package func evaluate(
        model: any SentenceEncoding, ensemble: any Ensemble, context: EvaluationContext
    ) throws -> [Metric] {
        let unique = UniqueTexts(sources + targets)
        let rows = try model.encode(
            unique.texts, prompt: nil, tokensPerBatch: context.tokensPerBatch, ensemble: ensemble)
        return try ensemble.metricsOnRoot {
            let cut = common.cut(rows)
            let source = TranslationSide(texts: sources, cut, Array(unique.places.prefix(sources.count)))
            let target = TranslationSide(texts: targets, cut, Array(unique.places.dropFirst(sources.count)))
            var accuracies = [Double.nan, .nan]
            if cut.flattened.allSatisfy({ !$0.isNaN }) {
                let found = target.nearest(to: source, count: reportsWrongMatches ? 5 : 1)
                accuracies = [
                    target.accuracy(of: found), source.accuracy(of: source.nearest(to: target, count: 1)),
                ]
                if reportsWrongMatches {
                    report(found, source, target, context)
                }
            }
            if common.writesResults {
                let file = ResultsFile(
                    name: common.fileName("translation_evaluation"), columns: ["src2trg", "trg2src"])
                try file.append(accuracies, context)
            }
            return zip(metricKeys, accuracies + [(accuracies[0] + accuracies[1]) / 2]).map { ($0, $1) }
        }
    }

    /// Tells of every source whose nearest target is wrong, in the words of the reference.
    private func report(
        _ found: [[TranslationSide.Match]], _ source: TranslationSide, _ target: TranslationSide,
        _ context: EvaluationContext
    ) {
        func spelled(_ score: Float) -> String { "(Score: \(String(format: "%.4f", Double(score))))" }
        for (place, matches) in found.enumerated() {
            guard let best = matches.first, !target.isRight(best.place, at: place) else { continue }
            let expected = source.cosine(place, target, place)
            var lines = [
                "", "Incorrect  : Source \(place) is most similar to target \(best.place) instead of target \(place)",
                "Source     : \(sources[place])",
                "Pred Target: \(targets[best.place]) \(spelled(best.score))",
                "True Target: \(targets[place]) \(spelled(expected))",
            ]
            lines += matches.map { "\t \($0.place) \(spelled($0.score)) \(targets[$0.place])" }
            context.report(lines.joined(separator: "\n"))
        }
    }
}

/// The texts of one language with their embeddings, of which equal ones are kept once.
private struct TranslationSide {
    /// A text that was found and how near it is.
    typealias Match = (place: Int, score: Float)

    private let keys: [ByteKey]
    private let distinct: Embeddings
    /// For each text its row in `distinct`.
    private let rows: [Int]
    /// For each row of `distinct` its texts in rising order.
    private var texts: [[Int]] = []

    /// The texts, whose embeddings are the rows `places` of `embeddings`.
    init(texts: [String], _ embeddings: Embeddings, _ places: [Int]) {
        keys = texts.map(ByteKey.init)
        var known: [[UInt32]: Int] = [:]
        var firsts: [Int] = []
        var rows: [Int] = []
        for (text, place) in places.enumerated() {
            let bits = embeddings[place].map(\.bitPattern)
            let row = known[bits] ?? firsts.count
            if row == firsts.count {
                known[bits] = row
                firsts.append(place)
                self.texts.append([])
            }
            self.texts[row].append(text)
            rows.append(row)
        }
        self.rows = rows
        distinct = embeddings.gathering(firsts)
    }

    /// For each text of `other` the `count` nearest texts of this side, the nearest first, equally near ones in order.
    func nearest(to other: TranslationSide, count: Int) -> [[Match]] {
        let search = DocumentSearch(queries: other.distinct, similarity: .cosine, k: min(count, distinct.count))
        search.add(distinct)
        let found = search.best()
        let matches = (0..<other.distinct.count).map { query -> [Match] in
            let all = found.best(query).flatMap { hit in texts[hit.document].map { Match($0, hit.score) } }
            let ordered = all.sorted { $0.score != $1.score ? $0.score > $1.score : $0.place < $1.place }
            return Array(ordered.prefix(count))
        }
        return other.rows.map { matches[$0] }
    }

    /// Whether the text `place` reads as the one expected at `expected`.
    func isRight(_ place: Int, at expected: Int) -> Bool { keys[place] == keys[expected] }

    /// The share of matches whose first is the expected text.
    func accuracy(of matches: [[Match]]) -> Double {
        let right = matches.enumerated().filter { place, matches in
            matches.first.map { isRight($0.place, at: place) } ?? false
        }
        return Double(right.count) / Double(matches.count)
    }

    /// The cosine of a text of this side and one of `other`.
    func cosine(_ text: Int, _ other: TranslationSide, _ otherText: Int) -> Float {
        withExtendedLifetime((distinct, other.distinct)) {
            SimilarityFunction.cosine.ofPair(distinct[rows[text]], other.distinct[other.rows[otherText]])
        }
    }
}

extension TranslationEvaluator {
    /// What configurations and the command know of it.
    static let entry = EvaluatorEntry(
        name: className, summary: "accuracy of finding a translation among all texts of the other language",
        data: "a table of two text columns: source, target",
        settings: Settings.self
    ) { (settings, options) throws(TuttiError) in
        let table = try options.table(settings.table, textColumns: 2, meaning: "the source and its translation")
        return TranslationEvaluator(
            sources: table.texts(column: 0), targets: table.texts(column: 1), common: settings.common,
            reportsWrongMatches: settings.reportsWrongMatches)
    }
}
