// SignalQueue: the launcher's signals, handled in order of arrival and never in a signal handler.
//
// They are blocked from the first instruction of `tutti launch`, so that one that arrives while ranks are planned or
// mpirun starts waits instead of ending the launcher. Ignored ones (SIGHUP under nohup, SIGINT in the background
// of a script) stay ignored.

import Glibc

/// Blocked signals of this process.
package struct SignalQueue {
    /// The signals that end a job: save and stop.
    package static let stopping = [SIGINT, SIGTERM, SIGHUP, SIGUSR2]

    private var set: sigset_t

    /// Blocks the signals in this thread and in threads that it starts.
    package static func hold() -> SignalQueue {
        var set = sigset_t()
        sigemptyset(&set)
        for signal in stopping + [SIGUSR1, SIGCHLD] where !isIgnored(signal) { sigaddset(&set, signal) }
        pthread_sigmask(SIG_BLOCK, &set, nil)
        return SignalQueue(set: set)
    }

    /// Unblocks them: they act as usual again.
    package func release() {
        var set = set
        pthread_sigmask(SIG_UNBLOCK, &set, nil)
    }

    /// The next signal, or nil if none arrives within `seconds`.
    package mutating func next(within seconds: Double) -> Int32? {
        var time = timespec(
            tv_sec: Int(seconds), tv_nsec: Int((seconds - seconds.rounded(.down)) * 1e9))
        let signal = sigtimedwait(&set, nil, &time)
        return signal > 0 ? signal : nil
    }

    private static func isIgnored(_ signal: Int32) -> Bool {
        var action = sigaction()
        sigaction(signal, nil, &action)
        return unsafeBitCast(action.__sigaction_handler.sa_handler, to: Int.self) == 1  // SIG_IGN
    }
}
