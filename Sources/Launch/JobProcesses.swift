// JobProcesses: the processes of one job on this host, found by the job's mark, and ended or woken.
//
// The mark is an Open MPI parameter, `tutti_job`, which means nothing to Open MPI: it is on the command line of mpirun and
// of its daemons, and in the environment of every rank. Only processes of this user can be seen and signalled.

import Glibc
import TuttiGround

/// Processes of a job on this host.
package enum JobProcesses {
    /// The Open MPI parameter that holds the mark.
    package static let parameter = "tutti_job"

    /// What a sweep does.
    package enum Action: String, Sendable, CaseIterable {
        /// Lets stopped processes continue, so that they hear what they were sent.
        case wake
        /// Kills every process.
        case end
    }

    /// What a sweep has found.
    package struct Found: Equatable, Sendable {
        /// Processes that got a signal.
        package var signalled = 0
        /// Processes that are still there at its end.
        package var left = 0

        /// Processes that got a signal, and those that are left.
        package init(signalled: Int = 0, left: Int = 0) { (self.signalled, self.left) = (signalled, left) }
    }

    /// A mark that no other job has.
    package static func newMark(hostName: String) -> String {
        "\(hostName).\(getpid()).\(String(UInt32.random(in: 0 ... .max), radix: 16))"
    }

    /// Wakes or ends the processes of the job `mark`; ending goes on until none is left, for at most `seconds`.
    package static func sweep(_ mark: String, _ action: Action, within seconds: Double = 5) -> Found {
        let spared = ancestors()
        var found = Found()
        let deadline = Clock.now() + seconds
        while true {
            let processes = all(mark).filter { !spared.contains($0) }
            found.left = processes.count
            switch action {
            case .wake:
                let stopped = processes.filter { ProcessTree.isStopped($0) }
                for process in stopped { kill(process, SIGCONT) }
                found.signalled = stopped.count
                return found
            case .end:
                if processes.isEmpty || Clock.now() > deadline { return found }
                found.signalled = max(found.signalled, processes.count)
                for process in processes { kill(process, SIGKILL) }
                usleep(20_000)
            }
        }
    }

    /// The processes that carry the mark, of those that this process can read; none that has ended.
    private static func all(_ mark: String) -> [pid_t] {
        let variable = Array("OMPI_MCA_\(parameter)=\(mark)".utf8)
        let words = [Array(parameter.utf8), Array(mark.utf8)]
        return ProcessTree.processes().filter { process in
            guard !ProcessTree.hasEnded(process) else { return false }
            let line = entries("/proc/\(process)/cmdline")
            let isDaemon = zip(line, line.dropFirst()).contains {
                $0.elementsEqual(words[0]) && $1.elementsEqual(words[1])
            }
            return isDaemon || entries("/proc/\(process)/environ").contains { $0.elementsEqual(variable) }
        }
    }

    /// Programs below which ranks run.
    private static let daemons: Set = [
        "mpirun", "mpirun.openmpi", "orterun", "orted", "prted", "prterun", "slurmstepd",
    ]

    /// The ranks of `tutti` on this host that no daemon looks after any more, and how many others there are.
    package static func ranks() -> (strays: [StrayProcess], others: Int) {
        var (strays, others) = ([StrayProcess](), 0)
        let variable = Array("OMPI_COMM_WORLD_RANK=".utf8)
        for process in ProcessTree.processes() where ["tutti", "tutti-world"].contains(name(process)) {
            guard !ProcessTree.hasEnded(process),
                entries("/proc/\(process)/environ").contains(where: { $0.starts(with: variable) })
            else { continue }
            if isLookedAfter(process) {
                others += 1
            } else {
                let line = entries("/proc/\(process)/cmdline").map { String(decoding: $0, as: UTF8.self) }
                strays.append(StrayProcess(process: process, command: String(line.joined(separator: " ").prefix(60))))
            }
        }
        return (strays, others)
    }

    private static func isLookedAfter(_ process: pid_t) -> Bool {
        var (current, steps) = (ProcessTree.parent(of: process), 0)
        while let parent = current, parent > 1, steps < 64 {
            if daemons.contains(name(parent)) { return true }
            (current, steps) = (ProcessTree.parent(of: parent), steps + 1)
        }
        return false
    }

    private static func name(_ process: pid_t) -> String { SystemFile.word("/proc/\(process)/comm") ?? "" }

    private static func entries(_ path: String) -> [ArraySlice<UInt8>] {
        (SystemFile.bytes(path) ?? []).split(separator: 0)
    }

    /// This process and those above it: a remote shell's command line may hold the mark.
    private static func ancestors() -> Set<pid_t> {
        var (found, current) = (Set<pid_t>(), getpid())
        while current > 1, found.insert(current).inserted { current = ProcessTree.parent(of: current) ?? 1 }
        return found
    }
}
