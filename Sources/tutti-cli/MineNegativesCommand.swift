// `tutti mine-negatives`: pairs of a data set -> rows with hard negatives that a model finds among all texts.

import ArgumentParser
import Foundation
import TuttiCorpus
import TuttiEnsemble
import TuttiEvaluation
import TuttiFormats
import TuttiGround
import TuttiKernels
import TuttiModels
import TuttiReports

extension NegativeSampling: ExpressibleByArgument {}
extension MinedFormat: ExpressibleByArgument {}

struct MineNegativesCommand: RankedCommand {
    static let configuration = CommandConfiguration(
        commandName: "mine-negatives", abstract: "Add hard negatives to a data set of pairs.",
        discussion: """
            Encodes all distinct texts of the positive column (and of --corpus) and takes for every anchor the most \
            similar ones that are not its positives. An anchor in several rows has several positives.
            Finished parts are kept in OUTPUT.work: the same command resumes a killed one, and one with other margins \
            and --overwrite reuses embeddings and search results. Remove the folder when you are done.
            The output is the same for any number of ranks. --gemm auto means tutti for this command, so that timing \
            does not decide the last bits.
            """)

    @Option(help: ArgumentHelp("Model folder or hub id.", valueName: "path"))
    var model: String

    @Option(help: ArgumentHelp("Data set of pairs: a table, as .csv or .parquet.", valueName: "file"))
    var input: String

    @Option(help: ArgumentHelp("Output file; the extension selects the format.", valueName: "file.csv|.jsonl"))
    var output: String

    @OptionGroup(title: "Columns and corpus") var columns: MiningColumns
    @OptionGroup(title: "Selection") var selection: MiningSelection
    @OptionGroup(title: "Prompts") var prompts: MiningPrompts

    @Option(
        help: ArgumentHelp(
            "Row format.", valueName: MinedFormat.allCases.map(\.rawValue).joined(separator: "|")))
    var outputFormat = MinedFormat.triplet

    @Flag(help: "Add similarities to the texts, or write them instead of labels.")
    var outputScores = false

    @Option(help: ArgumentHelp("Texts per encoding batch.", valueName: "n"))
    var batchSize = 32

    @Option(help: ArgumentHelp("Refused: models that rescore candidates are not supported.", valueName: "path"))
    var crossEncoder: String?

    @Flag(help: "Refused: the search is always exact.")
    var useFaiss = false

    @Flag(help: "Replace an output made with other options, data or weights.")
    var overwrite = false

    @Flag(help: "Print the statistics as one JSON object.")
    var json = false

    @OptionGroup var encoding: EncodingOptions
    @OptionGroup var compute: ComputeOptions
    @OptionGroup var lock: LockOptions

    func validate() throws {
        if let crossEncoder {
            throw ValidationError(
                "--cross-encoder \(crossEncoder): cross-encoders are not supported; mine "
                    + "with the similarity of --model alone")
        }
        if useFaiss {
            throw ValidationError(
                "--use-faiss: an approximate or half-precision index would change the result; leave it out: the exact "
                    + "search is spread over all ranks")
        }
    }

    func run(on ensemble: any Ensemble) throws {
        _ = try RankLayout.apply(compute, ensemble: ensemble)
        try ModelHub.fetch([model], among: ensemble)
        let (encoder, miner) = try ensemble.together("load model and texts") {
            let data = try columns.load(input) { if ensemble.isRoot { TableOptions.notice($0) } }
            let encoder = try SentenceEncoder.load(model)
            if ensemble.isRoot { encoder.notices.forEach(TableOptions.notice) }
            let miner = try HardNegativeMiner(
                data.pairs, options: try options(encoder), anchorName: data.anchorName,
                positiveName: data.positiveName, output: output)
            return (encoder, miner)
        }
        // If the fastest library were measured, machine load would decide the last bits.
        if compute.gemm == .auto {
            Gemm.choice = GemmChoice(.tutti)
        } else {
            try compute.chooseGemm(for: encoder, ensemble: ensemble)
        }
        try encoding.apply(to: encoder, ensemble: ensemble)
        if ensemble.isRoot, !json { for line in miner.plan { try Output.line(line) } }
        let display = ProgressDisplay()
        let times = try lock.times
        let outcome = try miner.mine(
            model: encoder, modelDigest: try encoder.contentDigest(), ensemble: ensemble, overwrites: overwrite,
            lockTimes: times,
            waiting: { TableOptions.notice($0) }, observe: display.show)
        guard ensemble.isRoot else { return }
        if json {
            var object = outcome.statistics
            object.set("output", .string(output))
            object.set("was_finished", .bool(outcome.wasFinished))
            try Output.line(JSONValue.object(object).serialized())
            return
        }
        for line in outcome.report { try Output.line(line) }
        let rows = outcome.statistics["rows"]?.int ?? 0
        try Output.line(
            outcome.wasFinished
                ? "\(output): already finished, \(rows) rows; nothing to do" : "\(output): \(rows) rows")
    }

    private func options(_ model: SentenceEncoder) throws(TuttiError) -> MiningOptions {
        var options = selection.options
        options.format = outputFormat
        options.writesScores = outputScores
        options.batchSize = batchSize
        options.queryPrompt = try prompts.query(model)
        options.documentPrompt = try prompts.corpus(model)
        return options
    }
}

extension ProgressDisplay {
    /// Shows the progress of mining.
    fileprivate func show(_ progress: MiningProgress) {
        switch progress {
        case .documents(let done, let total): worked(TaskProgress("Encoding documents", done: done, of: total))
        case .queries(let done, let total): worked(TaskProgress("Searching queries", done: done, of: total))
        }
    }
}
