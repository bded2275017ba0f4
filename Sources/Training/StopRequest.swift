// Signals that ask a run to save: SIGUSR1 saves and goes on, SIGUSR2 and SIGTERM save and stop with exit code 85.
//
// The handlers only set flags. Ranks agree on them at a step boundary, so that all save after the same step although
// the signal reaches them at different times.

import Glibc
import Synchronization
import TuttiEnsemble

/// What the job was asked to do at the next step boundary.
enum StopRequest: Int {
    case none = 0
    case save = 1
    case saveAndStop = 2

    private static let flag = Atomic<Int>(0)

    /// Installs the handlers; a second signal of the kind changes nothing.
    static func listen() {
        signal(SIGUSR1) { _ in StopRequest.raise(to: 1) }
        signal(SIGUSR2) { _ in StopRequest.raise(to: 2) }
        signal(SIGTERM) { _ in StopRequest.raise(to: 2) }
    }

    private static func raise(to level: Int) {
        if flag.load(ordering: .relaxed) < level { flag.store(level, ordering: .relaxed) }
    }

    /// The strongest request that any rank has received; clears it. Collective.
    static func agreed(_ ensemble: any Ensemble) throws -> StopRequest {
        let own = flag.exchange(0, ordering: .relaxed)
        guard ensemble.size > 1 else { return StopRequest(rawValue: own) ?? .none }
        var strongest = Double(own)
        try withUnsafeMutablePointer(to: &strongest) {
            try ensemble.allReduceMax(UnsafeMutableBufferPointer(start: $0, count: 1))
        }
        return StopRequest(rawValue: Int(strongest)) ?? .none
    }
}
