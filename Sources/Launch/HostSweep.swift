// HostSweep: wakes or ends what is left of a job on all its hosts, when mpirun cannot: it was killed, or waits for a daemon
// that does not answer.
//
// Best effort, bounded in time, all hosts at once: on each the hidden subcommand `tutti launch-sweep` looks for the job's mark
// (JobProcesses). A host that cannot be reached is named, because ranks may go on there.

import Foundation
import TuttiGround

/// Sweeps the hosts of one job.
package final class HostSweep: @unchecked Sendable {
    /// Seconds that a host has to answer: one that is gone must not hold up the news of it.
    private static let limit = 4.0

    private let shell: HostShell
    private let hosts: [String]
    private let program: String
    private let mark: String
    private let woken = DispatchGroup()

    /// - Parameters:
    ///   - hosts: all hosts of the job, this one perhaps among them.
    ///   - program: the path of `tutti`, equal on all.
    package init(_ shell: HostShell, hosts: [String], program: String, mark: String) {
        (self.shell, self.hosts, self.program, self.mark) = (shell, hosts, program, mark)
    }

    /// Wakes stopped processes of the job, in the background.
    func wake(_ say: @escaping @Sendable (String) -> Void) {
        let thread = Thread { [self] in
            sweep(.wake) { host, found in
                if found > 0 { say("\(host): woke \(found) stopped process\(found == 1 ? "" : "es") of this job") }
            } failed: { _ in
            }
            woken.leave()
        }
        woken.enter()
        thread.start()
    }

    /// Ends every process of the job.
    func end(_ say: (String) -> Void) {
        sweep(.end) { host, found in
            if found > 0 { say("\(host): ended \(found) process\(found == 1 ? "" : "es") that this job had left") }
        } failed: { problem in
            say("cannot look for processes of this job on \(problem)")
        }
    }

    /// Waits for what runs in the background.
    func finish() { woken.wait() }

    private func sweep(
        _ action: JobProcesses.Action, found: (String, Int) -> Void, failed: (String) -> Void
    ) {
        let remote = hosts.filter { !shell.isLocal($0) }
        if remote.count < hosts.count { found(Machine.hostName, JobProcesses.sweep(mark, action).signalled) }
        guard !remote.isEmpty else { return }
        do {
            let results = try shell.run(
                [program, "launch-sweep", action.rawValue, mark], on: remote,
                within: HostSweep.limit)
            for (host, result) in zip(remote, results) {
                if result.code == 0, let count = Int(result.output.prefix { $0.isNumber }) {
                    found(host, count)
                } else {
                    failed("\(host): \(HostShell.reason(result))")
                }
            }
        } catch {
            failed("other hosts: \(error)")
        }
    }
}
