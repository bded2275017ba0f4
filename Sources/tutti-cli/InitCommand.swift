// `tutti init DATA`: looks at a data set and writes a folder with a commented configuration that trains on it.

import ArgumentParser
import Foundation
import TuttiCorpus
import TuttiEnsemble
import TuttiFormats
import TuttiGround
import TuttiLaunch
import TuttiModels
import TuttiTraining

struct InitCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "init", abstract: "Look at a data set and write a configuration that trains on it.",
        discussion: """
            Finds the columns' order, a loss and an evaluator that fit them, a length that cuts few texts, and a batch \
            that fits the memory of this machine. Held-out rows (--dev) go to dev.jsonl, and no anchor of them is in \
            train.jsonl. Read the configuration, then: tutti explain CONFIG, tutti launch train CONFIG.
            """)

    @Argument(help: ArgumentHelp("Data set: a file that `tutti train` reads.", valueName: "file"))
    var data: String

    @Option(help: ArgumentHelp("Model folder or hub id to start from.", valueName: "path"))
    var model = "sentence-transformers/all-MiniLM-L6-v2"

    @Option(help: ArgumentHelp("Folder for configuration and rows (default: the file's name).", valueName: "folder"))
    var output: String?

    @Option(help: ArgumentHelp("Columns in use, comma-separated, label included (default: all).", valueName: "names"))
    var columns: String?

    @Option(help: ArgumentHelp("Share of the rows that is held out; 0 trains on all.", valueName: "share"))
    var dev = 0.05

    @Flag(help: "Replace a folder's configuration and rows.")
    var overwrite = false

    @OptionGroup(title: "Table format") var table: TableOptions

    func validate() throws {
        guard (0..<1).contains(dev) else { throw ValidationError("--dev \(dev): a share is from 0 to below 1") }
    }

    private var folder: String {
        output ?? URL(fileURLWithPath: data).deletingPathExtension().lastPathComponent + "-tutti"
    }

    func run() throws {
        let names = columns?.split(separator: ",").map { String($0) }
        let rows = try loadTable(DatasetSpecification(path: data, columns: names, options: try table.readerOptions()))
        rows.notices.forEach(TableOptions.notice)
        let shape = try DataShape(rows)
        let encoder = try knownModel()
        let file = folder + "/train.yaml"
        if FileManager.default.fileExists(atPath: file), !overwrite {
            throw TuttiError(
                .usage, "write a configuration", file, "exists", hint: "Choose another --output, or pass --overwrite.")
        }
        let isSplit = dev > 0 && shape.judge != nil
        if isSplit {
            // Read again with the columns that are kept, in their order.
            let kept = try loadTable(
                DatasetSpecification(path: data, columns: shape.columns, options: try table.readerOptions()))
            try RowSplit(
                rows: kept, folder: folder, dev: dev, test: 0, together: [0], beir: shape.isSearchable,
                overwrites: overwrite
            ).write()
        }
        var draft = ConfigurationDraft(
            data: data, rows: rows, shape: shape, model: model, folder: folder, isSplit: isSplit)
        if let encoder { try draft.fit(encoder, freeBytes: try Machine().freeMegabytes << 20) }
        draft.metric = try mainMetric(draft, encoder)
        try Output.makeFolder(folder)
        try AtomicWrite.file(path: file, text: draft.text)
        for (name, reason) in shape.leftOut { TableOptions.notice("column '\(name)' is left out: \(reason)") }
        try Output.line("\(file): \(shape.loss["name"]?.string ?? "") on \(shape.columns.joined(separator: ", "))")
        try Output.line("Next: tutti explain \(file)")
    }

    /// The model, if it is on this machine.
    private func knownModel() throws -> SentenceEncoder? {
        do throws(TuttiError) {
            return try SentenceEncoder.load(model)
        } catch {
            guard error.kind == .missingFile else { throw error }
            TableOptions.notice("\(model) is not on this machine: length and batch are guesses")
            return nil
        }
    }

    /// The evaluator's main metric, which chooses the best model; nil where none is known.
    private func mainMetric(_ draft: ConfigurationDraft, _ encoder: SentenceEncoder?) throws -> String? {
        guard let encoder, draft.isSplit else { return nil }
        let file = try YAMLConfiguration(text: draft.text, source: folder + "/train.yaml")
        let configuration = try TrainingConfiguration(
            file.root, places: file.keyPlaces, purpose: .evaluation
        ) { _ in }
        // The head that this one judges is made by training.
        if configuration.evaluators.first?.name == "LabelAccuracyEvaluator" { return "dev_accuracy" }
        return try configuration.makeEvaluators(model: encoder).evaluators.first?.primaryMetric
    }
}
