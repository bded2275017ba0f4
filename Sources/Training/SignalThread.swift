// Signals are taken by one thread that does nothing else; every other thread blocks them.
//
// Why: a handler runs on the stack of whichever thread the system interrupts, below its stack pointer, and kernels
// that oneDNN generates keep data there. So no handler may run on a thread that computes. Threads inherit the mask of
// the thread that starts them: the mask must be set before any thread is started. The command does so before the
// constructors of its shared libraries run (CTuttiSignals).
//
// SIGUSR1 asks a run to save, SIGUSR2, SIGTERM, SIGINT and SIGHUP to save and stop; a second of these ends the process
// as the signal does by default. SIGHUP is left alone where it is ignored (nohup).

import Glibc
import Synchronization

/// A thread that waits for signals and hands them on.
package final class SignalThread {
    /// The signals that are taken.
    package static let signals = [SIGUSR1, SIGUSR2, SIGTERM, SIGINT, SIGHUP]

    /// Blocks the signals in this thread and in the threads that it starts from now on.
    package static func hold() {
        var held = set(signals)
        pthread_sigmask(SIG_BLOCK, &held, nil)
    }

    /// Unblocks them again: for a child process between fork and exec, or a test.
    package static func release() {
        var held = set(signals)
        pthread_sigmask(SIG_UNBLOCK, &held, nil)
    }

    /// Starts the thread, which calls `taken` for each signal, in the order in which they come.
    ///
    /// Signals that came while they were blocked and nobody waited are taken first. False if the system refuses
    /// another thread.
    package static func start(_ taken: @escaping @Sendable (Int32) -> Void) -> Bool {
        hold()
        let box = Unmanaged.passRetained(Taker(taken, signals.filter { $0 != SIGHUP || !isIgnored($0) }))
        var thread = pthread_t()
        guard pthread_create(&thread, nil, waitForSignals, box.toOpaque()) == 0 else {
            box.release()
            return false
        }
        pthread_detach(thread)
        return true
    }

    /// Has signals that other threads do not block passed on to the signal thread, by a handler.
    ///
    /// For programs in which a library has started threads before `hold`; the command has none.
    static func passOn() {
        for signal in signals where !isIgnored(signal) {
            var action = sigaction()
            action.__sigaction_handler.sa_handler = { signal in
                let thread = forwarding.load(ordering: .relaxed)
                if thread != 0 { pthread_kill(pthread_t(thread), signal) }
            }
            action.sa_flags = SA_RESTART
            sigaction(signal, &action, nil)
        }
    }

    /// Ends the process as `signal` does by default, whatever other threads are doing.
    package static func die(of signal: Int32) -> Never {
        Glibc.signal(signal, SIG_DFL)
        var one = set([signal])
        pthread_sigmask(SIG_UNBLOCK, &one, nil)
        raise(signal)
        _exit(128 + signal)  // the first process of a container is not killed by its own signals
    }

    /// Name of a signal, as a person would type it.
    package static func name(_ signal: Int32) -> String {
        switch signal {
        case SIGUSR1: "SIGUSR1"
        case SIGUSR2: "SIGUSR2"
        case SIGTERM: "SIGTERM"
        case SIGINT: "SIGINT"
        case SIGHUP: "SIGHUP"
        default: "signal \(signal)"
        }
    }

    fileprivate static func set(_ signals: [Int32]) -> sigset_t {
        var set = sigset_t()
        sigemptyset(&set)
        for signal in signals { sigaddset(&set, signal) }
        return set
    }

    private static func isIgnored(_ signal: Int32) -> Bool {
        var action = sigaction()
        sigaction(signal, nil, &action)
        return unsafeBitCast(action.__sigaction_handler.sa_handler, to: Int.self) == 1  // SIG_IGN
    }
}

/// The signal thread, for `passOn`; zero before it has started.
private let forwarding = Atomic<UInt>(0)

private final class Taker {
    let taken: @Sendable (Int32) -> Void
    let signals: [Int32]

    init(_ taken: @escaping @Sendable (Int32) -> Void, _ signals: [Int32]) {
        self.taken = taken
        self.signals = signals
    }
}

private func waitForSignals(_ argument: UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? {
    guard let argument else { return nil }
    let taker = Unmanaged<Taker>.fromOpaque(argument).takeRetainedValue()
    forwarding.store(UInt(pthread_self()), ordering: .relaxed)
    var set = SignalThread.set(taker.signals)
    while true {
        var signal: Int32 = 0
        if sigwait(&set, &signal) == 0 { taker.taken(signal) }
    }
}

extension StopRequest {
    /// Takes SIGUSR1 (save), SIGUSR2, SIGTERM, SIGINT and SIGHUP (save and stop) for this request from now on.
    ///
    /// For a program that uses Tutti as a library: nothing is taken unless it asks. Call it first, before anything
    /// starts a thread. `unheard` is called for a request that comes before a run has begun or a second one to stop:
    /// nothing would be saved; by default the process then ends as the signal does.
    package func listenToSignals(unheard: (@Sendable (Int32) -> Void)? = nil) {
        let unheard = unheard ?? { SignalThread.die(of: $0) }
        let signals = StopSignals(self)
        guard SignalThread.start({ signal in signals.take(signal, unheard: unheard, second: unheard) }) else { return }
        SignalThread.passOn()
    }
}

/// What each signal asks of a run, and which one is the second that stops.
package final class StopSignals: Sendable {
    /// A launcher and a scheduler may both deliver one signal: what comes within this time is its echo.
    private static let echo = 0.3
    private let stop: StopRequest
    /// When the first stop signal came; infinite before.
    private let firstStop = Mutex(Double.infinity)

    package init(_ stop: StopRequest) { self.stop = stop }

    /// Asks for what `signal` stands for.
    ///
    /// - Parameters:
    ///   - unheard: called when a stop is asked for and no run has begun.
    ///   - second: called for a second signal that stops.
    package func take(_ signal: Int32, unheard: (Int32) -> Void, second: (Int32) -> Void) {
        if signal == SIGUSR1 {
            stop.ask(.save)
            return
        }
        let now = PhaseClock.now()
        let since = firstStop.withLock { first in
            defer { first = min(first, now) }
            return now - first
        }
        if since >= StopSignals.echo { return second(signal) }
        if since < 0, !stop.ask(.saveAndStop) { unheard(signal) }
    }
}
