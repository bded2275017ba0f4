// CommandPool: runs long commands, some at a time, each with a log file of its own, and passes signals on to them.

import Glibc
import TuttiGround

/// Commands that run some at a time until all are done, or a signal asks to stop.
package struct CommandPool {
    /// A command with the file that its output goes to.
    package struct Job: Sendable {
        package let command: [String]
        package let log: String

        package init(_ command: [String], log: String) {
            (self.command, self.log) = (command, log)
        }
    }

    private let width: Int
    private let environment: [String: String]

    /// A pool of `width` commands at a time.
    package init(width: Int, environment: [String: String]) {
        (self.width, self.environment) = (width, environment)
    }

    /// Runs all jobs.
    ///
    /// A signal is passed on to those that run, and nothing is started any more; a second one kills them.
    /// - Parameter finished: gets each job's place and exit code; 128 plus the signal if one ended it.
    /// - Returns: the signal that has stopped them; nil if all have run.
    /// - Throws: code 75 or 66 if a program cannot be started, and what `finished` throws; nothing runs on then.
    package func run(
        _ jobs: [Job], signals: inout SignalQueue, finished: (Int, Int32) throws -> Void
    ) throws -> Int32? {
        var waiting = Array(jobs.indices)[...]
        var running: [(place: Int, process: pid_t)] = []
        var stopped: Int32?
        defer { for job in running { ProcessTree.killAllBelow(job.process) } }
        while !running.isEmpty || stopped == nil && !waiting.isEmpty {
            while stopped == nil, running.count < width, let place = waiting.popFirst() {
                running.append(
                    (place, try ProcessTree.startLogging(jobs[place].command, environment, to: jobs[place].log)))
            }
            if let signal = signals.next(within: 0.1), signal != SIGCHLD {
                for job in running {
                    if stopped != nil { ProcessTree.killAllBelow(job.process) } else { kill(job.process, signal) }
                }
                if signal != SIGUSR1 { stopped = signal }
            }
            for index in running.indices.reversed() {
                var status: Int32 = 0
                guard waitpid(running[index].process, &status, WNOHANG) == running[index].process else { continue }
                let job = running.remove(at: index)
                try finished(job.place, status & 0x7F == 0 ? status >> 8 & 0xFF : 128 + status & 0x7F)
            }
        }
        return stopped
    }
}
