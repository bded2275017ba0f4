// Up to where a resumed run keeps what an earlier process logged: one rule for every report that keeps lines in files.

import TuttiGround

/// The step of the checkpoint from which a run goes on.
package struct RewindPoint: Sendable, Equatable {
    /// The step; -1 where the run begins anew.
    package let step: Int
    /// Whether the evaluation at that step will be done again.
    package let evaluationIsDue: Bool

    /// The point after `step`.
    package init(_ step: Int, evaluationIsDue: Bool) { (self.step, self.evaluationIsDue) = (step, evaluationIsDue) }

    /// Whether a line of `step` with these keys stays; the lines after one that does not go with it.
    package func keeps(step: Int, has: (String) -> Bool) -> Bool {
        if step > self.step || has("train_runtime") { return false }  // the closing line of an earlier run
        return !(evaluationIsDue && step == self.step && !has("learning_rate"))  // not a training line
    }
}
