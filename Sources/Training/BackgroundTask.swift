// Work on a thread of its own that leaves the processor to everything else: training goes on beside it.

import Foundation
import TuttiGround

/// A piece of work that runs beside its maker.
final class BackgroundTask: @unchecked Sendable {
    private let condition = NSCondition()
    private var outcome: Result<Void, TuttiError>?

    /// Starts `body` on a thread of the lowest priority: it takes the time in which no other thread of a core computes.
    init(name: String, _ body: @escaping @Sendable () throws(TuttiError) -> Void) {
        let thread = Thread { [self] in
            setpriority(__priority_which_t(PRIO_PROCESS.rawValue), 0, 19)  // of this thread alone
            let result: Result<Void, TuttiError>
            do throws(TuttiError) {
                try body()
                result = .success(())
            } catch {
                result = .failure(error)
            }
            condition.withLock {
                outcome = result
                condition.broadcast()
            }
        }
        thread.name = name
        thread.stackSize = 8 << 20
        thread.start()
    }

    /// How it ended; nil while it runs.
    var ended: Result<Void, TuttiError>? { condition.withLock { outcome } }

    /// Returns when it has ended.
    ///
    /// - Throws: what the work threw.
    func wait() throws(TuttiError) {
        condition.lock()
        while outcome == nil { condition.wait() }
        let result = outcome
        condition.unlock()
        try result?.get()
    }
}
