// Does the model embed translations where a teacher embeds the originals, for several pairs of languages?
//
// What: for each combination (source column, target column), over the rows where both have text, 100 times the mean
// squared difference of the teacher's embeddings of the sources and the model's of the targets; the metric is the mean
// over combinations. Rounded to single precision where the reference rounds.
//
//   keys  <name>_negative_mse
//   file  mse_evaluation[_name]_results.csv: epoch, steps, <source>-<target> ...
//
// Reference: sentence_transformers/sentence_transformer/evaluation/mse_from_dataframe.py.

import TuttiCorpus
import TuttiEnsemble
import TuttiFormats
import TuttiGround
import TuttiModels

/// Judges a model by its distance from a teacher on texts in several languages.
package final class MSEEvaluatorFromDataFrame: Evaluator {
    /// Its options.
    struct Settings: EvaluatorSettings {
        var common = CommonEvaluatorSettings()
        var table = TableSettings()
        var teacher = TeacherSettings()
        var combinations = ColumnPairs()

        static let options = OptionList<Settings>(
            TableSettings.options("of the languages, in any order", in: \.table)
                + TeacherSettings.options.lifted(to: \.teacher) + [
                    Option(
                        "combinations", \.combinations,
                        "pairs of columns: source for the teacher, target for the model", isRequired: true)
                ])
    }

    /// Texts of one pair of languages, row by row.
    package struct Combination: Sendable {
        /// The name of the source language, as its column has it.
        package let source: String
        /// The name of the target language.
        package let target: String
        /// Texts for the teacher.
        package let sources: [String]
        /// Texts for the model.
        package let targets: [String]

        /// The rows of two columns in which both have more than white space.
        package init(source: String, target: String, sources: [String], targets: [String]) {
            precondition(sources.count == targets.count, "\(sources.count) sources, \(targets.count) targets")
            let rows = sources.indices.filter { !isBlank(sources[$0]) && !isBlank(targets[$0]) }
            self.source = source
            self.target = target
            self.sources = rows.map { sources[$0] }
            self.targets = rows.map { targets[$0] }
        }
    }

    package static let className = "MSEEvaluatorFromDataFrame"
    package var name: String { common.id }
    package let title = "Knowledge Distillation"
    package var primaryMetric: String { prefixed("negative_mse") }
    private let combinations: [Combination]
    private let teacher: TeacherEmbeddings
    private let common: CommonEvaluatorSettings

    /// An evaluator of `combinations`, each of which must have a row.
    ///
    /// The teacher encodes the sources by `compute` at the first evaluation and is let go then.
    package init(
        _ combinations: [Combination], teacher: any SentenceEncoding, compute: FrozenCompute = .fp32,
        common: CommonEvaluatorSettings = CommonEvaluatorSettings()
    ) {
        precondition(!combinations.isEmpty && combinations.allSatisfy { !$0.sources.isEmpty }, "no rows to evaluate")
        self.combinations = combinations
        self.teacher = TeacherEmbeddings(
            of: combinations.flatMap(\.sources), by: teacher, compute: compute, common: common)
        self.common = common
    }

    package var metricKeys: [String] { [primaryMetric] }

    package func evaluate(
        model: any SentenceEncoding, ensemble: any Ensemble, context: EvaluationContext
    ) throws -> [Metric] {
        let wanted = try teacher.embeddings(ensemble, context)
        let unique = UniqueTexts(combinations.flatMap(\.targets))
        let rows = try model.encode(
            unique.texts, prompt: nil, tokensPerBatch: context.tokensPerBatch, ensemble: ensemble)
        let cut = common.cut(rows)
        try teacher.check(cut)
        return try ensemble.metricsOnRoot {
            var errors: [Float] = []
            var start = 0
            for combination in combinations {
                let range = Array(start..<start + combination.targets.count)
                let found = cut.gathering(range.map { unique.places[$0] })
                errors.append(wanted.gathering(range).meanSquaredError(found, times: 100))
                start += range.count
            }
            if common.writesResults {
                let file = ResultsFile(
                    name: common.fileName("mse_evaluation"),
                    columns: combinations.map { "\($0.source)-\($0.target)" })
                try file.append(errors.map(ResultsFile.digits), context)
            }
            return [(primaryMetric, -Double(errors.reduce(0, +) / Float(errors.count)))]
        }
    }
}

/// True for a text of white space only, as Python's str.strip sees it.
private func isBlank(_ text: String) -> Bool {
    text.unicodeScalars.allSatisfy { $0.properties.isWhitespace || (0x1C...0x1F).contains($0.value) }
}

extension MSEEvaluatorFromDataFrame {
    /// What configurations and the command know of it.
    static let entry = EvaluatorEntry(
        name: className, summary: "squared distance from the embeddings of a teacher, for pairs of languages",
        data: "a table of text columns, one a language; rows with an empty text are left out of its pairs",
        settings: Settings.self
    ) { (settings, options) throws(TuttiError) in
        let table = try options.table(settings.table, textColumns: 1, meaning: "a column a language")
        var combinations: [Combination] = []
        for (source, target) in settings.combinations.pairs {
            let combination = Combination(
                source: source, target: target, sources: table.texts(column: try table.column(named: source)),
                targets: table.texts(column: try table.column(named: target)))
            guard !combination.sources.isEmpty else {
                throw TuttiError(
                    .data, "read evaluation data", table.source,
                    "has no row with text in both '\(source)' and '\(target)'")
            }
            combinations.append(combination)
        }
        let (teacher, compute) = try options.teacher(settings.teacher)
        return MSEEvaluatorFromDataFrame(
            combinations, teacher: teacher, compute: compute, common: settings.common)
    }
}

/// Pairs of names of columns, each pair once.
struct ColumnPairs: OptionValue {
    /// The pairs.
    private(set) var pairs: [(source: String, target: String)] = []

    /// No pair.
    init() {}

    /// What a configuration writes, in words.
    static var words: String { "a list of pairs of strings" }

    /// Reads a list of lists of two names.
    init(option json: JSONValue) throws(OptionProblem) {
        func malformed(_ problem: String) -> OptionProblem {
            OptionProblem(problem, hint: "Write pairs of columns, as in [[en, de], [en, fr]].")
        }
        guard let list = json.array, !list.isEmpty else { throw malformed("a list of pairs of columns is needed") }
        for element in list {
            let names = element.array?.compactMap(\.string) ?? []
            guard names.count == 2, element.array?.count == 2 else {
                throw malformed("\(element.serialized()) is not a pair of columns")
            }
            guard !pairs.contains(where: { $0 == (names[0], names[1]) }) else {
                throw malformed("names \(element.serialized()) twice")
            }
            pairs.append((names[0], names[1]))
        }
    }

    /// A list of lists of two names.
    var optionJSON: JSONValue { .array(pairs.map { [$0.source, $0.target].optionJSON }) }
}
