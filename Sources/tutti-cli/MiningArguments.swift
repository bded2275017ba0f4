// Groups of options of `tutti mine-negatives`; names and defaults are the reference's.

import ArgumentParser
import TuttiCorpus
import TuttiEvaluation
import TuttiFormats
import TuttiGround
import TuttiModels

/// Where anchors, positives and further documents come from.
struct MiningColumns: ParsableArguments {
    @Option(help: ArgumentHelp("Column of the anchors (default: the first text column).", valueName: "name"))
    var anchorColumnName: String?

    @Option(help: ArgumentHelp("Column of the positives (default: the second text column).", valueName: "name"))
    var positiveColumnName: String?

    @Option(
        help: ArgumentHelp(
            "More candidate negatives: lines of text, or a data file; the positives are always candidates.",
            valueName: "file"))
    var corpus: String?

    @Option(help: ArgumentHelp("Column to read if the corpus is a data file.", valueName: "name"))
    var corpusColumn: String?

    @OptionGroup(title: "Table format") var table: TableOptions

    /// Reads the data set at `path`, and the corpus; `notice` gets the warnings.
    ///
    /// Throws: `.missingFile`; `.data` naming file and place; `.usage` without two columns.
    func load(
        _ path: String, notice: (String) -> Void
    ) throws(TuttiError) -> (pairs: MiningPairs, anchorName: String, positiveName: String) {
        // Two named columns are read alone: the others need not be text.
        var named: [String]?
        if let anchorColumnName, let positiveColumnName, anchorColumnName != positiveColumnName {
            named = [anchorColumnName, positiveColumnName]
        }
        let options = try self.table.readerOptions()
        let table = try loadTable(DatasetSpecification(path: path, columns: named, options: options))
        for line in table.notices { notice(line) }
        let anchor = try anchorColumnName.map { name throws(TuttiError) in try table.column(named: name) } ?? 0
        let positive: Int
        if let positiveColumnName {
            positive = try table.column(named: positiveColumnName)
        } else {
            guard table.columnNames.count >= 2 else {
                throw TuttiError(
                    .usage, "read pairs", path,
                    "has only the text column '\(table.columnNames[0])'; anchors and positives are needed")
            }
            positive = 1
        }
        guard anchor != positive else {
            throw TuttiError(
                .usage, "read pairs", path, "anchors and positives are both column '\(table.columnNames[anchor])'",
                hint: "Name both with --anchor-column-name and --positive-column-name.")
        }
        guard corpus != nil || corpusColumn == nil else {
            throw TuttiError(
                .usage, "read the corpus", "--corpus-column", "needs --corpus")
        }
        var further: [String] = []
        if let corpus {
            // The table options apply to both files, but not to a corpus of lines or JSON.
            let isSeparated = [".csv", ".tsv"].contains { corpus.lowercased().hasSuffix($0) }
            further = try loadTextColumn(
                corpus, column: corpusColumn, options: isSeparated ? options : ReaderOptions(), notice: notice)
        }
        let pairs = MiningPairs(
            anchors: table.texts(column: anchor), positives: table.texts(column: positive), corpus: further)
        return (pairs, table.columnNames[anchor], table.columnNames[positive])
    }
}

/// Which candidates become negatives.
struct MiningSelection: ParsableArguments {
    @Option(help: ArgumentHelp("Most similar candidates to skip.", valueName: "n"))
    var rangeMin = 0

    @Option(
        help: ArgumentHelp(
            "Candidates to consider, including skipped ones (default: derived from the other options).",
            valueName: "n"))
    var rangeMax: Int?

    @Option(parsing: .unconditional, help: ArgumentHelp("Maximum similarity of a negative.", valueName: "x"))
    var maxScore: Double?

    @Option(parsing: .unconditional, help: ArgumentHelp("Minimum similarity of a negative.", valueName: "x"))
    var minScore: Double?

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp("How much less similar a negative must be than the positive.", valueName: "x"))
    var absoluteMargin: Double?

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp("The same, as a fraction of the positive's similarity.", valueName: "x"))
    var relativeMargin: Double?

    @Option(help: ArgumentHelp("Negatives per anchor.", valueName: "n"))
    var numNegatives = 3

    @Option(
        help: ArgumentHelp(
            "The most similar candidates, or random ones.",
            valueName: NegativeSampling.allCases.map(\.rawValue).joined(separator: "|")))
    var samplingStrategy = NegativeSampling.top

    @Option(help: ArgumentHelp("Seed of the random choice.", valueName: "n"))
    var seed: UInt64 = 42

    @Flag(help: "Keep positives among the candidates; the output is then n-tuple, in ranking order.")
    var includePositives = false

    /// The miner's options.
    var options: MiningOptions {
        var options = MiningOptions()
        options.rangeMinimum = rangeMin
        options.rangeMaximum = rangeMax
        options.maximumScore = maxScore
        options.minimumScore = minScore
        options.absoluteMargin = absoluteMargin
        options.relativeMargin = relativeMargin
        options.negatives = numNegatives
        options.sampling = samplingStrategy
        options.seed = seed
        options.includesPositives = includePositives
        return options
    }
}

/// Prompts prepended to texts; by default the model's "query" and "document".
struct MiningPrompts: ParsableArguments {
    @Option(help: ArgumentHelp("Prompt prepended to every anchor.", valueName: "text"))
    var queryPrompt: String?

    @Option(help: ArgumentHelp("Name of the model's prompt for anchors.", valueName: "name"))
    var queryPromptName: String?

    @Option(help: ArgumentHelp("Prompt prepended to every document.", valueName: "text"))
    var corpusPrompt: String?

    @Option(help: ArgumentHelp("Name of the model's prompt for documents.", valueName: "name"))
    var corpusPromptName: String?

    /// The prompt of anchors, nil for the model's own.
    func query(_ model: SentenceEncoder) throws(TuttiError) -> String? {
        if let queryPrompt { return queryPrompt }
        return try prompt("--query-prompt-name", queryPromptName, model)
    }

    /// The prompt of documents, nil for the model's own.
    func corpus(_ model: SentenceEncoder) throws(TuttiError) -> String? {
        if let corpusPrompt { return corpusPrompt }
        return try prompt("--corpus-prompt-name", corpusPromptName, model)
    }

    private func prompt(_ option: String, _ name: String?, _ model: SentenceEncoder) throws(TuttiError) -> String? {
        guard let name else { return nil }
        // Every model has these two, empty unless its folder says otherwise.
        let known = ["document": "", "query": ""].merging(model.prompts) { _, own in own }
        guard let prompt = known[name] else {
            throw TuttiError(
                .usage, "choose a prompt", "\(option) \(name)", "the model has no such prompt",
                hint: TuttiError.hint(unknown: name, known: known.keys.sorted()))
        }
        return prompt
    }
}
