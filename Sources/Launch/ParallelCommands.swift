// ParallelCommands: runs short commands side by side and collects what they print, each within a limit of time.
//
// One thread polls all pipes. A command that does not end in time is killed with its process group. The end of the
// process counts, not that of its pipes: an ssh that stays in the background for later connections holds them open.

import CTuttiLaunch
import Glibc
import TuttiGround

/// How a command ended and what it printed.
package struct CommandResult: Sendable, Equatable {
    /// The exit code; nil if a signal ended it, or it did not end in time.
    package var code: Int32?
    /// Whether it was killed because it took too long.
    package var isLate = false
    /// Its standard output.
    package var output = ""
    /// Its standard error.
    package var errors = ""

    /// A result of nothing.
    package init() {}
}

/// Commands that run at the same time.
enum ParallelCommands {
    /// So many run at once.
    private static let width = 64

    /// Runs all commands, each for at most `seconds`; the results in their order.
    ///
    /// - Throws: code 75 if the system refuses a process, 66 if a program is missing.
    static func run(
        _ commands: [[String]], environment: [String: String], within seconds: Double
    ) throws(TuttiError) -> [CommandResult] {
        var results = commands.map { _ in CommandResult() }
        var waiting = Array(commands.indices)[...]
        var running: [Running] = []
        defer { for process in running { process.kill() } }
        while !waiting.isEmpty || !running.isEmpty {
            while running.count < width, let index = waiting.popFirst() {
                let (process, output, errors) = try ProcessTree.startCollecting(
                    commands[index], environment: environment)
                running.append(
                    Running(index: index, process: process, pipes: [output, errors], deadline: Clock.now() + seconds))
            }
            var polled = running.flatMap { $0.pipes }.filter { $0 >= 0 }
                .map { pollfd(fd: $0, events: Int16(POLLIN), revents: 0) }
            // Wakes to see whether a process has ended whose pipes stay open.
            if poll(&polled, nfds_t(polled.count), 50) < 0, errno != EINTR { usleep(50_000) }
            for place in running.indices.reversed() {
                running[place].read()
                let isLate = Clock.now() > running[place].deadline
                if isLate { running[place].kill() }
                guard let code = running[place].end() else { continue }
                running[place].read()
                results[running[place].index] = running[place].result(code: code, isLate: isLate)
                running[place].closePipes()
                running.remove(at: place)
            }
        }
        return results
    }
}

/// A command that runs.
private struct Running {
    let index: Int
    let process: pid_t
    var pipes: [Int32]  // -1 once closed
    let deadline: Double
    private var texts: [[UInt8]] = [[], []]

    init(index: Int, process: pid_t, pipes: [Int32], deadline: Double) {
        (self.index, self.process, self.pipes, self.deadline) = (index, process, pipes, deadline)
    }

    /// Reads what there is; the pipes do not block.
    mutating func read() {
        var bytes = [UInt8](repeating: 0, count: 16_384)
        for place in pipes.indices where pipes[place] >= 0 {
            while true {
                let count = Glibc.read(pipes[place], &bytes, bytes.count)
                if count > 0 { texts[place] += bytes[..<count] }
                if count < 0, errno == EINTR { continue }
                if count == 0 {
                    close(pipes[place])
                    pipes[place] = -1
                }
                if count <= 0 { break }
            }
        }
    }

    /// How the process has ended; nil while it runs.
    func end() -> Int32? {
        var status: Int32 = 0
        let ended = waitpid(process, &status, WNOHANG)
        if ended == process { return status }
        return ended < 0 && errno == ECHILD ? 0x7F : nil
    }

    func kill() {
        _ = Glibc.kill(-process, SIGKILL)
        _ = Glibc.kill(process, SIGKILL)
    }

    mutating func closePipes() {
        for pipe in pipes where pipe >= 0 { close(pipe) }
        pipes = [-1, -1]
    }

    func result(code status: Int32, isLate: Bool) -> CommandResult {
        var result = CommandResult()
        result.code = status & 0x7F == 0 ? status >> 8 & 0xFF : nil
        result.isLate = isLate && result.code == nil
        result.output = String(decoding: texts[0], as: UTF8.self)
        result.errors = String(decoding: texts[1], as: UTF8.self)
        return result
    }
}

/// Seconds that only go forward.
enum Clock {
    /// The time now.
    static func now() -> Double {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
    }
}
