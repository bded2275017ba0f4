// KeptBatch: the rows of a run's global batches, which stay those of its first start however many ranks go on with it.
//
// `global_train_batch_size` fixes them by itself. With `per_device_train_batch_size` they are rows x ranks of the first
// start, or fewer with `auto_find_batch_size`, kept in tutti_run.json: a run that lost a host goes on with fewer ranks and
// more rows on each, and takes the same steps over the same batches.

import TuttiEnsemble
import TuttiFormats
import TuttiGround

/// The rows of the global batches of a run.
struct KeptBatch: Codable, Equatable, Sendable {
    /// Rows of a training batch.
    var train: Int
    /// Rows of an evaluation batch.
    var evaluation: Int
    /// The ranks of the first start.
    var world: Int
    /// How `auto_find_batch_size` found the rows of a training batch; nil where it was not to.
    var search: FoundBatch?

    /// Those of a start with `world` ranks.
    init(_ arguments: TrainingArguments, world: Int) {
        train = arguments.trainBatchRows(world: world)
        evaluation = arguments.evalBatchRows(world: world)
        self.world = world
    }

    /// Those in the members of tutti_run.json; nil where it does not name them, as before version 0.2.
    init?(_ object: JSONObject) {
        guard let train = object["global_train_batch_size"]?.int, train > 0,
            let evaluation = object["global_eval_batch_size"]?.int, evaluation > 0,
            let world = object["first_world_size"]?.int
        else { return nil }
        (self.train, self.evaluation, self.world) = (train, evaluation, world)
        if let found = object["auto_find_batch_size"], let asked = found["asked"]?.int, let rows = found["found"]?.int {
            search = FoundBatch(asked: asked, found: rows, kills: found["memory_kills"]?.int ?? 0)
        }
    }

    /// Adds them to the members of tutti_run.json.
    func write(to object: inout JSONObject) {
        object["global_train_batch_size"] = .integer(Int64(train))
        object["global_eval_batch_size"] = .integer(Int64(evaluation))
        object["first_world_size"] = .integer(Int64(world))
        guard let search else { return }
        object["auto_find_batch_size"] = .object([
            "asked": .integer(Int64(search.asked)), "found": .integer(Int64(search.found)),
            "memory_kills": .integer(Int64(search.kills)),
        ])
    }

    /// The rows of a global batch that the first start was asked for, found or not: a stream is read for so many.
    var askedRows: Int { search.map { $0.asked * world } ?? train }

    // MARK: Finding

    /// What the inputs' output directory holds of it.
    fileprivate struct Kept: Codable {
        var batch: KeptBatch?
        /// Whether a step may be lost if the batch changes: it has a checkpoint, or is finished.
        var hasSteps = false
        /// The checkpoint with which a new run begins, and which has fixed the batch.
        var beginning: String?
    }

    /// The rows of the run in the inputs' output directory, or else those of this start, as far as memory holds them where
    /// that is to be found out; and what to tell the user of that. Collective.
    ///
    /// - Throws: `.usage` where the batch is given for all ranks and to be found; `.retryable` where no batch fits.
    static func find(
        _ inputs: TrainingInputs, objectives: [Objective], _ batches: RankBatches, ensemble: any Ensemble
    ) throws -> (batch: KeptBatch, notice: String?) {
        let (arguments, world) = (inputs.arguments, ensemble.size)
        let now = KeptBatch(arguments, world: world)
        let kept = try ensemble.onRoot { try Kept(of: inputs, now: now) }
        guard arguments.autoFindBatchSize else { return (kept.batch ?? now, nil) }
        if let problem = arguments.batchSizeProblem {
            throw TuttiError(.usage, "plan the run", "args.auto_find_batch_size", problem.text, hint: problem.hint)
        }
        let kills = try BatchSizeSearch.kills(inputs.machineMemory, ensemble: ensemble)
        let asked = arguments.perDeviceTrainBatchSize
        var (start, reason) = (asked, "")
        if let batch = kept.batch {
            guard !kept.hasSteps, let before = batch.search?.kills, kills > before else {
                let source = kept.beginning.map { "those of \($0)" } ?? "as found when the run began"
                return (batch, "auto_find_batch_size: global batches stay \(batch.train) rows, \(source).")
            }
            let rows = (batch.train + world - 1) / world
            start = rows * 9 / 10
            reason = " With \(rows) the kernel killed a process for want of memory: the run begins again from step 0."
        }
        let search = try BatchSizeSearch(inputs, objectives: objectives, batches, ensemble: ensemble)
        let (rows, summary) = try search.rows(from: start)
        var found = now
        found.train = rows * world
        found.search = FoundBatch(asked: asked, found: rows, kills: kills)
        let choice = rows == asked ? "all \(rows) rows on a rank fit" : "\(rows) rows on a rank in place of \(asked)"
        return (found, "auto_find_batch_size: \(choice): \(summary).\(reason)")
    }
}

extension KeptBatch.Kept {
    /// What is in the output directory of `inputs`, or in the checkpoint with which they begin. Rank zero only.
    fileprivate init(of inputs: TrainingInputs, now: KeptBatch) throws(TuttiError) {
        let path = inputs.outputDirectory
        if !inputs.overwrite, let found = RunDirectory.keptBatch(in: path) {
            batch = found
            let steps = try Checkpoint.steps(in: path)
            hasSteps = !steps.isEmpty || RunDirectory.isFinished(in: path)
        } else if case .path(let checkpoint) = inputs.arguments.resumeFromCheckpoint,
            inputs.arguments.autoFindBatchSize, let rows = Checkpoint.batchRows(of: checkpoint)
        {
            let asked = inputs.arguments.perDeviceTrainBatchSize
            var own = now
            own.train = rows
            own.search = FoundBatch(asked: asked, found: (rows + now.world - 1) / now.world, kills: 0)
            (batch, hasSteps, beginning) = (own, true, checkpoint)
        }
    }
}

extension TrainingArguments {
    /// These arguments with the rows of `batch`.
    func keeping(_ batch: KeptBatch) -> TrainingArguments {
        var arguments = self
        arguments.globalTrainBatchSize = batch.train
        arguments.globalEvalBatchSize = batch.evaluation
        return arguments
    }

    /// Why a batch size cannot be found; nil where it can, or is not to be.
    var batchSizeProblem: (text: String, hint: String)? {
        guard autoFindBatchSize, globalTrainBatchSize != nil else { return nil }
        return (
            "excludes global_train_batch_size: a batch that is given for all ranks is part of the result, whatever memory "
                + "they have",
            "Use per_device_train_batch_size; or keep the batch and set mini_batch_size, which bounds memory."
        )
    }
}
