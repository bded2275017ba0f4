// ProcessTree: starts mpirun in its own process group, and ends processes that it leaves behind.

import CTuttiLaunch
import Glibc
import TuttiGround

/// Processes below this one.
enum ProcessTree {
    /// Starts a program with no signal blocked, ignored or handled, without input, in its own process group, so that a
    /// terminal's Ctrl-C reaches it only through the launcher. Call it on the main thread: the program gets SIGTERM when
    /// that thread ends, even if SIGKILL ends this process.
    ///
    /// - Returns: its pid, and the read end of the pipe of its standard error.
    /// - Throws: code 75 if the system refuses, 66 if the program cannot be run.
    static func start(_ command: [String], environment: [String: String]) throws(TuttiError) -> (pid_t, Int32) {
        func failure(_ code: Int32, _ problem: String) -> TuttiError {
            let kind: TuttiError.Kind = [ENOENT, EACCES, ENOEXEC, ENOTDIR].contains(code) ? .missingFile : .retryable
            return TuttiError(kind, "start mpirun", command[0], "\(problem): \(String(cString: strerror(code)))")
        }
        var ends: [Int32] = [-1, -1]
        guard pipe(&ends) == 0 else { throw failure(errno, "cannot create a pipe") }
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        defer { close(ends[1]) }
        var arguments = command.map { strdup($0) } + [nil]
        var variables = environment.sorted { $0.key < $1.key }.map { strdup("\($0.key)=\($0.value)") } + [nil]
        defer { (arguments + variables).forEach { free($0) } }
        var child: pid_t = 0
        let code = tutti_start(&arguments, &variables, ends[1], &child)
        guard code == 0 else {
            close(ends[0])
            throw failure(code, "cannot be started")
        }
        return (child, ends[0])
    }

    /// The current descendants of `ancestor`, from /proc.
    static func descendants(of ancestor: pid_t) -> [pid_t] {
        var parents: [pid_t: pid_t] = [:]
        for (process, parent) in all() { parents[process] = parent }
        return parents.keys.filter { process in
            var (current, steps) = (parents[process], 0)
            while let parent = current, parent != ancestor, steps < 64 {
                (current, steps) = (parents[parent], steps + 1)
            }
            return current == ancestor
        }
    }

    /// Kills and reaps every descendant of this process, until none is left.
    static func killAll() {
        for _ in 0..<100 {
            let left = descendants(of: getpid())
            if left.isEmpty { return }
            for process in left { kill(process, SIGKILL) }
            usleep(10_000)
            while waitpid(-1, nil, WNOHANG) > 0 {}
        }
    }

    /// Kills a process and its descendants.
    static func killAllBelow(_ ancestor: pid_t) {
        for process in descendants(of: ancestor) { kill(process, SIGKILL) }
        kill(ancestor, SIGKILL)
    }

    /// Whether a process handles `signal`.
    static func catches(_ signal: Int32, _ process: pid_t) -> Bool {
        guard let status = SystemFile.text("/proc/\(process)/status"),
            let mask = SystemFile.field("SigCgt:", of: status).flatMap({ UInt64($0, radix: 16) })
        else { return false }
        return mask >> UInt64(signal - 1) & 1 == 1
    }

    private static func all() -> [(process: pid_t, parent: pid_t)] {
        guard let folder = opendir("/proc") else { return [] }
        defer { closedir(folder) }
        var found: [(pid_t, pid_t)] = []
        while let entry = readdir(folder) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            // "PID (name) state parent ...": the name may contain spaces and parentheses.
            guard let process = pid_t(name), let text = SystemFile.text("/proc/\(name)/stat"),
                let close = text.lastIndex(of: ")"),
                let parent = text[close...].split(separator: " ").dropFirst(2).first.flatMap({ pid_t($0) })
            else { continue }
            found.append((process, parent))
        }
        return found
    }
}
