// How many steps a run takes, and which global batches each epoch has. The same on every rank.

import TuttiCorpus
import TuttiFormats
import TuttiGround

/// The batches and steps of a run, a pure function of arguments, data and batch size.
final class RunPlan {
    private let arguments: TrainingArguments
    private let datasets: [TrainingDataset]
    private let batchRows: Int
    /// Until the second epoch is planned: a plan is as long as the data.
    private var firstEpoch: MultiDatasetPlan?
    /// Optimizer steps of the whole run.
    let totalSteps: Int

    /// - Throws: a data error if the data make no batch, a usage error if the batch sampler cannot work with them.
    init(arguments: TrainingArguments, datasets: [TrainingDataset], world: Int) throws(TuttiError) {
        self.arguments = arguments
        self.datasets = datasets
        batchRows = arguments.trainBatchRows(world: world)
        for dataset in datasets { try arguments.batchSampler.check(dataset.table, globalBatchSize: batchRows) }
        func plan(_ epoch: Int) -> MultiDatasetPlan {
            Self.plan(
                arguments, datasets, batchRows: arguments.trainBatchRows(world: world), epoch: epoch)
        }
        let first = plan(0)
        firstEpoch = first
        // Where every epoch has as many batches as the first, a data set that makes none is never trained on.
        let isNeeded = first.batchCount == 0 || arguments.batchSampler.epochsAreAlike
        if isNeeded, let empty = first.plans.firstIndex(where: { $0.batchCount == 0 }) {
            let (problem, hint) = arguments.batchSampler.reasonForNoBatch(
                rows: datasets[empty].table.rowCount, size: batchRows, dropLast: arguments.dataloaderDropLast)
            throw TuttiError(.data, "plan the batches", datasets[empty].table.source, problem, hint: hint)
        }
        if arguments.maxSteps > 0 {
            totalSteps = arguments.maxSteps
            return
        }
        let accumulation = arguments.gradientAccumulationSteps
        func steps(_ batches: Int) -> Double { Double((batches + accumulation - 1) / accumulation) }
        // Epochs are planned as they come; only how many steps they have must be known before, for the schedule.
        var total = 0.0
        var epoch = 0
        if arguments.batchSampler.epochsAreAlike {
            total = arguments.numTrainEpochs * steps(first.batchCount)
        } else {
            let rows = datasets.reduce(0) { $0 + $1.table.rowCount }
            let countedEpochs = max(Self.fewestCountedEpochs, Self.countedRows / max(1, rows))
            while Double(epoch) < arguments.numTrainEpochs, epoch < countedEpochs {
                let count = epoch > 0 ? plan(epoch).batchCount : first.batchCount
                total += min(1, arguments.numTrainEpochs - Double(epoch)) * steps(count)
                epoch += 1
            }
            // Beyond those, each epoch counts as many steps as they have on average.
            let rest = arguments.numTrainEpochs - Double(epoch)
            if rest > 0 { total += rest * total / Double(epoch) }
        }
        guard total < Self.mostSteps else {
            throw TuttiError(
                .usage, "plan the run", "args.num_train_epochs",
                "\(arguments.numTrainEpochs) epochs would be \(total) steps", hint: "Set max_steps, or fewer epochs.")
        }
        totalSteps = Int(total.rounded(.up))
    }

    /// Where epochs differ in length, so many of them are counted before the first step: at least `fewestCountedEpochs`,
    /// and as many as have `countedRows` rows together, which takes some seconds.
    private static let fewestCountedEpochs = 16
    private static let countedRows = 5_000_000
    /// Steps that no run takes.
    private static let mostSteps = 1e15

    /// The global batches of an epoch.
    func batches(epoch: Int) -> MultiDatasetPlan {
        if epoch == 0, let firstEpoch { return firstEpoch }
        firstEpoch = nil
        return Self.plan(arguments, datasets, batchRows: batchRows, epoch: epoch)
    }

    private static func plan(
        _ arguments: TrainingArguments, _ datasets: [TrainingDataset], batchRows: Int, epoch: Int
    ) -> MultiDatasetPlan {
        let seed = arguments.dataSeed ?? arguments.seed
        return planDatasets(arguments.datasetMixing, count: datasets.count, epoch: epoch, seed: seed) { dataset, pass in
            planEpoch(
                arguments.batchSampler, datasets[dataset].table.drawn(epoch: epoch, seed: seed),
                globalBatchSize: batchRows, epoch: epoch, seed: seed,
                dropLast: arguments.dataloaderDropLast, dataset: dataset, pass: pass)
        }
    }

    /// One line for each data set that has rows in no batch of an epoch: how many, and why.
    func leftOut(of batches: MultiDatasetPlan, epoch: Int) -> [String] {
        datasets.indices.filter { batches.leftOut[$0] > 0 }.map { place in
            let dataset = datasets[place]
            let whose = dataset.name.map { " of \($0)" } ?? ""
            let isMixing = batches.leftOut[place] > batches.plans[place].leftOut
            let reason =
                isMixing
                ? "other data sets take their turn (\(arguments.datasetMixing.name))"
                : arguments.batchSampler.reasonForLeavingOut(dropLast: arguments.dataloaderDropLast)
            return "Epoch \(epoch + 1) leaves out \(batches.leftOut[place]) of \(dataset.table.rowCount) rows\(whose): "
                + "\(reason)."
        }
    }

    /// One line for each data set of which the sampler makes small batches, and why.
    func smallBatches() -> [String] {
        guard let reason = arguments.batchSampler.reasonForSmallBatches, !arguments.dataloaderDropLast else {
            return []
        }
        let first = batches(epoch: 0)
        return datasets.indices.compactMap { place in
            let (dataset, plan) = (datasets[place], first.plans[place])
            let size = min(batchRows, dataset.table.rowCount)
            let small = (0..<plan.batchCount).count { 2 * plan.batch($0).count < size }
            guard small > 0 else { return nil }
            let mean = (10 * Double(plan.rows.count) / Double(plan.batchCount)).rounded() / 10
            return "\(dataset.title): \(reason): \(small) of \(plan.batchCount) hold fewer than half of \(size) rows, "
                + "\(mean) on average over all."
        }
    }
}
