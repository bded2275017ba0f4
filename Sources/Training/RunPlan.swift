// How many steps a run takes, and which global batches each epoch has. The same on every rank.

import TuttiCorpus
import TuttiFormats
import TuttiModels

/// The batches and steps of a run, a pure function of arguments, data and batch size.
final class RunPlan {
    private let arguments: TrainingArguments
    private let table: Table
    private let batchRows: Int
    private let firstEpoch: EpochPlan
    /// Optimizer steps of the whole run.
    let totalSteps: Int
    /// Rows of the first epoch that fit no batch.
    var leftOut: Int { firstEpoch.leftOut }

    /// - Throws: a data error if the data make no batch.
    init(arguments: TrainingArguments, table: Table, world: Int) throws(TuttiError) {
        self.arguments = arguments
        self.table = table
        batchRows = arguments.trainBatchRows(world: world)
        func plan(_ epoch: Int) -> EpochPlan {
            planEpoch(
                arguments.batchSampler, table, globalBatchSize: arguments.trainBatchRows(world: world),
                epoch: epoch, seed: arguments.dataSeed ?? arguments.seed, dropLast: arguments.dataloaderDropLast)
        }
        try arguments.batchSampler.check(table, globalBatchSize: batchRows)
        firstEpoch = plan(0)
        guard firstEpoch.batchCount > 0 else {
            throw TuttiError(
                .data, "plan the batches", table.source,
                "\(table.rowCount) rows make no batch of \(arguments.trainBatchRows(world: world))",
                hint: "Lower the batch size, or set dataloader_drop_last: false.")
        }
        let accumulation = arguments.gradientAccumulationSteps
        func steps(_ batches: Int) -> Int { (batches + accumulation - 1) / accumulation }
        if arguments.maxSteps > 0 {
            totalSteps = arguments.maxSteps
            return
        }
        if arguments.batchSampler.epochsAreAlike {
            totalSteps = Int((arguments.numTrainEpochs * Double(steps(firstEpoch.batchCount))).rounded(.up))
            return
        }
        // The same with each epoch's own number of steps.
        var total = 0.0
        var epoch = 0
        while Double(epoch) < arguments.numTrainEpochs {
            let count = epoch > 0 ? plan(epoch).batchCount : firstEpoch.batchCount
            total += min(1, arguments.numTrainEpochs - Double(epoch)) * Double(steps(count))
            epoch += 1
        }
        totalSteps = Int(total.rounded(.up))
    }

    /// The global batches of an epoch.
    func batches(epoch: Int) -> EpochPlan {
        epoch == 0
            ? firstEpoch
            : planEpoch(
                arguments.batchSampler, table, globalBatchSize: batchRows, epoch: epoch,
                seed: arguments.dataSeed ?? arguments.seed, dropLast: arguments.dataloaderDropLast)
    }

    /// The prompts that the arguments give the columns of a table.
    func prompts(for table: Table) -> [String] { arguments.prompts.prompts(dataset: nil, columns: table.columnNames) }

    /// Epochs done after `microBatch` micro-batches of epoch `index`, as the reference logs it.
    func epoch(_ index: Int, microBatch: Int, of batchCount: Int) -> Double {
        Double(index) + Double(microBatch) / Double(batchCount)
    }
}
