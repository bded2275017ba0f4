// Work on a thread of its own, beside training. Its priority is that of all others: who waits for it waits for no other process.

import Foundation
import TuttiGround

/// A piece of work that runs beside its maker.
final class BackgroundTask: @unchecked Sendable {
    private let condition = NSCondition()
    private var outcome: Result<Void, TuttiError>?

    /// Starts `body` on a thread.
    init(name: String, _ body: @escaping @Sendable () throws(TuttiError) -> Void) {
        let thread = Thread { [self] in
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

    /// Whether it has ended.
    var hasEnded: Bool { condition.withLock { outcome != nil } }

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
