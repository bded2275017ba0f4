// What a run tells whoever watches it. Rank zero alone calls these.

import TuttiFormats
import TuttiGround

/// Watches a run: the command's progress display, or a test.
public protocol TrainingObserver: AnyObject {
    /// Training starts, or goes on after `resumedFrom` finished steps.
    func began(totalSteps: Int, resumedFrom: Int)
    /// An optimizer step is done.
    func stepped(_ step: Int, of total: Int)
    /// A line was added to `metrics.jsonl`.
    func logged(_ line: JSONObject)
    /// A folder was written.
    func saved(_ path: String)
    /// Something worth one line happened.
    func notice(_ text: String)
}

/// Watches nothing.
public final class SilentObserver: TrainingObserver {
    public init() {}
    public func began(totalSteps: Int, resumedFrom: Int) {}
    public func stepped(_ step: Int, of total: Int) {}
    public func logged(_ line: JSONObject) {}
    public func saved(_ path: String) {}
    public func notice(_ text: String) {}
}
