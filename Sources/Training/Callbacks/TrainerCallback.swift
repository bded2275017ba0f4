// What a program may do between the steps of a run: look at it, and ask for an end, an evaluation, a checkpoint, a line.
//
// A callback takes what it needs: every method has an empty default. Callbacks are called on rank zero; what they ask for
// is done on every rank, and what they throw ends the run on every rank. A report (TuttiReports) hears more and asks for
// nothing.
//
//     final class StopAtLoss: TrainerCallback {
//         func onEvaluate(_ metrics: JSONObject, _ state: TrainerState, control: inout TrainerControl) {
//             if let loss = metrics["eval_loss"]?.double, loss < 0.1 { control.shouldTrainingStop = true }
//         }
//     }
//     inputs.callbacks = [StopAtLoss()]
//
// Reference: TrainerCallback and TrainerControl of transformers 5.

import TuttiGround

/// Takes part in a run between its steps.
///
/// Every rank may be given callbacks; rank zero's are called.
public protocol TrainerCallback: AnyObject {
    /// What a resumed run gives back: written to every checkpoint, under `stateful_callbacks` of `trainer_state.json`.
    var state: JSONObject { get set }
    /// Training begins, or goes on from a checkpoint; `state` is back by then.
    func onTrainBegin(_ state: TrainerState) throws
    /// A step is done. `control` holds what is due after it, and may be changed.
    func onStepEnd(_ state: TrainerState, control: inout TrainerControl) throws
    /// An epoch ends, or training ends in the middle of one; called after `onStepEnd` of its last step.
    func onEpochEnd(_ state: TrainerState, control: inout TrainerControl) throws
    /// The model was evaluated: `metrics` is the line of the log. `state` knows already whether it is the best.
    func onEvaluate(_ metrics: JSONObject, _ state: TrainerState, control: inout TrainerControl) throws
    /// A checkpoint was written to the folder `path`. Of `control` the end of training still counts.
    func onSave(_ path: String, _ state: TrainerState, control: inout TrainerControl) throws
    /// Training is over and `final/` is written; not called where a signal has stopped the run.
    func onTrainEnd(_ state: TrainerState) throws
}

extension TrainerCallback {
    /// Keeps nothing.
    public var state: JSONObject {
        get { JSONObject() }
        set {}
    }
    /// Ignores the start.
    public func onTrainBegin(_ state: TrainerState) throws {}
    /// Ignores steps.
    public func onStepEnd(_ state: TrainerState, control: inout TrainerControl) throws {}
    /// Ignores epochs.
    public func onEpochEnd(_ state: TrainerState, control: inout TrainerControl) throws {}
    /// Ignores evaluations.
    public func onEvaluate(_ metrics: JSONObject, _ state: TrainerState, control: inout TrainerControl) throws {}
    /// Ignores checkpoints.
    public func onSave(_ path: String, _ state: TrainerState, control: inout TrainerControl) throws {}
    /// Ignores the end.
    public func onTrainEnd(_ state: TrainerState) throws {}
}

/// What happens after the step that a run has just taken.
///
/// A callback finds what the arguments make due, and may add to it or take from it.
public struct TrainerControl: Sendable, Equatable {
    /// Whether training ends with this step, as if it were the last one: `final/` is written, the run is finished.
    public var shouldTrainingStop = false
    /// Whether a line of training is logged.
    public var shouldLog = false
    /// Whether the model is evaluated.
    public var shouldEvaluate = false
    /// Whether a checkpoint is written. With `load_best_model_at_end` only evaluated steps that are saved can be the best.
    public var shouldSave = false

    /// Nothing happens.
    public init() {}

    /// The same in one number.
    var code: Int32 {
        (shouldTrainingStop ? 1 : 0) | (shouldLog ? 2 : 0) | (shouldEvaluate ? 4 : 0) | (shouldSave ? 8 : 0)
    }

    init(code: Int32) {
        shouldTrainingStop = code & 1 != 0
        shouldLog = code & 2 != 0
        shouldEvaluate = code & 4 != 0
        shouldSave = code & 8 != 0
    }

    /// What either asks for.
    func union(_ other: TrainerControl) -> TrainerControl { TrainerControl(code: code | other.code) }
}
