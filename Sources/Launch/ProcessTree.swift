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
        let errors = try pipe(for: command[0])
        defer { close(errors.write) }
        do throws(TuttiError) {
            return (try spawn(command, environment, output: -1, errors: errors.write), errors.read)
        } catch {
            close(errors.read)
            throw error
        }
    }

    /// Starts a program as `start` does, its standard output collected too; the pipes do not block.
    ///
    /// - Returns: its pid, the read ends of the pipes of its standard output and standard error.
    /// - Throws: code 75 if the system refuses, 66 if the program cannot be run.
    static func startCollecting(
        _ command: [String], environment: [String: String]
    ) throws(TuttiError) -> (process: pid_t, output: Int32, errors: Int32) {
        let output = try pipe(for: command[0])
        defer { close(output.write) }
        do throws(TuttiError) {
            let errors = try pipe(for: command[0])
            defer { close(errors.write) }
            do throws(TuttiError) {
                let process = try spawn(command, environment, output: output.write, errors: errors.write)
                for end in [output.read, errors.read] { _ = fcntl(end, F_SETFL, O_NONBLOCK) }
                return (process, output.read, errors.read)
            } catch {
                close(errors.read)
                throw error
            }
        } catch {
            close(output.read)
            throw error
        }
    }

    /// Starts a program as `start` does, with both outputs in a file that is replaced.
    ///
    /// - Returns: its pid.
    /// - Throws: code 75 if the system refuses, 66 if the program cannot be run.
    static func startLogging(
        _ command: [String], _ environment: [String: String], to log: String
    ) throws(TuttiError) -> pid_t {
        let file = open(log, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
        guard file >= 0 else {
            throw TuttiError(.retryable, "write a log", log, String(cString: strerror(errno)))
        }
        defer { close(file) }
        return try spawn(command, environment, output: file, errors: file)
    }

    private static func failure(_ program: String, _ code: Int32, _ problem: String) -> TuttiError {
        let kind: TuttiError.Kind = [ENOENT, EACCES, ENOEXEC, ENOTDIR].contains(code) ? .missingFile : .retryable
        return TuttiError(kind, "start a program", program, "\(problem): \(String(cString: strerror(code)))")
    }

    private static func pipe(for program: String) throws(TuttiError) -> (read: Int32, write: Int32) {
        var ends: [Int32] = [-1, -1]
        guard Glibc.pipe(&ends) == 0 else { throw failure(program, errno, "cannot create a pipe") }
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        return (ends[0], ends[1])
    }

    private static func spawn(
        _ command: [String], _ environment: [String: String], output: Int32, errors: Int32
    ) throws(TuttiError) -> pid_t {
        var arguments = command.map { strdup($0) } + [nil]
        var variables = variables(environment) + [nil]
        defer { (arguments + variables).forEach { free($0) } }
        var child: pid_t = 0
        let code = tutti_start(&arguments, &variables, output, errors, &child)
        guard code == 0 else { throw failure(command[0], code, "cannot be started") }
        return child
    }

    /// `environment` as entries NAME=VALUE. Values that are this process's own are its bytes, which a String may not hold.
    static func variables(_ environment: [String: String]) -> [UnsafeMutablePointer<CChar>?] {
        var own: [String: UnsafeMutablePointer<CChar>] = [:]
        var entry = environ
        while let text = entry.pointee {
            let name = String(cString: text).prefix { $0 != "=" }
            if own[String(name)] == nil { own[String(name)] = text }
            entry += 1
        }
        return environment.sorted { $0.key < $1.key }.map { name, value in
            let text = "\(name)=\(value)"
            if let bytes = own[name], String(cString: bytes) == text { return strdup(bytes) }
            return strdup(text)
        }
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

    /// Lets a process and its descendants continue that somebody has stopped.
    static func wakeAllBelow(_ ancestor: pid_t) {
        for process in descendants(of: ancestor) + [ancestor] where isStopped(process) { kill(process, SIGCONT) }
    }

    /// Whether a process handles `signal`.
    static func catches(_ signal: Int32, _ process: pid_t) -> Bool {
        guard let status = SystemFile.text("/proc/\(process)/status"),
            let mask = SystemFile.field("SigCgt:", of: status).flatMap({ UInt64($0, radix: 16) })
        else { return false }
        return mask >> UInt64(signal - 1) & 1 == 1
    }

    /// Whether a process is stopped by a signal.
    static func isStopped(_ process: pid_t) -> Bool { fields(process)?.state == "T" }

    /// Whether a process has ended and only waits to be collected.
    static func hasEnded(_ process: pid_t) -> Bool {
        fields(process).map { $0.state == "Z" || $0.state == "X" } ?? true
    }

    /// The process that started `process`; nil if it is gone.
    static func parent(of process: pid_t) -> pid_t? { fields(process)?.parent }

    /// All processes of this host.
    static func processes() -> [pid_t] {
        guard let folder = opendir("/proc") else { return [] }
        defer { closedir(folder) }
        var found: [pid_t] = []
        while let entry = readdir(folder) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if let process = pid_t(name) { found.append(process) }
        }
        return found
    }

    /// "PID (name) state parent ...": the name may contain spaces and parentheses.
    private static func fields(_ process: pid_t) -> (state: Substring, parent: pid_t)? {
        guard let text = SystemFile.text("/proc/\(process)/stat"), let close = text.lastIndex(of: ")") else {
            return nil
        }
        let words = text[close...].split(separator: " ").dropFirst()
        guard let state = words.first, let parent = words.dropFirst().first.flatMap({ pid_t($0) }) else { return nil }
        return (state, parent)
    }

    private static func all() -> [(process: pid_t, parent: pid_t)] {
        processes().compactMap { process in parent(of: process).map { (process, $0) } }
    }
}
