// An evaluator written outside the package: a class, its options, one call of `add`. Only public names are used here.

import Foundation
import TestSupport
import Testing
import TuttiEnsemble
import TuttiEvaluation
import TuttiGround
import TuttiModels
import TuttiObjectives

/// By how much the mean similarity of similar pairs is above that of the others.
private final class SimilarityGapEvaluator: Evaluator {
    struct Settings: EvaluatorSettings {
        var common = CommonEvaluatorSettings()
        var table = TableSettings()
        var limit = 0.5
        var similarity: SimilarityFunction?

        static let options = OptionList<Settings>(
            TableSettings.options("sentence1, sentence2, score", in: \.table) + [
                Option("limit", \.limit, "the score from which on a pair is similar", check: .within(0...1)),
                Option("similarity", \.similarity, "the similarity function; by default the model's"),
            ])
    }

    static let className = "SimilarityGapEvaluator"
    let title = "Similarity Gap"
    var name: String { settings.common.id }
    var primaryMetric: String { prefixed("gap") }
    var metricKeys: [String] { [primaryMetric] }
    var configuration: JSONObject { settings.changes("limit").merging(settings.common.changes("truncate_dim")) }
    private let firsts: [String]
    private let seconds: [String]
    private let scores: [Double]
    private let similarity: SimilarityFunction
    private let settings: Settings

    init(
        firsts: [String], seconds: [String], scores: [Double], similarity: SimilarityFunction, settings: Settings
    ) {
        (self.firsts, self.seconds, self.scores) = (firsts, seconds, scores)
        (self.similarity, self.settings) = (similarity, settings)
    }

    func evaluate(
        model: any SentenceEncoding, ensemble: any Ensemble, context: EvaluationContext
    ) throws -> [Metric] {
        let rows = try model.encode(
            firsts + seconds, prompt: nil, tokensPerBatch: context.tokensPerBatch, ensemble: ensemble)
        return try ensemble.metricsOnRoot {
            let cut = settings.common.cut(rows)
            let values = similarity.ofPairs(
                cut.gathering(Array(0..<firsts.count)), cut.gathering(Array(firsts.count..<cut.count)))
            func mean(_ isSimilar: Bool) -> Double {
                let own = zip(values, scores).filter { ($0.1 >= settings.limit) == isSimilar }.map { Double($0.0) }
                return own.reduce(0, +) / Double(own.count)
            }
            let gap = mean(true) - mean(false)
            if settings.common.writesResults {
                try ResultsFile(name: "gap_\(name).csv", columns: ["gap"]).append([gap], context)
            }
            return [(primaryMetric, gap)]
        }
    }

    static let entry = EvaluatorEntry(
        name: className, summary: "the similarity of similar pairs less that of the others",
        data: "a table of two text columns and a score", settings: Settings.self
    ) { (settings, options) throws(TuttiError) in
        guard let similarity = settings.similarity ?? SimilarityFunction(rawValue: options.modelSimilarity) else {
            throw options.error("similarity", "the model's own is not known", hint: "Name one.")
        }
        let table = try options.table(settings.table, textColumns: 2, meaning: "the two sentences")
        return SimilarityGapEvaluator(
            firsts: table.texts(column: 0), seconds: table.texts(column: 1), scores: try table.scores(),
            similarity: similarity, settings: settings)
    }
}

/// Embeds "x y" as (x, y).
private final class CoordinateModel: SentenceEncoding {
    let similarity = "dot"
    let prompts: [String: String] = [:]

    func encode(_ texts: [String], prompt: String?, tokensPerBatch: Int, ensemble: (any Ensemble)?) throws -> Embeddings
    {
        Embeddings(rows: texts.flatMap { $0.split(separator: " ").map { Float($0) ?? .nan } }, dimension: 2)
    }
}

/// The registry is the process's: one test adds, and takes nothing away that others look at.
@Suite(.serialized) struct OutsideEvaluatorTests {
    private let rows = "a,b,score\n1 0,1 5,1\n2 0,3 7,0.4\n"

    private func make(_ folder: String, _ more: JSONObject = [:]) throws -> any Evaluator {
        EvaluatorRegistry.add(SimilarityGapEvaluator.entry)
        try rows.write(toFile: folder + "/rows.csv", atomically: true, encoding: .utf8)
        let given: JSONObject = ["path": .string(folder + "/rows.csv"), "id": .string("dev")]
        let options = EvaluatorOptions(place: "evaluators[0]", object: given.merging(more), modelSimilarity: "dot")
        return try EvaluatorRegistry.make(name: "SimilarityGapEvaluator", options: options)
    }

    private func failure(_ folder: String, _ more: JSONObject) -> TuttiError? {
        do {
            _ = try make(folder, more)
            return nil
        } catch { return error as? TuttiError }
    }

    @Test func itIsMadeByNameAndJudges() throws {
        try withTemporaryDirectory { folder in
            for world in [1, 2] {
                let metrics = try LocalEnsemble.run(world: world) { ensemble in
                    let evaluator = try make(folder, ["truncate_dim": .integer(1), "limit": .number(0.9)])
                    #expect(evaluator.configuration == ["limit": .number(0.9), "truncate_dim": .integer(1)])
                    let context = EvaluationContext(outputDirectory: folder, epoch: 1, step: 10)
                    return try evaluator.evaluate(model: CoordinateModel(), ensemble: ensemble, context: context)
                        .map { ($0.key, $0.value) }
                }
                // 1 * 1 - 2 * 3 by the dot product of the model
                for own in metrics { #expect(own.map(\.0) == ["dev_gap"] && own.map(\.1) == [-5]) }
            }
            #expect(
                try String(contentsOfFile: folder + "/eval/gap_dev.csv", encoding: .utf8)
                    == "epoch,steps,gap\r\n1.0,10,-5.0\r\n")
            let distance = try make(
                folder, ["similarity": .string("manhattan"), "limit": .string("1"), "write_csv": .bool(false)])
            let whole = try distance.evaluate(
                model: CoordinateModel(), ensemble: LocalEnsemble.single(), context: EvaluationContext())
            #expect(whole.map(\.value) == [3])
        }
    }

    @Test func itsOptionsAreCheckedAndListed() throws {
        try withTemporaryDirectory { folder in
            let unknown = failure(folder, ["limits": .number(1)])
            #expect(unknown?.kind == .usage && unknown?.subject == "evaluators[0].limits")
            #expect(unknown?.hint?.contains("'limit'") == true)
            #expect(failure(folder, ["limit": .number(2)])?.subject == "evaluators[0].limit")
            #expect(failure(folder, ["truncate_dim": .integer(0)])?.subject == "evaluators[0].truncate_dim")
            #expect(failure(folder, ["path": .string(folder + "/none.csv")])?.kind == .missingFile)
            #expect(failure(folder, ["path": .null])?.problem.contains("is missing") == true)
            let entry = try #require(EvaluatorRegistry.all.last)
            #expect(EvaluatorRegistry.all.filter { $0.name == entry.name }.count == 1, "added twice, there once")
            #expect(
                entry.options.map(\.name) == [
                    "path", "split", "columns", "rename", "rows", "filter", "delimiter", "quote", "header", "limit",
                    "similarity",
                ])
            let limit = try #require(entry.options.first { $0.name == "limit" })
            #expect(limit.words == "a number, from 0 to 1" && limit.defaultValue == .number(0.5))
            #expect(entry.options[0].isRequired && entry.options[1].defaultValue == .null)
        }
    }
}
