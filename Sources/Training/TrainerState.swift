// What a run knows of itself between steps: counters, sums since the last log line, the best metric, the log history.
//
// Saved twice: `trainer_state.json` with the reference's keys, for people and tools that know them, and
// `tutti_state.json` with what an exact resume needs.

import TuttiFormats
import TuttiGround

/// How far a run has come.
public struct TrainerState: Sendable {
    /// Optimizer steps done.
    public internal(set) var globalStep = 0
    /// Optimizer steps that the whole run takes.
    public internal(set) var maxSteps = 0
    /// Epoch in progress, and the micro-batch of it that comes next.
    var epochIndex = 0
    var nextMicroBatch = 0
    /// Whether the evaluation at this step is still to do: a request to stop came before it had ended.
    var evaluationIsDue = false
    /// Steps that each loss had a part in: how often the parameters that it owns were updated.
    var lossUpdates: [Int] = []
    /// Whether a callback has ended training.
    var isStopped = false
    /// What the callbacks keep, in the reference's form; rank zero's counts.
    var callbackStates = JSONObject()
    /// What a schedule that follows the evaluations keeps.
    var scheduleState = JSONObject()
    /// Epochs done, fractional.
    public internal(set) var epoch = 0.0
    /// Sum of this job's global losses since the last log line, and the steps in it.
    var lossSum = 0.0
    var lossSteps = 0
    /// The summands of those losses that have names, since the last log line.
    var parts = LossPartSums()
    /// Sum over the whole run, for the closing line.
    var totalLoss = 0.0
    /// Seconds of all processes of the run until `clockStart`, and those of them that evaluations took.
    private(set) var earlierSeconds = 0.0
    var evaluationSeconds = 0.0
    /// When this process began to train; nil before.
    var clockStart: Double?
    /// Text tokens seen by all ranks, in all and since the last log line.
    var tokensSeen = 0
    var tokensSinceLog = 0
    /// The best value so far of `metric_for_best_model`, if an evaluation has given one and the arguments ask for it.
    public internal(set) var bestMetric: Double?
    /// The step of that evaluation.
    public internal(set) var bestGlobalStep: Int?
    /// Folder name of the best checkpoint, below the output directory.
    public internal(set) var bestCheckpoint: String?
    /// Everything that was logged, as in the reference's `log_history`; the last line is the newest.
    public internal(set) var logHistory: [JSONObject] = []

    /// Seconds that the run has taken so far, in all its processes.
    var seconds: Double { earlierSeconds + (clockStart.map { PhaseClock.now() - $0 } ?? 0) }

    /// Books a finished step of `microBatches` of the epoch's `batchCount`, and begins the next epoch after the last.
    mutating func take(loss: Double, tokens: Int, microBatches: Int, of batchCount: Int) {
        globalStep += 1
        nextMicroBatch += microBatches
        // As the reference logs it.
        epoch = Double(epochIndex) + Double(nextMicroBatch) / Double(batchCount)
        lossSum += loss
        totalLoss += loss
        lossSteps += 1
        tokensSeen += tokens
        tokensSinceLog += tokens
        if nextMicroBatch == batchCount {
            epochIndex += 1
            nextMicroBatch = 0
        }
    }

    /// The reference's `trainer_state.json`.
    func referenceJSON(arguments: TrainingArguments, batchRows: Int) -> JSONValue {
        var object = JSONObject()
        object["best_global_step"] = bestGlobalStep.map { .integer(Int64($0)) } ?? .null
        object["best_metric"] = bestMetric.map { .number($0) } ?? .null
        object["best_model_checkpoint"] = bestCheckpoint.map { .string($0) } ?? .null
        object["epoch"] = .number(epoch)
        object["eval_steps"] = .number(arguments.evalSteps ?? arguments.loggingSteps)
        object["global_step"] = .integer(Int64(globalStep))
        object["is_hyper_param_search"] = .bool(false)
        object["is_local_process_zero"] = .bool(true)
        object["is_world_process_zero"] = .bool(true)
        object["log_history"] = .array(logHistory.map { .object($0) })
        object["logging_steps"] = .number(arguments.loggingSteps)
        object["max_steps"] = .integer(Int64(maxSteps))
        object["num_input_tokens_seen"] = .integer(Int64(tokensSeen))
        object["num_train_epochs"] = .number(arguments.numTrainEpochs)
        object["save_steps"] = .number(arguments.saveSteps)
        object["stateful_callbacks"] = .object(callbackStates)
        object["total_flos"] = .integer(0)
        object["train_batch_size"] = .integer(Int64(batchRows))
        object["trial_name"] = .null
        object["trial_params"] = .null
        return .object(object)
    }

