// Supervisor: runs mpirun, forwards signals to the ranks, filters mpirun's output, and exits with the job's code.
//
// The first INT, TERM, HUP or USR2 makes a tutti subcommand save and stop: it reaches the ranks as USR2, which mpirun
// forwards, because on TERM or INT mpirun itself kills the ranks within a second. Before the ranks handle signals there is
// nothing to save: the job ends with code 85. A second one kills. Other programs get the signal that was sent: USR1
// and USR2 through mpirun, the others end the job in mpirun's way. If the launcher itself is killed, mpirun gets TERM and
// ends the job; if it does not, a process that outlives the launcher kills it (JobGuard).
//
// No end hangs: processes that somebody has stopped are woken some seconds after the first signal, on every host; ranks that
// still do not stop are killed after `patience`; and mpirun, which may wait for ever for a daemon, once rank zero has said
// that it ended. Whatever is killed is killed on every host (HostSweep).

import CTuttiLaunch
import Foundation
import Synchronization
import TuttiGround

/// Runs one job.
package final class Supervisor {
    /// A terminal, a scheduler or `timeout` may deliver one signal twice: a repeat within this time is ignored.
    private static let echo = 0.3
    /// Seconds that mpirun has to end a job before everything is killed.
    private static let patience = 5.0
    /// Seconds after the first signal at which stopped processes are woken.
    private static let wakeDelay = 3.0
    /// Seconds that mpirun has after rank zero's last word.
    private static let lastWordPatience = 10.0

    private let mpirun: Mpirun
    private let isTutti: Bool
    private let ranksPatience: Int
    private let sweep: HostSweep?
    private let say: @Sendable (String) -> Void
    private let errors = ErrorStream()

    private var stop = JobEnd.Stop.none
    private var stoppedAt = 0.0
    private var wakeAt = Double.infinity
    private var lateAt = Double.infinity
    private var stuckAt = Double.infinity
    private var killAt = Double.infinity

    /// Whether a signal has asked the job to end.
    package var isStopped: Bool {
        switch stop {
        case .none, .stuck: return stoppedAt > 0
        case .beforeBegin, .asked, .killed, .late: return true
        }
    }

    /// - Parameters:
    ///   - isTutti: whether the ranks run a tutti subcommand, which saves before it stops.
    ///   - patience: seconds that its ranks have to save and stop.
    ///   - sweep: ends the job's processes on other hosts; nil if there are none.
    ///   - say: shows a line on standard error.
    package init(
        _ mpirun: Mpirun, isTutti: Bool, patience: Int, sweep: HostSweep?, say: @escaping @Sendable (String) -> Void
    ) {
        self.mpirun = mpirun
        self.isTutti = isTutti
        ranksPatience = patience
        self.sweep = sweep
        self.say = say
    }

    /// Runs the job to its end and returns how it ended, which `ended` gets before other
    /// hosts are swept. `signals` are those that this process blocks.
    ///
    /// - Throws: code 66 or 75 if mpirun cannot be started.
    package func run(_ signals: SignalQueue, ended: (JobEnd) -> Void) throws(TuttiError) -> JobEnd {
        var signals = signals
        // Ranks whose mpirun was killed become children of this process, which kills them.
        _ = tutti_adopt_orphans()
        let (job, pipe) = try ProcessTree.start(mpirun.command, environment: mpirun.environment)
        let keeper = JobGuard(job)
        errors.pass(from: pipe)
        var status: Int32 = 0
        while true {
            let signal = signals.next(within: 0.1)
            if let signal, signal != SIGCHLD { take(signal, job) }
            if waitpid(job, &status, WNOHANG) == job { break }
            watch(job)
        }
        keeper?.end()
        let exitsNormally = status & 0x7F == 0
        if !exitsNormally || stop.endsJob { ProcessTree.killAll() }
        let said = errors.end(within: Supervisor.patience)
        let end = JobEnd(
            exitsNormally ? .exited(status >> 8 & 0xFF) : .signaled(status & 0x7F), said, stop: stop,
            isTutti: isTutti)
        ended(end)
        if !exitsNormally || stop.endsJob || !said.hasOrderlyEnd { sweep?.end(say) }
        sweep?.finish()
        return end
    }

    /// What is due.
    private func watch(_ job: pid_t) {
        let time = Clock.now()
        if time > wakeAt {
            wakeAt = .infinity
            sweep?.wake(say)
            ProcessTree.wakeAllBelow(job)
        }
        if isTutti, stuckAt == .infinity, errors.said.rootEnd != nil { stuckAt = time + Supervisor.lastWordPatience }
        if time > stuckAt, killAt == .infinity {
            stop = .stuck
            end(job)
        } else if time > lateAt, killAt == .infinity {
            stop = .late(Int32(clamping: ranksPatience))
            end(job)
        }
        if time > killAt { ProcessTree.killAllBelow(job) }
    }

    private func take(_ signal: Int32, _ job: pid_t) {
        let isReady = errors.said.isReady
        if signal == SIGUSR1 {
            if isTutti, !isReady { say("SIGUSR1 before the ranks started: nothing to save yet") }
            if !isTutti || isReady { forward(SIGUSR1, job) }
            return
        }
        switch stop {
        case .none:
            stoppedAt = Clock.now()
            if !isTutti {
                stop = .asked(signal, forwarded: signal)
                forward(signal == SIGHUP ? SIGTERM : signal, job)
            } else if isReady {
                stop = .asked(signal, forwarded: SIGUSR2)
                wakeAt = stoppedAt + Supervisor.wakeDelay
                lateAt = stoppedAt + Double(ranksPatience)
                say("\(SignalName.of(signal)): the ranks save and stop; a second signal kills them")
                forward(SIGUSR2, job)
            } else {
                stop = .beforeBegin
                end(job)
            }
        case .beforeBegin, .asked, .late, .stuck:
            guard Clock.now() - stoppedAt > Supervisor.echo else { return }
            stoppedAt = Clock.now()
            stop = .killed(signal == SIGHUP ? SIGTERM : signal)
            end(job)
        case .killed:
            if Clock.now() - stoppedAt > Supervisor.echo { killAt = 0 }
        }
    }

    /// Passes a signal to mpirun, once mpirun handles it.
    private func forward(_ signal: Int32, _ job: pid_t) {
        let deadline = Clock.now() + Supervisor.patience
        while !ProcessTree.catches(signal, job), Clock.now() < deadline, kill(job, 0) == 0 { usleep(5_000) }
        if ProcessTree.isStopped(job) { kill(job, SIGCONT) }
        kill(job, signal)
    }

    /// Lets mpirun end the job; kills everything if it does not in time.
    private func end(_ job: pid_t) {
        kill(job, SIGTERM)
        kill(job, SIGCONT)
        killAt = Clock.now() + Supervisor.patience
    }
}

