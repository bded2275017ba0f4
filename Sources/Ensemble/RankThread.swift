// RankThread: the three thread primitives of both ensembles: a lock with a condition to sleep on, a dedicated thread
// (never a task: a blocking call would starve Swift's pool), and a monotonic clock.

import Foundation

/// A mutex with one condition; waiting sleeps and never spins. The owner must use it correctly.
package final class SleepLock: @unchecked Sendable {
    private let mutex: UnsafeMutablePointer<pthread_mutex_t>
    private let condition: UnsafeMutablePointer<pthread_cond_t>

    package init() {
        mutex = .allocate(capacity: 1)
        condition = .allocate(capacity: 1)
        mutex.initialize(to: pthread_mutex_t())
        condition.initialize(to: pthread_cond_t())
        var attributes = pthread_condattr_t()
        pthread_condattr_init(&attributes)
        pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC)
        let made = (pthread_mutex_init(mutex, nil), pthread_cond_init(condition, &attributes))
        precondition(made == (0, 0), "SleepLock: the system has no memory for a mutex")
        pthread_condattr_destroy(&attributes)
    }

    deinit {
        pthread_cond_destroy(condition)
        pthread_mutex_destroy(mutex)
        condition.deallocate()
        mutex.deallocate()
    }

    /// Runs `body` with the lock held.
    package func locked<T, E: Error>(_ body: () throws(E) -> T) throws(E) -> T {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        return try body()
    }

    /// Releases the lock, sleeps until `wakeAll`, and takes it again. The lock must be held.
    package func wait() { pthread_cond_wait(condition, mutex) }

    /// As `wait`, but at most until `deadline` of the monotonic clock (nanoseconds); false if it passed.
    package func wait(until deadline: UInt64) -> Bool {
        var time = timespec(tv_sec: Int(deadline / 1_000_000_000), tv_nsec: Int(deadline % 1_000_000_000))
        return pthread_cond_timedwait(condition, mutex, &time) == 0
    }

    /// Wakes every sleeper.
    package func wakeAll() { pthread_cond_broadcast(condition) }
}

/// Nanoseconds of the monotonic clock.
package func monotonicNanoseconds() -> UInt64 {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
}

/// A joinable thread.
package final class RankThread: @unchecked Sendable {
    private var thread = pthread_t()

    /// Starts `body` on a new thread; nil if the system refuses another thread.
    package init?(stackBytes: Int = 16 << 20, _ body: @escaping @Sendable () -> Void) {
        var attributes = pthread_attr_t()
        pthread_attr_init(&attributes)
        pthread_attr_setstacksize(&attributes, stackBytes)
        defer { pthread_attr_destroy(&attributes) }
        let box = Unmanaged.passRetained(ThreadBody(body))
        let made = pthread_create(&thread, &attributes, runThreadBody, box.toOpaque())
        guard made == 0 else {
            box.release()
            return nil
        }
    }

    /// Waits for the thread's end.
    package func join() { pthread_join(thread, nil) }

    /// The thread, for an affinity mask.
    package var handle: pthread_t { thread }
}

private final class ThreadBody {
    let body: @Sendable () -> Void

    init(_ body: @escaping @Sendable () -> Void) { self.body = body }
}

private func runThreadBody(_ argument: UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? {
    guard let argument else { return nil }
    Unmanaged<ThreadBody>.fromOpaque(argument).takeRetainedValue().body()
    return nil
}
