// `tutti bench step`: a real training step by phases, compared with its dense products alone.
//
// After each step its dense products are computed again alone, for the same number of tokens, with the same provider,
// threads and ranks: the difference is everything else that a step does.

import ArgumentParser
import TuttiCorpus
import TuttiEnsemble
import TuttiFormats
import TuttiGround
import TuttiKernels
import TuttiModels
import TuttiObjectives
import TuttiTraining

struct StepBenchCommand: RankedCommand {
    static let configuration = CommandConfiguration(
        commandName: "step", abstract: "Measure a training step by phases, compared with its dense products alone.",
        discussion: """
            Runs the steps of `tutti train` without logging or saving. FLOPs are 6 * P * T + 12 * L * D * (sum of \
            squared lengths), with P parameters in dense products, T real tokens, L layers of width D. Under mpirun \
            every rank has its own --batch-size rows (weak scaling).
            """)

    @OptionGroup var model: ShapeOptions

    @Option(help: ArgumentHelp("Data file (default: generated triplets of NLI length).", valueName: "file"))
    var data: String?

    @Option(help: ArgumentHelp("Columns of the data file, comma-separated.", valueName: "names"))
    var columns: String?

    @Option(help: ArgumentHelp("Loss.", valueName: "name"))
    var loss = "MultipleNegativesRankingLoss"

    @Option(help: ArgumentHelp("Rows per rank and step.", valueName: "n"))
    var batchSize = 64

    @Option(help: ArgumentHelp("Maximum tokens per text.", valueName: "n"))
    var maxSeqLength: Int?

    @Option(help: ArgumentHelp("Warmup steps.", valueName: "n"))
    var warmup = 2

    @Option(help: ArgumentHelp("How ranks sum gradients (args.exchange).", valueName: "name"))
    var exchange = ExchangeChoice.auto

    @Option(help: ArgumentHelp("Numbers in messages between nodes (args.wire).", valueName: "name"))
    var wire = Wire.fp32

    @Option(help: ArgumentHelp("What must not change the bits (args.deterministic).", valueName: "name"))
    var deterministic = Determinism.run

    @OptionGroup var bench: BenchOptions

    func validate() throws {
        guard batchSize > 0 else { throw ValidationError("--batch-size must be positive") }
        guard warmup > 0 else { throw ValidationError("--warmup must be positive") }
        guard maxSeqLength.map({ $0 >= 3 }) ?? true else {
            throw ValidationError("--max-seq-length must be at least 3")
        }
    }

    func run(on ensemble: any Ensemble) throws {
        let report = try bench.begin("step", on: ensemble)
        let inputs = try ensemble.together("prepare the steps") { try makeInputs(ranks: ensemble.size) }
        let gemm = try bench.compute.chooseGemm(for: inputs.model, ensemble: ensemble)
        let timer = try StepTimer(inputs, ensemble: ensemble)
        try timer.time(warmup) { _ in }
        let shape = ModelShape(plan: inputs.model.encoder.plan)
        var measurement = StepMeasurement(shape: shape, ensemble: ensemble)
        try timer.time(bench.repetitions) { try measurement.add($0) }
        let source = inputs.trainDataset.source
        let name = model.model ?? "random weights"
        try report.note("\(name), \(source), \(batchSize) rows per rank and step, GEMM \(gemm)")
        try measurement.write(to: report, batchSize: batchSize)
    }

    private func makeInputs(ranks: Int) throws -> TrainingInputs {
        let encoder: SentenceEncoder =
            if let path = model.model {
                try SentenceEncoder.load(path)
            } else {
                try RandomModel.load(try model.shape())
            }
        if let maxSeqLength { encoder.maximumLength = min(maxSeqLength, encoder.encoder.longestSequence) }
        let steps = warmup + bench.repetitions
        let table: Table
        if let data {
            let names = columns.map { $0.split(separator: ",").map(String.init) }
            table = try loadTable(DatasetSpecification(path: data, columns: names))
        } else {
            var texts = try SampleTexts(tokenizer: encoder.tokenizer)
            table = try texts.triplets(steps * batchSize * ranks)
        }
        var arguments = TrainingArguments()
        arguments.perDeviceTrainBatchSize = batchSize
        arguments.batchSampler = SequentialBatchSampler()
        arguments.dataloaderDropLast = table.rowCount >= batchSize * ranks
        arguments.maxSteps = steps
        arguments.learningRate = 2e-5
        (arguments.exchange, arguments.wire, arguments.deterministic) = (exchange, wire, deterministic)
        arguments.globalTrainBatchSize = batchSize * ranks
        return TrainingInputs(
            model: encoder, arguments: arguments, trainDataset: table, loss: try makeLoss(table), outputDirectory: "")
    }

    private func makeLoss(_ table: Table) throws -> ConfiguredLoss {
        let entry: LossEntry
        let made: ConfiguredLoss
        do {
            entry = try LossRegistry.entry(named: loss)
            made = try LossRegistry.make(name: loss)
        } catch {
            throw TuttiError(.usage, "choose the loss", "--loss \(loss)", error.problem, hint: error.hint)
        }
        guard entry.inputs.contains(where: { $0.accepts(columns: table.columnNames.count) }) else {
            throw TuttiError(
                .usage, "fit the data to the loss", table.source,
                "\(loss) takes \(entry.inputs.map(\.words).joined(separator: " or ")), but the data has \(table.columnNames.count) text columns",
                hint: "Choose them with --columns.")
        }
        return made
    }
}

extension ExchangeChoice: ExpressibleByArgument {}
extension Wire: ExpressibleByArgument {}
extension Determinism: ExpressibleByArgument {}