    /// The exact counters; doubles are written in their shortest form that reads back to the same bits.
    func resumeJSON() -> JSONObject {
        var object = JSONObject()
        object["global_step"] = .integer(Int64(globalStep))
        object["max_steps"] = .integer(Int64(maxSteps))
        object["epoch_index"] = .integer(Int64(epochIndex))
        object["next_micro_batch"] = .integer(Int64(nextMicroBatch))
        object["evaluation_is_due"] = .bool(evaluationIsDue)
        object["is_stopped"] = .bool(isStopped)
        object["loss_updates"] = .array(lossUpdates.map { .integer(Int64($0)) })
        if !scheduleState.isEmpty { object["schedule"] = .object(scheduleState) }
        object["epoch"] = .number(epoch)
        object["loss_sum"] = .number(lossSum)
        object["loss_steps"] = .integer(Int64(lossSteps))
        object["loss_parts"] = parts.json
        object["total_loss"] = .number(totalLoss)
        object["seconds"] = .number(seconds)
        object["evaluation_seconds"] = .number(evaluationSeconds)
        object["tokens_seen"] = .integer(Int64(tokensSeen))
        object["tokens_since_log"] = .integer(Int64(tokensSinceLog))
        object["best_metric"] = bestMetric.map { .number($0) } ?? .null
        object["best_global_step"] = bestGlobalStep.map { .integer(Int64($0)) } ?? .null
        object["best_checkpoint"] = bestCheckpoint.map { .string($0) } ?? .null
        return object
    }

    init() {}

    /// Reads what `resumeJSON` wrote, with the log history of `trainer_state.json`.
    init(resume object: JSONObject, history: [JSONObject], source: String) throws(TuttiError) {
        func field<Value>(_ key: String, _ read: (JSONValue) -> Value?) throws(TuttiError) -> Value {
            guard let value = object[key], let result = read(value) else {
                throw TuttiError(
                    .data, "read the state of a checkpoint", source, "\"\(key)\" is missing or not a number")
            }
            return result
        }
        globalStep = try field("global_step") { $0.int }
        maxSteps = try field("max_steps") { $0.int }
        epochIndex = try field("epoch_index") { $0.int }
        nextMicroBatch = try field("next_micro_batch") { $0.int }
        evaluationIsDue = object["evaluation_is_due"]?.bool ?? false
        isStopped = object["is_stopped"]?.bool ?? false
        scheduleState = object["schedule"]?.object ?? JSONObject()
        lossUpdates = object["loss_updates"]?.array?.compactMap(\.int) ?? []
        epoch = try field("epoch") { $0.double }
        lossSum = try field("loss_sum") { $0.double }
        lossSteps = try field("loss_steps") { $0.int }
        parts = LossPartSums(object["loss_parts"])
        totalLoss = try field("total_loss") { $0.double }
        earlierSeconds = object["seconds"]?.double ?? 0
        evaluationSeconds = object["evaluation_seconds"]?.double ?? 0
        tokensSeen = try field("tokens_seen") { $0.int }
        tokensSinceLog = try field("tokens_since_log") { $0.int }
        bestMetric = object["best_metric"]?.double
        bestGlobalStep = object["best_global_step"]?.int
        bestCheckpoint = object["best_checkpoint"]?.string
        logHistory = history
    }
}
