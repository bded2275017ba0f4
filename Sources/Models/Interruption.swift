// Encoding that was given up because the run was asked to stop.

import TuttiGround

extension TuttiError {
    /// Thrown on every rank by an encoding that any rank was asked to give up.
    package static var interruption: TuttiError {
        TuttiError(.preempted, "encode texts", "", "the run was asked to stop")
    }
}
