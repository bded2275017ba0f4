// What a run reports, and to whom: one protocol, a list of reports.
//
// metrics.jsonl and the progress display are reports; a file for TensorBoard or a post to a service is another one. A
// report implements what it needs: every method has an empty default. Only rank zero creates and calls reports. An error
// thrown by a method ends the run on every rank, with its exit code; methods that cannot throw must not fail a run.

import TuttiFormats
import TuttiGround

/// What a report may ask for beyond what every run measures, because it costs time.
public struct ReportDetails: OptionSet, Sendable {
    /// One bit a detail.
    public let rawValue: Int

    /// The details of these bits.
    public init(rawValue: Int) { self.rawValue = rawValue }

    /// `LogLine.gradientNorms`: one more pass over the gradients for every line of training.
    public static let gradientNorms = ReportDetails(rawValue: 1)
    /// `Report.diagnosed`: a sample of the pairs is encoded before training, at every evaluation and at the end.
    public static let diagnosis = ReportDetails(rawValue: 2)
}

/// Receives what a run reports.
public protocol Report: AnyObject {
    /// What it asks for beyond what every run measures.
    var details: ReportDetails { get }
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
    /// The model was diagnosed on the same sample as before.
    func diagnosed(_ diagnosis: ContrastiveDiagnosis, of sample: DiagnosisSample) throws
    /// A folder was written.
    func saved(_ path: String)
    /// A notice of one line.
    func notice(_ text: String)
    /// All steps are done and the model is written. A run that is killed before every report has finished goes on from its
    /// checkpoint, and ends again.
    func finished() throws
}

extension Report {
    /// Nothing beyond it.
    public var details: ReportDetails { [] }
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
    /// Ignores diagnoses.
    public func diagnosed(_ diagnosis: ContrastiveDiagnosis, of sample: DiagnosisSample) throws {}
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
    /// Of training lines, where a report asks for it: the norm of the last step's summed gradient before clipping, of
    /// every trained tensor under its name, in the order of the model.
    public var gradientNorms: [(tensor: String, norm: Double)] = []

    /// A line of the log.
    public init(_ kind: Kind, _ values: JSONObject, mainMetrics: [String] = []) {
        self.kind = kind
        self.values = values
        self.mainMetrics = mainMetrics
    }

    /// True if kind, values and metrics are equal.
    public static func == (a: LogLine, b: LogLine) -> Bool {
        a.kind == b.kind && a.values == b.values && a.mainMetrics == b.mainMetrics
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

/// The name of a logged number in trackers, as transformers gives it: "eval_x" becomes "eval/x", "test_x" "test/x", all others
/// "train/x".
func reportTag(_ key: String) -> String {
    for part in ["eval", "test"] where key.hasPrefix(part + "_") {
        return part + "/" + key.dropFirst(part.count + 1)
    }
    return "train/" + key
}
