// KeptBatch: the rows of a run's global batches, which stay those of its first start however many ranks go on with it.
//
// `global_train_batch_size` fixes them by itself. With `per_device_train_batch_size` they are rows x ranks of the first
// start, kept in tutti_run.json: a run that lost a host goes on with fewer ranks and more rows on each, and takes the same
// steps over the same batches.

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
    }

    /// Adds them to the members of tutti_run.json.
    func write(to object: inout JSONObject) {
        object["global_train_batch_size"] = .integer(Int64(train))
        object["global_eval_batch_size"] = .integer(Int64(evaluation))
        object["first_world_size"] = .integer(Int64(world))
    }

    /// The rows of the run in the inputs' output directory, or else those of this start. Collective.
    static func find(_ inputs: TrainingInputs, ensemble: any Ensemble) throws -> KeptBatch {
        let now = KeptBatch(inputs.arguments, world: ensemble.size)
        return try ensemble.onRoot {
            inputs.overwrite ? now : RunDirectory.keptBatch(in: inputs.outputDirectory) ?? now
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
}
