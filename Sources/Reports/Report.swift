// What a run reports, and to whom: one protocol, a list of equal members.
//
// metrics.jsonl and the progress display are reports; a file for TensorBoard or a post to a service is another one. A
// report takes what it needs: every method has an empty default. Rank zero alone makes and calls reports. What a method
// throws ends the run on every rank, with the exit code of the error; methods that cannot throw must not fail a run.

import TuttiFormats
import TuttiGround

/// Takes what a run reports.
public protocol Report: AnyObject {
    /// Cuts back what an earlier process reported about steps after `step`; -1 stands for everything.
    ///
    /// A run that was killed may have logged steps that its newest checkpoint does not know. Called before `began`.
    func rewind(to step: Int) throws
    /// Training starts, or goes on after `resumedFrom` finished steps.
    func began(totalSteps: Int, resumedFrom: Int) throws
    /// An optimizer step is done.
    func stepped(_ progress: StepProgress)
    /// Another part of a long task between steps is done, such as an evaluation.
    func worked(_ progress: TaskProgress)
    /// A line was logged: of training, of an evaluation, or the closing one.
    func logged(_ line: JSONObject) throws
    /// A folder was written.
    func saved(_ path: String)
    /// Something worth one line happened.
    func notice(_ text: String)
    /// All steps are done and the model is written.
    func finished() throws
}

extension Report {
    public func rewind(to step: Int) throws {}
    public func began(totalSteps: Int, resumedFrom: Int) throws {}
    public func stepped(_ progress: StepProgress) {}
    public func worked(_ progress: TaskProgress) {}
    public func logged(_ line: JSONObject) throws {}
    public func saved(_ path: String) {}
    public func notice(_ text: String) {}
    public func finished() throws {}
}

/// How far training has come.
public struct StepProgress: Sendable, Equatable {
    /// Optimizer steps done.
    public var step: Int
    /// Optimizer steps of the whole run.
    public var totalSteps: Int
    /// Steps that this process has trained, and the seconds that they took without evaluations and saves.
    public var ownSteps: Int
    public var ownSeconds: Double

    /// A step of a run.
    public init(step: Int, totalSteps: Int, ownSteps: Int, ownSeconds: Double) {
        self.step = step
        self.totalSteps = totalSteps
        self.ownSteps = ownSteps
        self.ownSeconds = ownSeconds
    }

    /// Seconds of the steps that are left, at the mean pace so far; nil before the first step.
    public var secondsLeft: Double? {
        ownSteps > 0 ? ownSeconds / Double(ownSteps) * Double(totalSteps - step) : nil
    }
}

/// How far a long task has come.
public struct TaskProgress: Sendable, Equatable {
    /// What is done, in a few words: "Evaluating dev".
    public var task: String
    /// Parts done, of all parts.
    public var done: Int
    public var total: Int

    /// A part of a task.
    public init(_ task: String, done: Int, of total: Int) {
        self.task = task
        self.done = done
        self.total = total
    }
}
