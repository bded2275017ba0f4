// This rank's share of each global batch, tokenised and packed ahead of need by a thread of its own.

import TuttiCorpus
import TuttiEnsemble
import TuttiGround

/// The micro-batches of one epoch, in order.
final class BatchSource {
    private let prefetcher: Prefetcher<PreparedBatch>

    /// Starts preparing the batches of `plan` from number `first` on.
    init(
        _ datasets: [(table: Table, preparation: BatchPreparation)], plan: MultiDatasetPlan, from first: Int, rank: Int,
        world: Int
    ) {
        prefetcher = Prefetcher { index in
            let number = first + index
            guard number < plan.batchCount else { return nil }
            let dataset = plan.dataset(number)
            let (table, preparation) = datasets[dataset]
            var batch = try preparation.batch(of: table, plan.rows(number), rank: rank, world: world)
            batch.dataset = dataset
            return batch
        }
    }

    /// The next micro-batch; the plan says how many there are.
    func next() throws -> PreparedBatch {
        guard let batch = try prefetcher.next() else { preconditionFailure("more batches asked for than planned") }
        return batch
    }
}

/// This rank's batches of a run's data sets, as their losses want them.
struct RankBatches {
    private let objectives: [Objective]
    private let arguments: TrainingArguments
    private let ensemble: any Ensemble

    /// The batches that `ensemble`'s ranks share.
    init(_ objectives: [Objective], arguments: TrainingArguments, ensemble: any Ensemble) {
        self.objectives = objectives
        self.arguments = arguments
        self.ensemble = ensemble
    }

    /// The batches of `plan` over `datasets`, from number `first` on, as they are in `epoch`.
    ///
    /// Throws: `.usage` for a column whose task has no route.
    func source(
        _ datasets: [TrainingDataset], _ plan: MultiDatasetPlan, from first: Int, epoch: Int
    ) throws(TuttiError) -> BatchSource {
        var prepared: [(Table, BatchPreparation)] = []
        for dataset in datasets { prepared.append(try preparation(of: dataset, epoch: epoch)) }
        return BatchSource(prepared, plan: plan, from: first, rank: ensemble.rank, world: ensemble.size)
    }

    /// The rows of `dataset` as they are in `epoch`, and how they reach its loss.
    ///
    /// Throws: `.usage` for a column whose task has no route.
    func preparation(
        of dataset: TrainingDataset, epoch: Int
    ) throws(TuttiError) -> (table: Table, preparation: BatchPreparation) {
        let columns = dataset.table.columnNames
        let preparation = try BatchPreparation(
            objectives[dataset.loss], columnCount: columns.count,
            prompts: arguments.prompts.prompts(dataset: dataset.name, columns: columns),
            tasks: arguments.routerMapping.tasks(dataset: dataset.name, columns: columns), seed: arguments.seed,
            epoch: epoch, equalRows: arguments.deterministic == .worldSize, tokens: dataset.tokens)
        return (dataset.table.drawn(epoch: epoch, seed: arguments.dataSeed ?? arguments.seed), preparation)
    }
}
