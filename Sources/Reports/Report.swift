// What a run reports, and to whom: one protocol, a list of reports.
//
// metrics.jsonl and the progress display are reports; a file for TensorBoard or a post to a service is another one. A
// report implements what it needs: every method has an empty default. Only rank zero creates and calls reports. An error
// thrown by a method ends the run on every rank, with its exit code; methods that cannot throw must not fail a run.

import TuttiFormats
import TuttiGround

/// Receives what a run reports.
public protocol Report: AnyObject {
    /// Removes what an earlier process reported about steps after `step`; -1 means everything.
    ///
    /// A killed run may have logged steps after its newest checkpoint. Called before `began`.
    /// - Parameter evaluationIsDue: the evaluation at `step` will be done, or done again: its line is removed too.
    func rewind(to step: Int, evaluationIsDue: Bool) throws
    /// Training starts, or resumes from a checkpoint.
    func began(_ run: ReportedRun) throws
    /// An optimizer step is done.
    func stepped(_ progress: StepProgress)
    /// Another part of a long task between steps is done, such as an evaluation.
    func worked(_ progress: TaskProgress)
    /// A line was logged.
    func logged(_ line: LogLine) throws
    /// A folder was written.
    func saved(_ path: String)
    /// A notice of one line.
    func notice(_ text: String)
    /// All steps are done and the model is written.
    func finished() throws
}

extension Report {
    /// Nothing to remove.
    public func rewind(to step: Int, evaluationIsDue: Bool) throws {}
    /// Ignores the start.
    public func began(_ run: ReportedRun) throws {}
    /// Ignores steps.
    public func stepped(_ progress: StepProgress) {}
    /// Ignores other work.
    public func worked(_ progress: TaskProgress) {}
    /// Ignores lines.
    public func logged(_ line: LogLine) throws {}
    /// Ignores saved folders.
    public func saved(_ path: String) {}
    /// Ignores notices.
    public func notice(_ text: String) {}
    /// Ignores the end.
    public func finished() throws {}
}

/// A run that starts or resumes.
public struct ReportedRun: Sendable, Equatable {
    /// `args.run_name`; nil if the run has no name.
    public var name: String?
    /// Optimizer steps of the whole run.
    public var totalSteps: Int
    /// Optimizer steps done before this start.
    public var resumedFrom: Int
    /// The value of every training argument, under its name.
    public var arguments: JSONObject
    /// The text of the model's config.json; nil for a model without one.
    public var modelConfiguration: String?

    /// Describes a run.
    public init(
        name: String? = nil, totalSteps: Int, resumedFrom: Int = 0, arguments: JSONObject = JSONObject(),
        modelConfiguration: String? = nil
    ) {
        self.name = name
        self.totalSteps = totalSteps
        self.resumedFrom = resumedFrom
        self.arguments = arguments
        self.modelConfiguration = modelConfiguration
    }
}

/// One line of the log, as metrics.jsonl has it.
public struct LogLine: Sendable, Equatable {
    /// The subject of a line.
    public enum Kind: Sendable, Equatable {
        /// Steps of training.
        case training
        /// An evaluation.
        case evaluation
        /// The end of the run, with the metrics of the test evaluators.
        case closing
    }

    /// The subject of the line.
    public var kind: Kind
    /// Step, epoch and everything measured, under the reference's keys.
    public var values: JSONObject
    /// The keys of the main metrics: losses on evaluation data, an evaluator's primary metric.
    public var mainMetrics: [String]

    /// A line of the log.
    public init(_ kind: Kind, _ values: JSONObject, mainMetrics: [String] = []) {
        self.kind = kind
        self.values = values
        self.mainMetrics = mainMetrics
    }

    /// The optimizer step.
    public var step: Int { values["step"]?.int ?? 0 }

    /// Every number of the line but the step, in its order; those of an object under "object/key".
    package var numbers: [(key: String, value: JSONValue)] {
        values.flatMap { key, value -> [(key: String, value: JSONValue)] in
            if let object = value.object { return object.map { ("\(key)/\($0)", $1) }.filter { $0.1.double != nil } }
            return key == "step" || value.double == nil ? [] : [(key, value)]
        }
    }
}

/// The progress of training.
public struct StepProgress: Sendable, Equatable {
    /// Optimizer steps done.
    public var step: Int
    /// Optimizer steps of the whole run.
    public var totalSteps: Int
    /// Steps that this process has trained.
    public var ownSteps: Int
    /// Seconds that they took, without evaluations and saves.
    public var ownSeconds: Double

    /// A step of a run.
    public init(step: Int, totalSteps: Int, ownSteps: Int, ownSeconds: Double) {
        self.step = step
        self.totalSteps = totalSteps
        self.ownSteps = ownSteps
        self.ownSeconds = ownSeconds
    }

    /// Remaining seconds, at the mean pace so far; nil before the first step.
    public var secondsLeft: Double? {
        ownSteps > 0 ? ownSeconds / Double(ownSteps) * Double(totalSteps - step) : nil
    }
}

/// The progress of a long task.
public struct TaskProgress: Sendable, Equatable {
    /// The task in a few words: "Evaluating dev".
    public var task: String
    /// Parts done.
    public var done: Int
    /// Total parts.
    public var total: Int

    /// A part of a task.
    public init(_ task: String, done: Int, of total: Int) {
        self.task = task
        self.done = done
        self.total = total
    }
}
