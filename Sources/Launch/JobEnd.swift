// JobEnd: the exit code of a job and a one-line reason, from how mpirun ended and what it printed.
//
// A subcommand of ours ends with a code of the contract: its own (0, 64, 65, 66, 70, 75, 85), or 75 however a rank or a
// host died. It has succeeded only if rank zero says so: mpirun returns 0 too where a batch system could not start its
// daemons and nothing ran. Another program's code is its own; 75 if a signal killed a rank or a host was lost.

import Glibc

/// How a job ended.
package struct JobEnd: Equatable, Sendable {
    /// How the mpirun process ended.
    package enum Status: Equatable, Sendable {
        case exited(Int32)
        case signaled(Int32)
    }

    /// What the launcher did to end the job.
    package enum Stop: Equatable, Sendable {
        /// Nothing.
        case none
        /// A stop signal came before the ranks handled signals: the job ended with nothing to save.
        case beforeBegin
        /// The first stop signal, and the signal that the ranks got for it.
        case asked(Int32, forwarded: Int32)
        /// A second stop signal: the job was killed.
        case killed(Int32)
        /// The ranks did not end in time after the first stop signal: the job was killed.
        case late(Int32)
        /// Rank zero had ended, and mpirun did not: it was killed.
        case stuck
    }

    /// The launcher's exit code.
    package var code: Int32
    /// The message, unless the ranks have already printed one.
    package var message: String?

    /// The end of a job whose mpirun printed `output`.
    package init(_ status: Status, _ output: JobOutput, stop: Stop, isTutti: Bool) {
        self.init(code: 0, message: nil)
        switch (stop, status) {
        case (.killed(let signal), _):
            self = JobEnd(code: 128 + signal)
        case (.stuck, _):
            self = JobEnd(code: output.rootEnd ?? 75, message: "the ranks had ended, and mpirun did not: killed")
        case (.late(let seconds), _):
            self = JobEnd(
                code: 75, message: "the ranks did not stop within \(seconds) s: killed; \(Self.again(isTutti))")
        case (.beforeBegin, _):
            self = JobEnd(
                code: 85, message: "stopped before the ranks started; nothing to save, the same command starts it")
        case (_, .exited(0)):
            self = isTutti ? Self.success(output) : Self.loss(output, isTutti: false) ?? JobEnd(code: 0)
        case (_, .signaled(let signal)):
            self = JobEnd(code: 75, message: "mpirun was killed by \(SignalName.of(signal)); \(Self.again(isTutti))")
        case (_, .exited(let code)):
            self = isTutti ? Self.ours(code, output, stop) : Self.others(code, output, stop)
        }
    }

    private init(code: Int32, message: String? = nil) {
        self.code = code
        self.message = message
    }

    /// The end of a job of ours whose mpirun returned 0.
    private static func success(_ output: JobOutput) -> JobEnd {
        if let code = output.rootEnd { return JobEnd(code: code) }
        if let lost = loss(output, isTutti: true) { return lost }
        let reason =
            output.isReady
            ? "mpirun ended with code 0 before rank zero had ended" : "mpirun ended with code 0 and started no rank"
        return JobEnd(code: 75, message: "\(reason); \(again(true))")
    }

    private static func ours(_ code: Int32, _ output: JobOutput, _ stop: Stop) -> JobEnd {
        if let death = output.death, case .asked(_, forwarded: death.signal) = stop {
            return JobEnd(
                code: 85, message: "stopped before rank \(death.rank) started; the same command restarts it")
        }
        if let lost = loss(output, isTutti: true, code) { return lost }
        if let host = output.hostWithoutDirectory {
            return JobEnd(
                code: 66,
                message: "the working directory does not exist on \(host): start where all hosts have the same files")
        }
        if output.programIsMissing { return JobEnd(code: 66) }
        switch code {
        case 64, 65, 66, 70, 75, 85: return JobEnd(code: code)
        case 126, 127:
            return JobEnd(
                code: 66, message: "a host cannot run the program (code \(code)): a file or a library is missing there")
        case 1 where !output.rankEnded:
            return JobEnd(code: 64, message: "mpirun did not start the job; see its message above")
        default: return JobEnd(code: 75, message: "the job ended with code \(code); \(again(true))")
        }
    }

    private static func others(_ code: Int32, _ output: JobOutput, _ stop: Stop) -> JobEnd {
        if case .asked(let signal, _) = stop, code == 1 || code > 128 { return JobEnd(code: 128 + signal) }
        if let lost = loss(output, isTutti: false) { return lost }
        // mpirun does not name a rank that is killed during startup.
        guard code == 128 + SIGKILL else { return JobEnd(code: code) }
        return JobEnd(code: 75, message: "a rank was killed by SIGKILL; \(again(false))")
    }

    /// The end of a job that lost a rank or a host.
    private static func loss(_ output: JobOutput, isTutti: Bool, _ code: Int32 = 0) -> JobEnd? {
        if let death = output.death {
            let cause = SignalName.meaning(death.signal).map { " (\($0))" } ?? ""
            return JobEnd(
                code: 75,
                message: "rank \(death.rank) on \(death.host) was killed by \(SignalName.of(death.signal))\(cause); "
                    + again(isTutti))
        }
        if let host = output.lostHost {
            return JobEnd(code: 75, message: "lost contact with \(host); \(again(isTutti))")
        }
        if output.hostIsUnreachable {
            if let (host, reason) = output.unreachable {
                return JobEnd(code: 75, message: "\(host) cannot be reached: \(reason); \(again(isTutti))")
            }
            if code == 126 || code == 127 {
                return JobEnd(code: 66, message: "a host cannot run Open MPI's daemon: orted is not in its PATH")
            }
            return JobEnd(code: 75, message: "a host cannot be reached; see mpirun's message above")
        }
        if isTutti, let end = output.improperEnd {
            return JobEnd(code: 75, message: "\(end) exited without MPI_Finalize; \(again(isTutti))")
        }
        return nil
    }

    private static func again(_ isTutti: Bool) -> String {
        isTutti ? "the same command resumes from the last checkpoint" : "the job can be started again"
    }
}

/// Signals by name.
enum SignalName {
    /// SIGKILL for 9.
    static func of(_ signal: Int32) -> String { names[signal] ?? "signal \(signal)" }

    /// The usual cause.
    static func meaning(_ signal: Int32) -> String? {
        switch signal {
        case SIGKILL: "out of memory, or by hand"
        case SIGILL, SIGTRAP: "a failed check, a bug"
        case SIGSEGV: "an invalid address, a bug"
        case SIGBUS: "memory not available, such as a full /dev/shm"
        case SIGABRT: "abort() in a library"
        case SIGXCPU: "CPU time limit"
        default: nil
        }
    }

    private static let names: [Int32: String] = [
        SIGHUP: "SIGHUP", SIGINT: "SIGINT", SIGQUIT: "SIGQUIT", SIGILL: "SIGILL", SIGTRAP: "SIGTRAP",
        SIGABRT: "SIGABRT", SIGBUS: "SIGBUS", SIGFPE: "SIGFPE", SIGKILL: "SIGKILL", SIGUSR1: "SIGUSR1",
        SIGSEGV: "SIGSEGV", SIGUSR2: "SIGUSR2", SIGPIPE: "SIGPIPE", SIGALRM: "SIGALRM", SIGTERM: "SIGTERM",
        SIGXCPU: "SIGXCPU", SIGXFSZ: "SIGXFSZ",
    ]
}