extension JobEnd.Stop {
    /// Whether the launcher killed the job.
    fileprivate var endsJob: Bool {
        switch self {
        case .none, .asked: false
        case .beforeBegin, .killed, .late, .stuck: true
        }
    }
}

/// mpirun's standard error, read on its own thread and passed on.
private final class ErrorStream: Sendable {
    private let output = Mutex(JobOutput())
    private let isClosed = DispatchSemaphore(value: 0)

    /// mpirun's output so far.
    var said: JobOutput { output.withLock { $0 } }

    /// Passes on the data of a pipe until it is closed.
    func pass(from descriptor: Int32) {
        Thread.detachNewThread { [self] in
            var bytes = [UInt8](repeating: 0, count: 65_536)
            while true {
                let count = read(descriptor, &bytes, bytes.count)
                if count < 0, errno == EINTR { continue }
                guard count > 0 else { break }
                show(output.withLock { $0.pass(bytes[..<count]) })
            }
            show(output.withLock { $0.end() })
            close(descriptor)
            isClosed.signal()
        }
    }

    /// All output of mpirun; a process that holds the pipe longer than `seconds` is no part of the job any more.
    func end(within seconds: Double) -> JobOutput {
        _ = isClosed.wait(timeout: .now() + seconds)
        return said
    }

    /// Writes bytes to standard error; a closed pipe does not end the job.
    private func show(_ bytes: [UInt8]) {
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { write(STDERR_FILENO, $0.baseAddress, $0.count) }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { return }
            rest = rest.dropFirst(count)
        }
    }
}
