// A job under `tutti launch` or under mpirun itself, started and watched as a user or a scheduler does.

import Foundation
import Testing

/// A running job; its output goes to files, so that no pipe fills.
final class LaunchedJob {
    private let process = Process()
    private let folder: String
    private let name = UUID().uuidString
    /// Its process: the launcher.
    var id: pid_t { process.processIdentifier }

    /// Starts `tutti` with `arguments`, or `program` in its place.
    ///
    /// Signals that the tests' parent ignores or this thread blocks act in the job as usual; `holdingSignals`: it starts
    /// with them blocked; another MPI's variables do not reach it.
    init(
        _ arguments: [String], in folder: String, program: String? = nil, environment added: [String: String] = [:],
        holdingSignals: Bool = false
    ) throws {
        self.folder = folder
        var environment = ProcessInfo.processInfo.environment
        for name in environment.keys where name.hasPrefix("OMPI_") || name.hasPrefix("PMI") || name.hasPrefix("SLURM") {
            environment[name] = nil
        }
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments =
            ["--default-signal"]
            + (holdingSignals ? ["--block-signal=HUP", "--block-signal=USR1", "--block-signal=USR2"] : [])
            + [try program ?? TuttiProcess.executable] + arguments
        process.environment = environment.merging(added) { $1 }
        process.standardInput = FileHandle.nullDevice
        process.standardOutput = try file("out")
        process.standardError = try file("err")
        try process.run()
    }

    deinit {
        // The second TERM kills the job; killing mpirun itself would leave ranks for a while.
        for _ in 0..<2 where process.isRunning {
            signal(SIGTERM)
            _ = code(within: 1)
        }
        if code(within: 10) == -1 { signal(SIGKILL) }
    }

    private func file(_ kind: String) throws -> FileHandle {
        let path = "\(folder)/\(name).\(kind)"
        try Data().write(to: URL(fileURLWithPath: path))
        return try #require(FileHandle(forWritingAtPath: path))
    }

    /// What it has said on standard output.
    var output: String { text("out") }

    /// What it has said on standard error.
    var errors: String { text("err") }

    private func text(_ kind: String) -> String {
        String(decoding: FileManager.default.contents(atPath: "\(folder)/\(name).\(kind)") ?? Data(), as: UTF8.self)
    }

    func signal(_ signal: Int32) { kill(id, signal) }

    /// Waits until `condition` holds; false if the job ends or half a minute passes before.
    func wait(until condition: () throws -> Bool) rethrows -> Bool {
        let end = Date() + 30
        while try !condition() {
            guard process.isRunning, Date() < end else { return false }
            Thread.sleep(forTimeInterval: 0.02)
        }
        return true
    }

    /// Waits for its end, at most `seconds`; -1 if it does not come. A signal counts as the shell's code for it.
    func code(within seconds: Double = 30) -> Int32 {
        let end = Date() + seconds
        while process.isRunning, Date() < end { Thread.sleep(forTimeInterval: 0.02) }
        guard !process.isRunning else { return -1 }
        return process.terminationStatus + (process.terminationReason == .uncaughtSignal ? 128 : 0)
    }

    /// Whether a process whose command line holds `text` runs, such as a path that only this job knows.
    static func runs(_ text: String) throws -> Bool {
        try FileManager.default.contentsOfDirectory(atPath: "/proc").contains { entry in
            // An ended process that nobody has waited for has no command line.
            guard pid_t(entry) != nil, let line = FileManager.default.contents(atPath: "/proc/\(entry)/cmdline")
            else { return false }
            return String(decoding: line, as: UTF8.self).contains(text)
        }
    }

    /// The processes below the launcher whose program has the given name, ascending.
    func descendants(named program: String) throws -> [pid_t] {
        var parents: [pid_t: pid_t] = [:]
        var names: [pid_t: String] = [:]
        for entry in try FileManager.default.contentsOfDirectory(atPath: "/proc") {
            guard let process = pid_t(entry), let bytes = FileManager.default.contents(atPath: "/proc/\(entry)/stat")
            else {
                continue
            }
            let text = String(decoding: bytes, as: UTF8.self)
            guard let open = text.firstIndex(of: "("), let close = text.lastIndex(of: ")") else { continue }
            names[process] = String(text[text.index(after: open)..<close])
            parents[process] = text[close...].split(separator: " ").dropFirst(2).first.flatMap { pid_t($0) }
        }
        return names.filter { process, name in
            var current = parents[process]
            while let parent = current, parent != id { current = parents[parent] }
            return current == id && name == program
        }.keys.sorted()
    }
}
