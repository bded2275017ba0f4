// Groups of options of `tutti mine-negatives`; names and defaults are the reference's.

import ArgumentParser
import TuttiCorpus
import TuttiEvaluation
import TuttiFormats
import TuttiGround
import TuttiModels

/// Where anchors, positives and further documents come from.
struct MiningColumns: ParsableArguments {
    @Option(help: ArgumentHelp("Column of the anchors; the first text column by default.", valueName: "name"))
    var anchorColumnName: String?

    @Option(help: ArgumentHelp("Column of the positives; the second text column by default.", valueName: "name"))
    var positiveColumnName: String?

    @Option(
        help: ArgumentHelp(
            "Further texts that may be negatives: lines of text, or a data file; the positives are always among them.",
            valueName: "file"))
    var corpus: String?

    @Option(help: ArgumentHelp("The column to read of a corpus that is a data file.", valueName: "name"))
    var corpusColumn: String?

    @OptionGroup(title: "How a table is written") var table: TableOptions

    /// Reads the data set at `path`, and the corpus; `notice` gets what is odd in them.
    ///
    /// Throws: `.missingFile`; `.data` naming file and place; `.usage` when there are no two columns.
    func load(
        _ path: String, notice: (String) -> Void
    ) throws(TuttiError) -> (pairs: MiningPairs, anchorName: String, positiveName: String) {
        // Two named columns are read alone: the others need not be texts.
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
                    "has the one text column '\(table.columnNames[0])', where anchors and positives are needed")
            }
            positive = 1
        }
        guard anchor != positive else {
            throw TuttiError(
                .usage, "read pairs", path, "anchors and positives are both the column '\(table.columnNames[anchor])'",
                hint: "Name both with --anchor-column-name and --positive-column-name.")
        }
        guard corpus != nil || corpusColumn == nil else {
            throw TuttiError(
                .usage, "read the corpus", "--corpus-column", "names a column, but there is no --corpus")
        }
        var further: [String] = []
        if let corpus {
            // The options of tables are for both files; a corpus of lines, or of JSON, is none.
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
            "Candidates to look at, the skipped ones included; derived from the other options by default.",
            valueName: "n"))
    var rangeMax: Int?

    @Option(parsing: .unconditional, help: ArgumentHelp("Similarity above which a candidate is none.", valueName: "x"))
    var maxScore: Double?

    @Option(parsing: .unconditional, help: ArgumentHelp("Similarity below which a candidate is none.", valueName: "x"))
    var minScore: Double?

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp("How much less similar than the positive a negative must be.", valueName: "x"))
    var absoluteMargin: Double?

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp("The same as a share of the positive's similarity.", valueName: "x"))
    var relativeMargin: Double?

    @Option(help: ArgumentHelp("Negatives for each anchor.", valueName: "n"))
    var numNegatives = 3

    @Option(
        help: ArgumentHelp(
            "The most similar candidates, or a draw.",
            valueName: NegativeSampling.allCases.map(\.rawValue).joined(separator: "|")))
    var samplingStrategy = NegativeSampling.top

    @Option(help: ArgumentHelp("Seed of the draw.", valueName: "n"))
    var seed: UInt64 = 42

    @Flag(help: "Keep positives among the candidates; the output is then n-tuple, in the order of the ranking.")
    var includePositives = false

    /// The options as the miner takes them.
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

/// What is put before texts; the model's prompts "query" and "document" by default.
struct MiningPrompts: ParsableArguments {
    @Option(help: ArgumentHelp("A prompt put before every anchor.", valueName: "text"))
    var queryPrompt: String?

    @Option(help: ArgumentHelp("A prompt of the model for anchors, by name.", valueName: "name"))
    var queryPromptName: String?

    @Option(help: ArgumentHelp("A prompt put before every document.", valueName: "text"))
    var corpusPrompt: String?

    @Option(help: ArgumentHelp("A prompt of the model for documents, by name.", valueName: "name"))
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
