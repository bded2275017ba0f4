// What benchmarks of whole steps train: options for model, data, loss, batch and exchange, and the run that they give.

import ArgumentParser
import TuttiCorpus
import TuttiEnsemble
import TuttiGround
import TuttiModels
import TuttiObjectives
import TuttiTraining

/// Options that choose the steps of a benchmark.
struct StepOptions: ParsableArguments {
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

    @Option(help: ArgumentHelp("Where optimizer state is kept (args.optimizer_sharding).", valueName: "name"))
    var optimizerSharding = OptimizerSharding.node

    @Option(help: ArgumentHelp("What must not change the bits (args.deterministic).", valueName: "name"))
    var deterministic = Determinism.run

    func validate() throws {
        guard batchSize > 0 else { throw ValidationError("--batch-size must be positive") }
        guard warmup > 0 else { throw ValidationError("--warmup must be positive") }
        guard maxSeqLength.map({ $0 >= 3 }) ?? true else {
            throw ValidationError("--max-seq-length must be at least 3")
        }
    }

    /// A run of `steps` steps of `batchSize` rows on each of `ranks` ranks.
    func inputs(steps: Int, ranks: Int) throws -> TrainingInputs {
        let encoder: SentenceEncoder =
            if let path = model.model {
                try SentenceEncoder.load(path)
            } else {
                try RandomModel.load(try model.shape())
            }
        if let maxSeqLength { encoder.maximumLength = min(maxSeqLength, encoder.encoder.longestSequence) }
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
        arguments.optimizerSharding = optimizerSharding
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
extension OptimizerSharding: ExpressibleByArgument {}
extension Determinism: ExpressibleByArgument {}
